//! The user's streams and signals on one side, a command's on the other.

use std::cell::Cell;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::engine::session::{Chunk, Input, Output, Process, Session};
use crate::engine::{Engine, EngineError};
use crate::ui::error::{Failure, Kind};
use crate::ui::terminal;

use super::context::Context;

/// A signal that asks us to stop, and is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The system asks.
    Terminate,
    /// The terminal went away.
    HangUp,
    /// Ctrl-\.
    Quit,
}

impl Signal {
    /// Its name for the engine and for `kill`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::HangUp => "HUP",
            Self::Quit => "QUIT",
        }
    }
}

/// Signals from now on, as they come.
#[cfg(unix)]
pub fn signals() -> UnboundedReceiver<Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    let (send, receive) = unbounded_channel();
    for (kind, name) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::hangup(), Signal::HangUp),
        (SignalKind::quit(), Signal::Quit),
    ] {
        let send = send.clone();
        if let Ok(mut stream) = signal(kind) {
            tokio::spawn(async move { while stream.recv().await.is_some() && send.send(name).is_ok() {} });
        }
    }
    receive
}

/// What to do about a signal; both are tried in turn.
pub(in crate::cli) trait Reach {
    /// Passes a signal on to the command.
    async fn pass(&self, signal: Signal) -> Result<(), EngineError>;
    /// Ends the command at once.
    async fn end(&self);
}

/// How the engine's words begin, where it has them instead of a command's output.
const NOT_RUN: &[u8] = b"OCI runtime exec failed";

/// Joins the streams until the command closed its own. The first signal is passed on; the second ends the command.
/// Where the engine could not start it, its words are returned.
pub(in crate::cli) async fn converse(
    engine: &Engine,
    session: Session,
    terminal: bool,
    signals: &mut UnboundedReceiver<Signal>,
    reach: &impl Reach,
    ctx: &Context<'_>,
) -> anyhow::Result<Option<String>> {
    let Session { input, output, process } = session;
    let raw = if terminal {
        Some(terminal::Raw::enter().map_err(|e| Failure::failed("cannot hand the terminal over").because(e))?)
    } else {
        None
    };
    let streams = async {
        let show = show(output, ctx);
        let feed = feed(input);
        let sizes = sizes(engine, &process, terminal);
        tokio::pin!(show, feed, sizes);
        // The end is that of the output: a command may close its input long before.
        tokio::select! {
            shown = &mut show => shown,
            never = async { tokio::join!(&mut feed, &mut sizes); std::future::pending::<anyhow::Result<Option<String>>>().await } => never,
        }
    };
    let ended = Cell::new(false);
    let stop = async {
        let mut seen = 0;
        while let Some(signal) = signals.recv().await {
            seen += 1;
            if seen > 1 {
                ended.set(true);
                return reach.end().await;
            }
            if let Err(error) = reach.pass(signal).await {
                ctx.out.warn(format!("{error}; once more ends it"));
            }
        }
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = streams => result,
        () = stop => Ok(None),
    };
    drop(raw);
    // Its output may end before we are told that it was ended.
    if ended.get() { Err(Failure::new(Kind::Interrupted, "interrupted").into()) } else { result }
}

async fn show(mut output: Output, ctx: &Context<'_>) -> anyhow::Result<Option<String>> {
    let mut first = true;
    while let Some(chunk) = output.next().await {
        match chunk.map_err(|e| Failure::failed(e.to_string()))? {
            Chunk::Out(bytes) if first && bytes.starts_with(NOT_RUN) => {
                return Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned()));
            }
            Chunk::Out(bytes) => ctx.out.bytes(&bytes)?,
            Chunk::Err(bytes) => ctx.out.error_bytes(&bytes),
        }
        first = false;
    }
    Ok(None)
}

/// A command that does not read any more has closed its input; what it prints tells why.
async fn feed(mut input: Input) {
    let mut typed = terminal::typed();
    while let Some(bytes) = typed.recv().await {
        if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
    let _ = input.shutdown().await;
}

/// Tells the size of the terminal now, and whenever it changes.
async fn sizes(engine: &Engine, process: &Process, terminal: bool) {
    if !terminal {
        return;
    }
    #[cfg(unix)]
    if let Ok(mut changed) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()) {
        // A command that only just started may not have its terminal yet.
        for pause in [0, 50, 200] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            tell_size(engine, process).await;
        }
        while changed.recv().await.is_some() {
            tell_size(engine, process).await;
        }
    }
}

async fn tell_size(engine: &Engine, process: &Process) {
    if let Some((rows, columns)) = terminal::size() {
        // A wrong width is no reason to end a session.
        let _ = engine.resize(process, rows, columns).await;
    }
}
