//! Why a step failed, as far as the engine, a container's end and its log tell.

use crate::diagnose;
use crate::engine::{Engine, EngineError};
use crate::plan::Step;

use super::error::Failure;
use super::ready;

/// How many of a container's last lines are shown when it fails.
pub(super) const LAST_LINES: usize = 15;

/// How many are looked at: one that started again and again said the same as often.
const LINES_LOOKED_AT: usize = 100;

/// A container that is not as it should be: what is known of it, and what that means.
pub(super) async fn explained(
    engine: &Engine,
    step: String,
    service: &str,
    container: &str,
    not_ready: ready::NotReady,
) -> Failure {
    let mut log = engine.logs_tail(container, LINES_LOOKED_AT).await.unwrap_or_default();
    log.retain(|line| !line.trim().is_empty());
    let mut log = diagnose::without_repeats(log);
    log.drain(..log.len().saturating_sub(LAST_LINES));
    let end = engine.inspect_exit(container).await.unwrap_or_default();
    let health = if end.running && not_ready.exit_code.is_none() {
        format!("{} {}", not_ready.cause, end.health_output)
    } else {
        String::new()
    };
    let facts = diagnose::Facts {
        exit_code: not_ready.exit_code.or((!end.running).then_some(end.exit_code)),
        oom_killed: end.oom_killed,
        engine: &end.error,
        health: &health,
        log: &log,
    };
    let (cause, hint) = match diagnose::diagnose(&facts) {
        Some(found) => (format!("{}: {}", not_ready.cause, found.cause.title), Some(found.cause.step.to_owned())),
        None => (not_ready.cause, None),
    };
    // What only needs longer looks like what never comes: both are said.
    let hint = match (hint, not_ready.hint) {
        (Some(step), Some(more)) => Some(format!("{step}; {more}")),
        (step, more) => step.or(more),
    };
    Failure {
        step,
        cause,
        hint: hint.or_else(|| Some(format!("see the log of {service} above; mend it and run `stackctl up` again"))),
        container: Some(container.to_owned()),
        log,
        ..Failure::default()
    }
}

/// The engine failed at a step.
pub(super) fn engine_failure(step: &Step, error: &EngineError) -> Failure {
    let title = diagnose::of_engine(&error.message).map(|found| format!("{}: ", found.cause.title));
    Failure {
        step: step.action.to_string(),
        cause: format!("{}{}", title.unwrap_or_default(), error.message),
        hint: error.hint(),
        log: error.log.clone(),
        ..Failure::default()
    }
}
