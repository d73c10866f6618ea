//! `exec`

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::args::ExecArgs;
use crate::cli::context::Context;
use crate::cli::converse::{Reach, Signal, converse, signals};
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session, target};
use crate::engine::session::{Command, Process};
use crate::engine::{Engine, EngineError, ErrorKind};

/// Variable by which the processes of one command are found again, to pass a signal on.
const MARK: &str = "STACKCTL_EXEC";

/// Runs a command in a service's container; ends with its exit code.
pub async fn run(args: &ExecArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::quietly(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let containers = engine.containers(&source.stack.project).await.map_err(|e| session::failure(&e.into()))?;
    let container = target::one(&containers, &args.service, args.index)?;
    let terminal = ctx.out.is_terminal() && !args.how.no_tty && !args.how.detach;
    let mut command = Command {
        argv: args.command.clone(),
        env: args.how.env.iter().map(|pair| session::environment(pair, ctx.env)).collect(),
        user: args.how.user.clone(),
        folder: args.how.workdir.clone(),
        terminal,
        input: !args.how.detach,
    };
    if args.how.detach {
        engine.exec_detached(&container.id, &command).await.map_err(|e| session::failure(&e.into()))?;
        return Ok(ExitStatus::Done);
    }
    let mark = mark();
    if !terminal {
        command.env.push(format!("{MARK}={mark}"));
    }
    let mut signals = signals();
    let started = match engine.exec_session(&container.id, &command).await {
        Err(error) if error.kind == ErrorKind::NoSuchCommand => return Ok(session::cannot_run(&error, ctx)),
        other => other.map_err(|e| session::failure(&e.into()))?,
    };
    let process = started.process.clone();
    let reach = Marked { engine: &engine, container: &container.id, user: args.how.user.clone(), mark, terminal };
    if let Some(words) = converse(&engine, started, terminal, &mut signals, &reach, ctx).await? {
        let doing = format!("run `{}` in {}", args.command[0], target::short_name(container));
        return Ok(session::cannot_run(&EngineError::new(ErrorKind::NoSuchCommand, doing, words), ctx));
    }
    let Process::Exec(id) = &process else { return Ok(ExitStatus::Done) };
    let code = engine.exec_end(id).await.map_err(|e| session::failure(&e.into()))?;
    Ok(session::command_status(code))
}

/// The engine passes no signals to commands it runs in a container. With a terminal none are needed: keys do it, and
/// hanging up. Without one, a second command finds the first one's processes by a variable, and tells them.
struct Marked<'a> {
    engine: &'a Engine,
    container: &'a str,
    user: Option<String>,
    mark: String,
    terminal: bool,
}

impl Marked<'_> {
    async fn tell(&self, signal: &str) -> Result<(), EngineError> {
        let script = format!(
            "for p in /proc/[0-9]*; do tr '\\0' '\\n' <$p/environ 2>/dev/null | grep -qx '{MARK}={}' && \
             kill -{signal} ${{p#/proc/}}; done; true",
            self.mark
        );
        let command = Command {
            argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            user: self.user.clone(),
            ..Command::default()
        };
        self.engine.exec_detached(self.container, &command).await
    }
}

impl Reach for Marked<'_> {
    async fn pass(&self, signal: Signal) -> Result<(), EngineError> {
        if self.terminal { Ok(()) } else { self.tell(signal.name()).await }
    }

    async fn end(&self) {
        if !self.terminal {
            let _ = self.tell("KILL").await;
        }
    }
}

/// Differs from command to command.
fn mark() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("{}-{now}", std::process::id())
}
