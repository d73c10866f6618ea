//! The program's own commands in this process, on the model's socket and a clock that waits for nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use clap::FromArgMatches as _;
use stackctl::base::env::Env;
use stackctl::cli::args::{Cli, Command};
use stackctl::cli::commands;
use stackctl::cli::context::Context;
use stackctl::cli::exit::ExitStatus;
use stackctl::cli::settings::Settings;
use stackctl::ui::output::Output;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use super::model::{Fault, Refusal, Seen, Wire, World};

/// What became of a run.
pub(crate) struct Outcome {
    /// `None`: it did not end.
    pub(crate) code: Option<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
    /// By the clock that waits for nobody.
    pub(crate) took: Duration,
    pub(crate) world: World,
    pub(crate) seen: Vec<Seen>,
    pub(crate) moments: Vec<World>,
    pub(crate) outages: Vec<String>,
}

/// How a run is made.
#[derive(Default)]
pub(crate) struct How {
    pub(crate) fault: Option<(usize, Fault)>,
    pub(crate) refusal: Option<Refusal>,
    /// Keeps the world before and after each call.
    pub(crate) remember: bool,
    /// Longest time, by the same clock.
    pub(crate) limit: Option<Duration>,
}

/// Runs a command in a folder; `Err` with what a panic said.
pub(crate) fn run(
    folder: &Path,
    world: World,
    args: &[&str],
    env: &[(&str, &str)],
    how: &How,
) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(within(folder, world, args, env, how))));
    ended.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned())).unwrap_or_default()
    })
}

async fn within(folder: &Path, world: World, args: &[&str], env: &[(&str, &str)], how: &How) -> Outcome {
    let wire = Wire::start(world, how.fault, how.refusal, how.remember);
    let given = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let vars = given.chain([("DOCKER_HOST".to_owned(), wire.address()), ("USER".to_owned(), "tester".to_owned())]);
    let env = Env { vars: vars.collect(), cwd: folder.to_owned(), ..Env::default() };
    let words = ["stackctl"].iter().chain(args);
    let cli = stackctl::cli::help::command().try_get_matches_from(words).unwrap();
    let cli = Cli::from_arg_matches(&cli).unwrap();
    let settings = Settings::resolve(&cli.global, &env).unwrap();
    let (out, stdout, stderr) = Output::buffers(&env, settings.manner);
    let context = Context { env: &env, settings: &settings, out: &out };
    let began = Instant::now();
    let ended = tokio::select! {
        biased;
        ended = Box::pin(command(&cli.command, &context)) => Some(ended),
        () = time(&wire, how.limit.unwrap_or(Duration::from_secs(3600))) => None,
    };
    let took = began.elapsed();
    let code = ended.map(|ended| match ended {
        Ok(status) => status.code(),
        Err(error) => {
            stackctl::ui::error::show(&error, &out);
            ExitStatus::of(&error).code()
        }
    });
    // What the engine hears of connections that are gone.
    for _ in 0..QUIET {
        yield_now().await;
    }
    Outcome {
        code,
        out: stdout.text(),
        err: stderr.text(),
        took,
        world: wire.world().without_client(),
        seen: wire.seen(),
        moments: wire.moments(),
        outages: wire.outages(),
    }
}

async fn command(command: &Command, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Plan(args) => commands::plan::run(args, ctx).await,
        Command::Up(args) => commands::up::run(args, ctx).await,
        Command::Verify(args) => commands::verify::run(args, ctx).await,
        Command::Status(args) => commands::status::run(args, ctx).await,
        Command::Rollback(args) => Box::pin(commands::rollback::run(args, ctx)).await,
        Command::Down(args) => commands::down::run(args, ctx).await,
        _ => panic!("not one of those that are tried"),
    }
}

/// Turns of the runtime without a call, after which everybody waits for the clock.
const QUIET: u32 = 48;

/// Moves the clock as soon as everybody waits for it, in steps that grow; ends after so much of it. The runtime's own
/// way to do that does not know about sockets, and would let calls time out whose answer is there.
async fn time(wire: &Wire, limit: Duration) {
    let began = Instant::now();
    let first = Duration::from_millis(2);
    let (mut last, mut step) = (0, first);
    while began.elapsed() < limit {
        for _ in 0..QUIET {
            yield_now().await;
        }
        let now = wire.activity();
        if now == last {
            advance(step).await;
            step = (step * 2).min(Duration::from_secs(2));
        } else {
            (last, step) = (now, first);
        }
    }
}
