//! A deploy from the lock to the release's record.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use crate::engine::state::release_file;
use crate::engine::{Engine, LockError};
use crate::model::container::label;
use crate::model::proxy::Proxy;
use crate::model::state::Release;
use crate::plan::Plan;
use crate::plan::undo::{Undo, undo};

use super::error::ApplyError;
use super::event::{Event, Sink};
use super::executor;
use super::prepare::{Prepared, Wanted, prepare};
use super::steps::Effects;

/// What a deploy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// Number of the release; `None` if there was nothing to do.
    pub release: Option<u32>,
    /// Steps that were done.
    pub steps: usize,
}

/// How long to wait for another run to end before giving up.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Carries a plan out that somebody has seen. Under the lock everything is read again: what another run did meanwhile
/// is not done twice. `consent` says that interruptions were agreed to.
pub async fn up(
    engine: &Engine,
    wanted: &Wanted,
    consent: bool,
    now: fn() -> u64,
    interrupted: impl Future<Output = ()>,
    sink: &mut dyn Sink,
) -> Result<Deployed, ApplyError> {
    let project = &wanted.stack.project;
    engine.ensure_holder().await?;
    let lock = take_lock(engine, wanted, now, sink).await?;
    let labels = BTreeMap::from([(label::PROJECT.to_owned(), project.to_string())]);
    engine.create_state(project, wanted.stack.stage.as_deref().unwrap_or_default(), labels).await?;
    let prepared = prepare(engine, wanted).await?;
    if prepared.plan.is_empty() {
        lock.release().await?;
        return Ok(Deployed { release: None, steps: 0 });
    }
    if prepared.plan.needs_consent() && !consent {
        return Err(ApplyError::NeedsConsent);
    }
    let effects = Effects {
        engine,
        project,
        domain: wanted.stack.proxy.as_ref().map_or("localhost", Proxy::canonical).to_owned(),
        contexts: &prepared.contexts,
        folder: wanted.folder.clone(),
        mirror: wanted.mirror.clone(),
        lock: Some(&lock),
    };
    let result = carry_out(&effects, &prepared.plan, interrupted, sink).await;
    // The record is for people: a run that succeeded has succeeded, whether or not it could be written down.
    let record = release_file(&record(&prepared, &result, wanted, now()));
    let recorded = engine.write_state(project, &[record]).await;
    if let Err(error) = recorded {
        sink.event(Event::Note(format!("the release could not be recorded: {error}")));
    }
    lock.release().await?;
    result.map(|()| Deployed { release: Some(prepared.plan.release), steps: prepared.plan.steps.len() })
}

pub async fn take_lock(
    engine: &Engine,
    wanted: &Wanted,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<crate::engine::lock::Lock, ApplyError> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match engine.lock(&wanted.stack.project, &wanted.by, now()).await {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { by, since }) => {
                let seconds = now().saturating_sub(since);
                if began.elapsed() > LOCK_PATIENCE {
                    return Err(ApplyError::Locked { by, seconds });
                }
                if !told {
                    sink.event(Event::Note(format!("waiting for {by}, at work on this stack for {seconds} s")));
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(LockError::Engine(error)) => return Err(error.into()),
        }
    }
}

/// Runs a plan; if it fails while the old release still serves, what was begun is taken back.
pub async fn carry_out(
    effects: &Effects<'_>,
    plan: &Plan,
    interrupted: impl Future<Output = ()>,
    sink: &mut dyn Sink,
) -> Result<(), ApplyError> {
    let began = Instant::now();
    sink.event(Event::Begin(plan));
    let run = executor::run(effects, plan, interrupted, sink).await;
    let mut result = run.error.map_or(Ok(()), Err);
    if let Err(error) = &mut result {
        let aftermath = if only_removes(plan) {
            "what is left goes when you run it again".to_owned()
        } else {
            match undo(plan, &run.reached) {
                Undo::GoOn => "the new release serves; `stackctl up` finishes what is left".to_owned(),
                Undo::Back { remove, links, start } => take_back(effects, &remove, links, &start, sink).await,
            }
        };
        if let ApplyError::Step(failure) = error {
            failure.aftermath = aftermath;
        } else {
            sink.event(Event::Note(aftermath));
        }
    }
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    sink.event(Event::End { done: result.is_ok(), millis });
    result
}

/// Whether a plan only takes away: there is nothing to go back to.
fn only_removes(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| step.action.sign() == '-')
}

async fn take_back(
    effects: &Effects<'_>,
    remove: &[String],
    links: Vec<(String, BTreeMap<String, String>)>,
    start: &[String],
    sink: &mut dyn Sink,
) -> String {
    if !remove.is_empty() {
        sink.event(Event::Undoing(format!("removing {}", remove.join(", "))));
    }
    let mut left = Vec::new();
    let removals = remove.iter().map(|name| async move { (name, effects.engine.remove(name, true).await) });
    for (name, result) in futures_util::future::join_all(removals).await {
        if result.is_err() {
            left.push(name.as_str());
        }
    }
    for (volume, links) in links {
        let links: Vec<(String, String)> = links.into_iter().collect();
        if effects.engine.write_files(&volume, &[], &links).await.is_err() {
            left.push("other files");
        }
    }
    let mut away = Vec::new();
    for name in start {
        sink.event(Event::Undoing(format!("starting {name} again")));
        if effects.engine.start(name).await.is_err() {
            away.push(name.as_str());
        }
    }
    match (left.as_slice(), away.as_slice()) {
        ([], []) => "nothing has been switched: what served before still serves".to_owned(),
        (left, []) => format!("what served before still serves; left behind: {}", left.join(", ")),
        (_, away) => format!("these could not be started again: {}", away.join(", ")),
    }
}

fn record(prepared: &Prepared, result: &Result<(), ApplyError>, wanted: &Wanted, ended: u64) -> Release {
    Release {
        number: prepared.plan.release,
        ended,
        by: wanted.by.clone(),
        result: if result.is_ok() { "done" } else { "failed" }.to_owned(),
        images: prepared.images.clone(),
        steps: prepared.plan.steps.len(),
        error: result.as_ref().err().map(ToString::to_string),
    }
}
