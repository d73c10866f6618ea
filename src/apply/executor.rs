//! Walks a plan: every step as soon as what it waits for is done, independent ones side by side. Decides nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::plan::undo::Reached;
use crate::plan::{Action, Plan};

use super::error::{ApplyError, Failure};
use super::event::{Event, Sink};
use super::steps::Effects;

/// Processors of an engine that is not this machine, as far as anybody knows.
const SOME: usize = 4;

/// How a plan ended.
pub struct Run {
    /// How far each step got.
    pub reached: Vec<Reached>,
    /// Why it stopped early, if it did.
    pub error: Option<ApplyError>,
    /// Hooks of a release that is out which did not end well.
    pub hooks: Vec<Failure>,
}

type Outcome = (usize, Result<(), Failure>);
type Running<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + 'a>>>;

/// Carries a plan out. After a failure nothing new begins; what waits is given up, what changes something is
/// awaited, so that it is known what is there. `interrupted` ends like a failure.
pub async fn run(
    effects: &Effects<'_>,
    plan: &Plan,
    interrupted: impl Future<Output = ()>,
    sink: &mut dyn Sink,
) -> Run {
    let (news, mut heard) = mpsc::unbounded_channel::<(usize, String, bool)>();
    let mut reached = vec![Reached::Not; plan.steps.len()];
    let mut since: BTreeMap<usize, Instant> = BTreeMap::new();
    let mut running: Running<'_> = FuturesUnordered::new();
    let mut error: Option<ApplyError> = None;
    let mut hooks = Vec::new();
    tokio::pin!(interrupted);
    let at_once = at_once(effects.engine);

    loop {
        if error.is_none() {
            for index in ready(plan, &reached) {
                let Some(step) = plan.steps.get(index) else { continue };
                let busy = since.keys().filter(|i| plan.steps.get(**i).is_some_and(|s| is_short(&s.action))).count();
                if is_short(&step.action) && busy >= at_once {
                    continue;
                }
                reached[index] = Reached::Begun;
                since.insert(index, Instant::now());
                sink.event(Event::Started { index, step });
                let news = news.clone();
                running.push(Box::pin(async move {
                    let tell = |text: String| drop(news.send((index, text, false)));
                    let mark = |text: String| drop(news.send((index, text, true)));
                    (index, effects.perform(step, &tell, &mark).await)
                }));
            }
        }
        // After a failure, steps that only wait need not be waited for.
        let only_waiting = since.keys().all(|i| plan.steps.get(*i).is_some_and(|s| waits(&s.action)));
        if running.is_empty() || (error.is_some() && only_waiting) {
            break;
        }
        tokio::select! {
            biased;
            Some((index, text, lasting)) = heard.recv() => {
                if let Some(step) = plan.steps.get(index) {
                    sink.event(Event::Progress { index, step, text, lasting });
                }
            }
            Some((index, outcome)) = running.next() => {
                let millis = since.remove(&index).map_or(0, |t| u64::try_from(t.elapsed().as_millis()).unwrap_or(u64::MAX));
                let Some(step) = plan.steps.get(index) else { continue };
                match outcome {
                    Ok(()) => {
                        reached[index] = Reached::Done;
                        sink.event(Event::Finished { index, step, millis });
                    }
                    Err(failure) => {
                        sink.event(Event::Failed { index, step, error: failure.cause.clone() });
                        if matches!(step.action, Action::PostDeploy { .. }) {
                            hooks.push(failure);
                        } else {
                            error.get_or_insert(ApplyError::Step(Box::new(failure)));
                        }
                    }
                }
            }
            () = &mut interrupted, if error.is_none() => error = Some(ApplyError::Interrupted),
        }
    }
    Run { reached, error, hooks }
}

/// Steps that have not begun and wait for nothing any more.
fn ready(plan: &Plan, reached: &[Reached]) -> Vec<usize> {
    let done = |i: &usize| reached.get(*i) == Some(&Reached::Done);
    plan.steps
        .iter()
        .enumerate()
        .filter(|(index, step)| reached.get(*index) == Some(&Reached::Not) && step.after.iter().all(done))
        .map(|(index, _)| index)
        .collect()
}

fn waits(action: &Action) -> bool {
    matches!(
        action,
        Action::WaitReady { .. }
            | Action::Watch { .. }
            | Action::Gate { .. }
            | Action::Drain { .. }
            | Action::CopyFiles { .. }
            | Action::Pull { .. }
            | Action::Send { .. }
    )
}

/// How many short steps the engine gets at once: one for each of its processors. It makes mounts, networks and
/// processes; more of them side by side only means that the first, on which the most depends, are done as late as the
/// last.
fn at_once(engine: &Engine) -> usize {
    let here = std::thread::available_parallelism().map_or(SOME, std::num::NonZero::get);
    if engine.facts().local { here.max(2) } else { SOME }
}

/// Work of the engine itself that is over in a moment.
fn is_short(action: &Action) -> bool {
    matches!(
        action,
        Action::CreateNetwork { .. }
            | Action::CreateVolume { .. }
            | Action::WriteFiles { .. }
            | Action::Create { .. }
            | Action::Start { .. }
    )
}
