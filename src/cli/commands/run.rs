//! `run`

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::base::hash;
use crate::cli::args::RunArgs;
use crate::cli::context::Context;
use crate::cli::converse::{Reach, Signal, converse, signals};
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session, target};
use crate::engine::session::{Command, OneOff};
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::ui::error::Failure;

/// Runs a command in a container of its own, like those of a service; ends with its exit code.
pub async fn run(args: &RunArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::quietly(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let project = &source.stack.project;
    let failed = |e: EngineError| session::failure(&e.into());
    let containers = engine.containers(project).await.map_err(failed)?;
    // The newest is of the release that serves; it need not run.
    let all = target::chosen(&containers, std::slice::from_ref(&args.service))?;
    let Some(model) = all.into_iter().max_by_key(|c| (c.running(), c.created)) else {
        return Err(Failure::failed(format!("`{}` has no container", args.service)).into());
    };
    let terminal = ctx.out.is_terminal() && !args.how.no_tty && !args.how.detach;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("{project}-{}-run-{}", args.service, slug()?),
    };
    let wanted = OneOff {
        name: name.clone(),
        command: Command {
            argv: args.command.clone(),
            env: args.how.env.iter().map(|pair| session::environment(pair, ctx.env)).collect(),
            user: args.how.user.clone(),
            folder: args.how.workdir.clone(),
            terminal,
            input: !args.how.detach,
        },
        entrypoint: args.entrypoint.as_ref().map(|program| vec![program.clone()]),
    };
    let mut signals = signals();
    let id = engine.one_off(&model.id, &wanted).await.map_err(failed)?;
    if args.how.detach {
        engine.start(&id).await.map_err(failed)?;
        ctx.out.line(&name)?;
        return Ok(ExitStatus::Done);
    }
    let ended = talk(&engine, &id, &wanted, &mut signals, ctx).await;
    // What could not even start is nobody's to keep.
    let keep = !args.rm && ended.as_ref().is_ok_and(|status| *status != NOT_RUN);
    if !keep {
        engine.remove_with_volumes(&id).await.map_err(failed)?;
    }
    ended
}

/// Exit code of what is not in the image.
const NOT_RUN: ExitStatus = ExitStatus::Command(127);

async fn talk(
    engine: &Engine,
    id: &str,
    wanted: &OneOff,
    signals: &mut tokio::sync::mpsc::UnboundedReceiver<Signal>,
    ctx: &Context<'_>,
) -> anyhow::Result<ExitStatus> {
    let failed = |e: EngineError| session::failure(&e.into());
    let attached = engine.attach(id, wanted.command.input).await.map_err(failed)?;
    match engine.start(id).await {
        Err(error) if error.kind == ErrorKind::NoSuchCommand => return Ok(session::cannot_run(&error, ctx)),
        other => other.map_err(failed)?,
    }
    let container = Container { engine, id };
    converse(engine, attached, wanted.command.terminal, signals, &container, ctx).await?;
    let code = engine.wait_exit(id).await.map_err(failed)?;
    Ok(session::command_status(code))
}

struct Container<'a> {
    engine: &'a Engine,
    id: &'a str,
}

impl Reach for Container<'_> {
    async fn pass(&self, signal: Signal) -> Result<(), EngineError> {
        self.engine.kill(self.id, signal.name()).await
    }

    async fn end(&self) {
        // Gone already, or the engine is: there is nothing more to do from here.
        let _ = self.engine.kill(self.id, "KILL").await;
    }
}

/// Twelve hexadecimal digits, as Compose names its own.
fn slug() -> Result<String, Failure> {
    let mut bytes = [0; 6];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Failure::failed("this system gives no random numbers"))?;
    Ok(hash::hex(&bytes))
}
