//! From the process to a command and back.

use std::ffi::OsString;

use clap::FromArgMatches as _;

use crate::base::env::Env;
use crate::ui::error::{self, Failure, Kind};
use crate::ui::output::{Manner, Output};
use crate::ui::paint::ColourChoice;

use super::args::{Cli, Command};
use super::commands;
use super::complete;
use super::context::{Context, interrupted};
use super::exit::ExitStatus;
use super::help;
use super::settings::Settings;

/// Runs the command line `args` (the program's name first) on the process's own streams.
pub fn run(args: impl IntoIterator<Item = OsString>, env: &Env) -> ExitStatus {
    let args: Vec<OsString> = args.into_iter().collect();
    let first = Manner { colour: typed_colour(&args), ..Manner::default() };
    if let Some(answer) = complete::answer(&args, env) {
        return finish(answer.map(|()| ExitStatus::Done).map_err(Into::into), &Output::new(env, first));
    }
    let matches =
        match help::command().term_width(env.width.map_or(80, |w| w.clamp(40, 100))).try_get_matches_from(&args) {
            Ok(matches) => matches,
            Err(error) => return usage(&error, &Output::new(env, first)),
        };
    let resolved = Cli::from_arg_matches(&matches)
        .map_err(|e| Failure::usage(e.to_string()))
        .and_then(|cli| Ok((Settings::resolve(&cli.global, env)?, cli.command)));
    let (settings, command) = match resolved {
        Ok(resolved) => resolved,
        Err(failure) => return finish(Err(failure.into()), &Output::new(env, first)),
    };
    let out = Output::new(env, settings.manner);
    let result = dispatch(&command, &Context { env, settings: &settings, out: &out });
    finish(result, &out)
}

fn dispatch(command: &Command, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Init(args) => commands::init::run(args, ctx),
        Command::Check(args) => commands::check::run(args, ctx),
        Command::Explain(args) => commands::explain::run(args, ctx),
        Command::Render(args) if args.deployed => wait(commands::render::run_deployed(args, ctx)),
        Command::Render(args) => wait(commands::render::run(args, ctx)),
        Command::Plan(args) => wait(commands::plan::run(args, ctx)),
        Command::Up(args) => wait_undoing(commands::up::run(args, ctx)),
        Command::Verify(args) => wait(commands::verify::run(args, ctx)),
        Command::Lock(args) => wait(commands::lock::run(args, ctx)),
        Command::Status(args) => wait(commands::status::run(args, ctx)),
        Command::Logs(args) => wait_watching(commands::logs::run(args, ctx)),
        Command::Exec(args) => wait_listening(commands::exec::run(args, ctx)),
        Command::Run(args) => wait_listening(commands::run::run(args, ctx)),
        Command::Forward(args) => wait_watching(commands::forward::run(args, ctx)),
        Command::Restart(args) => wait_undoing(commands::restart::run(args, ctx)),
        Command::Scale(args) => wait_undoing(commands::scale::run(args, ctx)),
        Command::Stats(args) => wait_watching(commands::stats::run(args, ctx)),
        Command::Prune(args) => wait(commands::prune::run(args, ctx)),
        Command::Maintenance(args) => wait_undoing(commands::maintenance::run(args, ctx)),
        Command::Releases(args) => wait(commands::releases::run(args, ctx)),
        Command::Diff(args) => wait(commands::diff::run(args, ctx)),
        Command::Rollback(args) => wait_undoing(commands::rollback::run(args, ctx)),
        Command::Audit(args) => wait(commands::audit::run(args, ctx)),
        Command::Down(args) => wait_undoing(commands::down::run(args, ctx)),
        Command::Secrets(command) => wait(commands::secrets::run(command, ctx)),
        Command::Cert(command) => wait(commands::cert::run(command, ctx)),
        Command::Schema => commands::schema::run(ctx),
        Command::Completions(args) => commands::completions::run(args, ctx),
        Command::Man(args) => commands::man::run(args, ctx),
    }
}

/// Runs a command that waits for others, on one thread, until it ends or the user stops it. Dropping the command is
/// what stops it: whatever must be undone hangs on what it holds.
fn wait(command: impl Future<Output = anyhow::Result<ExitStatus>>) -> anyhow::Result<ExitStatus> {
    wait_until(command, interrupted())
}

/// Runs a command that people end when they have seen enough: an interruption is no error to tell of.
fn wait_watching(command: impl Future<Output = anyhow::Result<ExitStatus>>) -> anyhow::Result<ExitStatus> {
    let result = wait(command);
    match &result {
        Err(error) if ExitStatus::of(error) == ExitStatus::Interrupted => Ok(ExitStatus::Interrupted),
        _ => result,
    }
}

/// Runs a command that hears signals itself, to pass them on.
fn wait_listening(command: impl Future<Output = anyhow::Result<ExitStatus>>) -> anyhow::Result<ExitStatus> {
    wait_until(command, std::future::pending())
}

fn wait_until(
    command: impl Future<Output = anyhow::Result<ExitStatus>>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::failed("cannot start").because(e))?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop => Err(Failure::new(Kind::Interrupted, "interrupted").into()),
            result = command => result,
        }
    })
}

/// Runs a command that listens for an interruption itself while it changes something, to undo what it began; a second
/// interruption ends it at once.
fn wait_undoing(command: impl Future<Output = anyhow::Result<ExitStatus>>) -> anyhow::Result<ExitStatus> {
    wait_until(command, async {
        interrupted().await;
        interrupted().await;
    })
}

fn finish(result: anyhow::Result<ExitStatus>, out: &Output) -> ExitStatus {
    match result {
        Ok(status) => status,
        Err(error) => {
            let status = ExitStatus::of(&error);
            if status != ExitStatus::Done {
                error::show(&error, out);
            }
            status
        }
    }
}

/// Help and version are data; wrong usage is talk.
fn usage(error: &clap::Error, out: &Output) -> ExitStatus {
    let text = error.render();
    let paint = if error.use_stderr() { out.talk_paint() } else { out.data_paint() };
    let text = if paint.0 { text.ansi().to_string() } else { text.to_string() };
    if error.use_stderr() {
        out.error(text.trim_end());
        return ExitStatus::Usage;
    }
    match out.line(text.trim_end()) {
        Ok(()) => ExitStatus::Done,
        Err(error) => finish(Err(error.into()), out),
    }
}

/// `--color` as typed, for what is shown before the arguments are understood.
fn typed_colour(args: &[OsString]) -> ColourChoice {
    let words: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
    let value = words.iter().enumerate().find_map(|(i, word)| {
        word.strip_prefix("--color=")
            .or_else(|| if word == "--color" { words.get(i + 1).map(AsRef::as_ref) } else { None })
    });
    match value {
        Some("always") => ColourChoice::Always,
        Some("never") => ColourChoice::Never,
        _ => ColourChoice::Auto,
    }
}
