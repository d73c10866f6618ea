//! A deploy from the lock to the release's record.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::base::units::Span;
use crate::engine::{Engine, LockError};
use crate::files::Context;
use crate::model::artifact::Artifact;
use crate::model::container::label;
use crate::model::proxy::Proxy;
use crate::model::served::Served;
use crate::plan::disk::{self, Room};
use crate::plan::reconcile::FRONT_DOOR;
use crate::plan::undo::{Moved, Reload, Undo, undo};
use crate::plan::{Action, Plan, Seal};
use crate::probe::Meter;

use super::drain;
use super::error::{ApplyError, Failure};
use super::event::{Event, Sink};
use super::executor;
use super::hooks;
use super::meter;
use super::notify::{self, Ending};
use super::prepare::{Prepared, prepare};
use super::record::{self, Ran};
use super::steps::{Effects, switch};
use super::wanted::Wanted;

/// What a deploy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// Number of the release; `None` if there was nothing to do.
    pub release: Option<u32>,
    /// Steps that were done.
    pub steps: usize,
    /// What visitors met meanwhile, if somebody could measure it.
    pub served: Option<Served>,
    /// Hooks that did not end well, although the release is out.
    pub hooks: Vec<Failure>,
}

/// How long to wait for another run to end before giving up.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How often a plan is made anew because another stack, which has a lock of its own, was quicker to take addresses.
const TURNS: u32 = 4;

/// How a deploy is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// Interruptions were agreed to.
    pub consent: bool,
    /// Do exactly what this plan says, or nothing.
    pub seal: Option<&'a Seal>,
    /// Containers of a failed release are stopped and stay until the next run, instead of being removed.
    pub keep_failed: bool,
}

/// Carries a plan out that somebody has seen. Under the lock everything is read again: what another run did meanwhile
/// is not done twice.
pub async fn up(
    engine: &Engine,
    wanted: &Wanted,
    terms: Terms<'_>,
    now: fn() -> u64,
    interrupted: impl Future<Output = ()>,
    sink: &mut dyn Sink,
) -> Result<Deployed, ApplyError> {
    let project = &wanted.stack.project;
    engine.ensure_holder().await?;
    let lock = take_lock(engine, wanted, now, sink).await?;
    let labels = BTreeMap::from([(label::PROJECT.to_owned(), project.to_string())]);
    engine.create_state(project, wanted.stack.stage.as_deref().unwrap_or_default(), labels).await?;
    tokio::pin!(interrupted);
    let mut turn = 1;
    let mut deployment = None;
    let (prepared, began, Ended { result, logs, hooks }, served) = loop {
        let prepared = prepare(engine, wanted).await?;
        if let Some(seal) = terms.seal {
            let different = seal.broken_by(&prepared.seal(wanted));
            if !different.is_empty() {
                return Err(ApplyError::Stale(different));
            }
        }
        if prepared.plan.is_empty() {
            lock.release().await?;
            return Ok(Deployed { release: None, steps: 0, served: None, hooks: Vec::new() });
        }
        if prepared.plan.needs_consent() && !terms.consent {
            return Err(ApplyError::NeedsConsent);
        }
        room(engine, &prepared, sink).await?;
        let effects = Effects {
            engine,
            project,
            domain: wanted.stack.proxy.as_ref().map_or("localhost", Proxy::canonical).to_owned(),
            values: Some(&prepared.values),
            contexts: &prepared.contexts,
            folder: wanted.folder.clone(),
            mirror: wanted.mirror.clone(),
            here: wanted.here.clone(),
            lock: Some(&lock),
        };
        deployment = deployment.or_else(|| notify::begin(wanted, &prepared));
        let began = now();
        let meter = meter::start(engine, &wanted.stack, &prepared.observed);
        if let Err(why) = &meter {
            sink.event(Event::Note(format!("what visitors meet is not measured: {why}")));
        }
        let ended = carry_out(&effects, &prepared.plan, terms.keep_failed, interrupted.as_mut(), sink).await;
        let served = meter.ok().and_then(Meter::stop);
        let raced = ended.result.as_ref().err().is_some_and(ApplyError::raced);
        if !raced || turn == TURNS || terms.seal.is_some() {
            break (prepared, began, ended, served);
        }
        turn += 1;
        sink.event(Event::Note("another stack took these addresses meanwhile: planning anew".to_owned()));
    };
    // The record is for people: a run that succeeded has succeeded, whether or not it could be written down.
    let ended = now();
    let ran = Ran { began, ended, result: &result, hooks: &hooks, served: served.clone(), logs };
    if let Err(error) = record::keep(engine, wanted, &prepared, ran).await {
        sink.event(Event::Note(format!("the release could not be recorded: {error}")));
    }
    if let Err(error) = lock.release().await {
        sink.event(Event::Note(format!("{error}; the engine frees the lock by itself when this program ends")));
    }
    // Nobody waits for the lock while a receiver is slow.
    let ending = Ending { began, ended, result: &result, hooks: &hooks, served: served.clone() };
    for note in notify::tell(wanted, &prepared, deployment, ending).await {
        sink.event(Event::Note(note));
    }
    let steps = prepared.plan.steps.len();
    result.map(|()| Deployed { release: Some(prepared.plan.release), steps, served, hooks })
}

