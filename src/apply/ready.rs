//! Waiting for containers: asked directly, watched by the engine meanwhile, so that one that dies is not waited for.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::base::name::ProjectName;
use crate::base::units::Span;
use crate::engine::events::Action;
use crate::engine::{Engine, EngineError};
use crate::model::service::{Ask, Health};
use crate::plan::reconcile::SETTLE;
use crate::probe;

/// Why a container cannot take its place.
pub(super) struct NotReady {
    /// What was seen.
    pub(super) cause: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
    /// How it ended, if it did: the engine may have started it again since.
    pub(super) exit_code: Option<i64>,
}

impl NotReady {
    fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), hint: None, exit_code: None }
    }
}

/// First pause between two questions; it grows to [`SLOWEST`].
const FIRST: Duration = Duration::from_millis(25);

/// Longest pause between two questions.
const SLOWEST: Duration = Duration::from_millis(250);

/// Pause between two questions while a container must stay ready.
const HOLD: Duration = Duration::from_millis(500);

/// How often a container that ended and runs again is looked at, to see how it ends.
const ENDS_AGAIN: u32 = 20;

/// How long the front door may take to load new files, or to reach a candidate that is ready; and how long something
/// that runs elsewhere may refuse.
const DOOR: Duration = Duration::from_secs(10);

/// How long a container is waited for, where stack.toml says so.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience {
    /// How long it must stay ready.
    pub(super) hold: Option<Span>,
    /// How long it may take, instead of its `start_period`.
    pub(super) timeout: Option<Span>,
}

/// Waits until a container is ready, and for as long as it must stay so; fails as soon as it exits, or when its time
/// is over.
pub(super) async fn wait(
    engine: &Engine,
    project: &ProjectName,
    container: &str,
    health: Option<&Health>,
    address: Option<SocketAddrV4>,
    patience: Patience,
    tell: &dyn Fn(String),
) -> Result<(), NotReady> {
    let ready = async {
        let hold = patience.hold.unwrap_or(Span::seconds(0));
        match (health, address) {
            (Some(Health { ask: Ask::Command(_), start_period, .. }), _) => {
                healthy(engine, project, container, patience.timeout.unwrap_or(*start_period).0).await?;
                stays(hold, async || {
                    let info = engine.inspect_exit(container).await.map_err(|e| e.message)?;
                    if info.health == "unhealthy" { Err(info.health_output) } else { Ok(()) }
                })
                .await
            }
            (Some(health), Some(address)) => {
                let limit = patience.timeout.unwrap_or(health.start_period);
                asked(engine, health, address, limit, tell).await?;
                stays(hold, async || once(engine, health, address).await).await
            }
            (Some(_), None) => Err(NotReady::new("it has no address that could be asked")),
            (None, _) => {
                tokio::time::sleep(SETTLE.0.max(hold.0)).await;
                Ok(())
            }
        }
    };
    tokio::select! {
        ready = ready => ready,
        exited = exited(engine, container) => Err(exited),
    }
}

/// Asks again and again for a while; one failure is enough.
async fn stays(time: Span, mut ask: impl AsyncFnMut() -> Result<(), String>) -> Result<(), NotReady> {
    let began = Instant::now();
    while began.elapsed() < time.0 {
        tokio::time::sleep(HOLD.min(time.0.saturating_sub(began.elapsed()))).await;
        if let Err(why) = ask().await {
            let after = Span(Duration::from_millis(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)));
            return Err(NotReady::new(format!("it was ready, and {after} later no more: {why}")));
        }
    }
    Ok(())
}

/// Asks once, from here, by whatever way leads to the container.
async fn once(engine: &Engine, health: &Health, address: SocketAddrV4) -> Result<(), String> {
    let here = engine.reach(address).await.map_err(|e| format!("it cannot be asked from here: {}", e.message))?;
    match &health.ask {
        // A forwarded port accepts connections whether or not anybody listens at its other end.
        Ask::Tcp if here != address => engine.knock(address).await.map_err(|e| e.message),
        _ => probe::ready(health, here).await.map_err(|why| why.0),
    }
}

