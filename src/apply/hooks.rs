//! Commands that run when a release has failed.

use std::collections::BTreeMap;

use crate::engine::session::{Command, OneOff};
use crate::engine::{Engine, EngineError};
use crate::model::container::label;
use crate::model::observed::ObservedContainer;
use crate::plan::Plan;
use crate::plan::step::OnFailure;

use super::event::{Event, Sink};
use super::steps::Effects;

/// Runs what the stack wants to run when a release fails, after everything was taken back. What comes of it is told.
pub(super) async fn on_failure(effects: &Effects<'_>, plan: &Plan, cause: &str, aftermath: &str, sink: &mut dyn Sink) {
    if plan.on_failure.is_empty() {
        return;
    }
    let containers = effects.engine.containers(effects.project).await.unwrap_or_default();
    for hook in &plan.on_failure {
        let who = format!("`on_failure` of {}", hook.service);
        let serves = |c: &&ObservedContainer| {
            c.service() == hook.service.as_str() && c.label(label::ROLE) == "service" && c.running()
        };
        let Some(beside) = containers.iter().find(serves) else {
            sink.event(Event::Note(format!("{who} did not run: none of its containers does")));
            continue;
        };
        sink.event(Event::Undoing(format!("running {who}")));
        let mut env = hook.env.clone();
        let told = [("STACKCTL_RESULT", "failed"), ("STACKCTL_CAUSE", cause), ("STACKCTL_AFTERMATH", aftermath)];
        env.extend(told.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let name = format!("{}-{}-on-failure", effects.project, hook.service);
        let said = match run(effects.engine, hook, &name, &beside.id, env).await {
            Ok(Some(0)) => format!("{who} has run"),
            Ok(Some(code)) => format!("{who} exited with {code}"),
            Ok(None) => format!("{who} has not ended after {}", hook.timeout),
            Err(error) => format!("{who} could not run: {}", error.message),
        };
        sink.event(Event::Note(said));
    }
}

/// The command's exit code; `None` if it took too long.
async fn run(
    engine: &Engine,
    hook: &OnFailure,
    name: &str,
    beside: &str,
    env: BTreeMap<String, String>,
) -> Result<Option<i64>, EngineError> {
    let command = Command {
        argv: hook.command.clone(),
        env: env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        user: None,
        folder: None,
        terminal: false,
        input: false,
    };
    let wanted = OneOff { name: name.to_owned(), command, entrypoint: None };
    // Of a run that was killed.
    engine.remove_with_volumes(name).await?;
    let id = engine.one_off(beside, &wanted).await?;
    let ended = async {
        engine.start(&id).await?;
        engine.wait_exit(&id).await
    };
    let ended = tokio::time::timeout(hook.timeout.0, ended).await;
    engine.remove_with_volumes(&id).await?;
    ended.ok().transpose()
}