/// Looks whether there is room for what is pulled or built. An engine that does not say is no reason to stop.
async fn room(engine: &Engine, prepared: &Prepared, sink: &mut dyn Sink) -> Result<(), ApplyError> {
    if !disk::asks(&prepared.plan) {
        return Ok(());
    }
    let built = prepared.plan.steps.iter().filter_map(|step| match &step.action {
        Action::Build { build, .. } => prepared.contexts.get(&build.name),
        _ => None,
    });
    let contexts: u64 = built.map(Context::size).sum();
    let room = match engine.disk().await {
        Ok(disk) => disk::judge(disk, contexts),
        Err(error) => {
            sink.event(Event::Note(format!("{error}; so whether there is room is not known")));
            return Ok(());
        }
    };
    if room == Room::Enough {
        return Ok(());
    }
    let way_out = disk::way_out(engine.reclaimable().await.ok());
    match room {
        Room::Enough => {}
        Room::Little(figures) => sink.event(Event::Note(format!("{figures}: {way_out}"))),
        Room::None(figures) => return Err(ApplyError::NoRoom(figures, way_out)),
    }
    Ok(())
}

/// Waits its turn.
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

/// How carrying out a plan ended.
pub struct Ended {
    /// Why it did not come to its end, if so.
    pub result: Result<(), ApplyError>,
    /// The last lines of containers that were taken back, by name.
    pub logs: BTreeMap<String, Vec<String>>,
    /// Hooks of a release that is out which did not end well.
    pub hooks: Vec<Failure>,
}

/// Runs a plan; if it fails while the old release still serves, what was begun is taken back. With `keep_failed`, new
/// containers are only stopped then.
pub async fn carry_out(
    effects: &Effects<'_>,
    plan: &Plan,
    keep_failed: bool,
    interrupted: impl Future<Output = ()>,
    sink: &mut dyn Sink,
) -> Ended {
    let began = Instant::now();
    sink.event(Event::Begin(plan));
    let run = executor::run(effects, plan, interrupted, sink).await;
    let mut result = run.error.map_or(Ok(()), Err);
    let hooks = run.hooks;
    let mut logs = BTreeMap::new();
    if let Err(error) = &mut result {
        let aftermath = if only_removes(plan) {
            "what is left goes when you run it again".to_owned()
        } else {
            match undo(plan, &run.reached) {
                Undo::GoOn => "the new release serves; `stackctl up` finishes what is left".to_owned(),
                Undo::Back { remove, stop, links, reload, start, moved } => {
                    let returned = match &moved {
                        Some(moved) => move_back(effects, moved, sink).await,
                        None => Ok(()),
                    };
                    logs = last_lines(effects.engine, &remove).await;
                    match returned {
                        Ok(()) => {
                            let reload = reload.as_deref();
                            let back =
                                Back { remove: &remove, stop: &stop, links, reload, start: &start, keep: keep_failed };
                            let said = take_back(effects, back, sink).await;
                            if moved.is_some() { said.replace(NOT_SWITCHED, WENT_BACK) } else { said }
                        }
                        // Both generations run; the new one has the traffic.
                        Err(why) => format!("traffic could not be sent back ({why}); run `stackctl up` again"),
                    }
                }
            }
        };
        let cause = error.to_string();
        if let ApplyError::Step(failure) = error {
            failure.aftermath.clone_from(&aftermath);
        } else {
            sink.event(Event::Note(aftermath.clone()));
        }
        hooks::on_failure(effects, plan, &cause, &aftermath, sink).await;
    }
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    sink.event(Event::End { done: result.is_ok(), millis });
    Ended { result, logs, hooks }
}