async fn asked(
    engine: &Engine,
    health: &Health,
    address: SocketAddrV4,
    limit: Span,
    tell: &dyn Fn(String),
) -> Result<(), NotReady> {
    let began = Instant::now();
    let mut pause = FIRST;
    let mut said = String::new();
    loop {
        let tried = once(engine, health, address).await;
        let Err(why) = tried else { return Ok(()) };
        if began.elapsed() > limit.0 {
            return Err(NotReady {
                exit_code: None,
                cause: format!("not ready after {limit}: {why}"),
                hint: Some("if it only needs longer, give it a longer `healthcheck.start_period`".to_owned()),
            });
        }
        if why != said && began.elapsed() > Duration::from_secs(1) {
            tell(why.clone());
            said = why;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(SLOWEST);
    }
}

/// Waits for the engine's own health check: subscribed first, then asked, so that no change is missed.
async fn healthy(engine: &Engine, project: &ProjectName, container: &str, limit: Duration) -> Result<(), NotReady> {
    let failed = |e: EngineError| NotReady { hint: e.hint(), ..NotReady::new(e.message) };
    let mut events = engine.subscribe(project).await.map_err(failed)?;
    if engine.inspect_exit(container).await.map_err(failed)?.health == "healthy" {
        return Ok(());
    }
    let watch = async {
        while let Some(event) = events.next().await {
            match event {
                Ok(event) if event.name == container => match event.action {
                    Action::Health(state) if state == "healthy" => return Ok(()),
                    Action::Health(state) if state == "unhealthy" => {
                        let output = engine.inspect_exit(container).await.map(|i| i.health_output).unwrap_or_default();
                        return Err(NotReady::new(format!("its health check fails: {}", output.trim())));
                    }
                    _ => {}
                },
                Ok(_) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(NotReady::new("the engine stopped telling what happens"))
    };
    match tokio::time::timeout(limit, watch).await {
        Ok(result) => result,
        Err(_) => Err(NotReady::new(format!("not healthy after {}", crate::base::units::Span(limit)))),
    }
}

/// Resolves when the container does not run any more.
async fn exited(engine: &Engine, container: &str) -> NotReady {
    let code = engine.wait_exit(container).await;
    let mut info = engine.inspect_exit(container).await.unwrap_or_default();
    // The engine may have started it again already: what fails once fails again soon.
    for _ in 0..ENDS_AGAIN {
        if !info.running {
            break;
        }
        tokio::time::sleep(FIRST * 2).await;
        info = engine.inspect_exit(container).await.unwrap_or_default();
    }
    match code {
        _ if !info.error.is_empty() => NotReady::new(format!("it could not start: {}", info.error)),
        // An engine that starts it again answers 0 meanwhile, but remembers.
        Ok(code) => {
            let code = match code {
                0 if info.running => engine.last_end(container).await.unwrap_or(0),
                0 => info.exit_code,
                code => code,
            };
            NotReady { exit_code: Some(code), ..NotReady::new(format!("it exited with {code}")) }
        }
        Err(error) => NotReady { hint: error.hint(), ..NotReady::new(error.message) },
    }
}

fn no_way(error: &EngineError) -> NotReady {
    NotReady { hint: error.hint(), ..NotReady::new(format!("it cannot be asked from here: {}", error.message)) }
}

/// Waits until something that runs elsewhere accepts a connection from here, for a moment: it is not ours to start.
pub(super) async fn reach(host: &str, port: u16) -> Result<(), NotReady> {
    let began = Instant::now();
    loop {
        let why = match probe::reach(host, port).await {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        if began.elapsed() > DOOR {
            return Err(NotReady {
                exit_code: None,
                cause: format!("{host}:{port}: {why}"),
                hint: Some(
                    "see whether its address in `external` is right, and whether a firewall is in between".to_owned(),
                ),
            });
        }
        tokio::time::sleep(SLOWEST).await;
    }
}

/// Asks a candidate through the front door's private listener, as the front door will ask it.
pub(super) async fn gate(
    engine: &Engine,
    listener: SocketAddrV4,
    candidate: SocketAddrV4,
    path: &str,
    domain: &str,
) -> Result<(), NotReady> {
    let header = candidate.to_string();
    let headers = [(crate::render::nginx::CANDIDATE_HEADER, header.as_str())];
    let listener = engine.reach(listener).await.map_err(|e| no_way(&e))?;
    let began = Instant::now();
    loop {
        let seen = match probe::through(SocketAddr::V4(listener), path, domain, &headers).await {
            Ok(response) if (200..400).contains(&response.status) => return Ok(()),
            Ok(response) => format!("the front door gets {} for {path}", response.status),
            Err(error) => format!("the front door's private listener: {error}"),
        };
        if began.elapsed() > DOOR {
            return Err(NotReady {
                exit_code: None,
                cause: seen,
                hint: Some(
                    "it answers when asked directly; what does the front door send that it does not like?".to_owned(),
                ),
            });
        }
        tokio::time::sleep(SLOWEST).await;
    }
}

/// Waits until the front door says that it serves by these files.
pub(super) async fn serves_by(engine: &Engine, listener: SocketAddrV4, hash: &str) -> Result<(), String> {
    let listener = engine.reach(listener).await.map_err(|e| e.to_string())?;
    let began = Instant::now();
    let mut pause = FIRST;
    loop {
        let seen = match probe::through(SocketAddr::V4(listener), "/stackctl/release", "localhost", &[]).await {
            Ok(response) if String::from_utf8_lossy(&response.body).trim() == hash => return Ok(()),
            Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body).trim()),
            Err(error) => error.to_string(),
        };
        if began.elapsed() > DOOR {
            return Err(format!("after {} s the front door still serves by other files ({seen})", DOOR.as_secs()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(SLOWEST);
    }
}