/// What is said after a failure that nobody has noticed.
const NOT_SWITCHED: &str = "nothing has been switched: what served before still serves";

/// What is said after a failure that some have noticed.
const WENT_BACK: &str = "traffic went back to what served before";

/// Sends traffic back to the containers that had it, and waits for the last requests to the others.
async fn move_back(effects: &Effects<'_>, moved: &Moved, sink: &mut dyn Sink) -> Result<(), String> {
    sink.event(Event::Undoing("sending traffic back".to_owned()));
    switch(effects.engine, &moved.volume, &moved.flags).await.map_err(|e| e.message)?;
    drain::until_quiet(effects.engine, &moved.door, &moved.drain, moved.time.0, &|_| {}).await;
    Ok(())
}

/// How many of a container's last lines are kept with a failed release.
const LAST_LINES: usize = 200;

/// What containers said that are about to go. Nobody can look afterwards.
async fn last_lines(engine: &Engine, containers: &[String]) -> BTreeMap<String, Vec<String>> {
    let one = async |name: &String| {
        let lines = engine.logs_tail(name, LAST_LINES).await.unwrap_or_default();
        (name.clone(), lines)
    };
    let all = futures_util::future::join_all(containers.iter().map(one)).await;
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

/// What is to be taken back.
struct Back<'a> {
    remove: &'a [String],
    stop: &'a [String],
    links: Vec<(String, BTreeMap<String, String>)>,
    reload: Option<&'a Reload>,
    start: &'a [String],
    keep: bool,
}

/// How long a container gets that is stopped to be looked at.
const GRACE: Span = Span::seconds(10);

/// Whether a plan only takes away: there is nothing to go back to.
fn only_removes(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| step.action.sign() == '-')
}

/// Puts the front door's links back and has it load what they lead to.
async fn load_again(
    effects: &Effects<'_>,
    door: &Reload,
    links: &[(String, BTreeMap<String, String>)],
) -> Result<(), String> {
    // Whatever comes of it: nobody may take the new files for loaded.
    let unmark = Artifact::plain(format!("applied/{FRONT_DOOR}"), "");
    effects.engine.write_state(effects.project, &[unmark]).await.map_err(|e| e.message)?;
    for (volume, links) in links {
        switch(effects.engine, volume, links).await.map_err(|e| e.message)?;
    }
    effects.load(&door.container, &door.hash, door.listener).await.map_err(|failure| failure.cause)
}

async fn take_back(effects: &Effects<'_>, back: Back<'_>, sink: &mut dyn Sink) -> String {
    let Back { remove, stop, links, reload, start, keep } = back;
    let engine = effects.engine;
    let mut left = Vec::new();
    // Those that go are behind its new routes.
    if let Some(door) = reload {
        sink.event(Event::Undoing(format!("loading the files of before into {}", door.container)));
        if load_again(effects, door, &links).await.is_err() {
            left.push("other files of the front door");
        }
    }
    if !remove.is_empty() {
        let doing = if keep { "stopping" } else { "removing" };
        sink.event(Event::Undoing(format!("{doing} {}", remove.join(", "))));
    }
    let removals = remove.iter().map(|name| async move {
        if keep {
            return (name, engine.stop(name, GRACE).await);
        }
        // Removed between an end and the next start, a container may stay on the network's count (Docker 20.10), which
        // then cannot be removed: one that was stopped is not started again. What comes of it shows right after.
        let _ = engine.stop(name, Span::seconds(0)).await;
        (name, engine.remove_with_volumes(name).await)
    });
    let stops = stop.iter().map(|name| async move { (name, engine.stop(name, GRACE).await) });
    let (removed, stopped) =
        tokio::join!(futures_util::future::join_all(removals), futures_util::future::join_all(stops));
    for (name, result) in removed.into_iter().chain(stopped) {
        if result.is_err() {
            left.push(name.as_str());
        }
    }
    for (volume, links) in links.into_iter().filter(|_| reload.is_none()) {
        if switch(effects.engine, &volume, &links).await.is_err() {
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
        ([], []) if keep && !remove.is_empty() => {
            format!("{NOT_SWITCHED}; kept until the next run, stopped: {}", remove.join(", "))
        }
        ([], []) => NOT_SWITCHED.to_owned(),
        (left, []) => format!("what served before still serves; left behind: {}", left.join(", ")),
        (_, away) => format!("these could not be started again: {}", away.join(", ")),
    }
}
