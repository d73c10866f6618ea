//! Telling others that a deploy has ended.

use std::time::Duration;

use futures_util::future::join_all;

use crate::acme::http;
use crate::base::name::ServiceName;
use crate::model::notify::{Receiver, Told};
use crate::model::secrets::SecretValues;
use crate::model::served::Served;
use crate::plan::{Action, Plan};

use super::error::{ApplyError, Failure};
use super::github;
use super::prepare::Prepared;
use super::wanted::Wanted;

/// Longest time for a receiver to answer: the deploy is over, and somebody waits for the prompt.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a deploy ended.
pub(super) struct Ending<'a> {
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) result: &'a Result<(), ApplyError>,
    /// Hooks that did not end well, although the release is out.
    pub(super) hooks: &'a [Failure],
    pub(super) served: Option<Served>,
}

/// Says that a deploy begins, to those who want to know that, too.
pub(super) fn begin(wanted: &Wanted, prepared: &Prepared) -> Option<github::Begun> {
    github::begin(wanted, prepared, &changes(&prepared.plan))
}

/// Tells everybody who wants to know; what went wrong with that, in a sentence each.
pub(super) async fn tell(
    wanted: &Wanted,
    prepared: &Prepared,
    begun: Option<github::Begun>,
    ending: Ending<'_>,
) -> Vec<String> {
    let bad = ending.result.is_err() || !ending.hooks.is_empty();
    let told = told(wanted, prepared, ending);
    let line = wanted.stack.notify.github.as_ref().map_or(0, |g| g.line);
    let github = async {
        match begun {
            Some(begun) => github::end(begun, &told, line).await,
            None => None,
        }
    };
    let (mut notes, github) = tokio::join!(messages(wanted, prepared, &told, bad), github);
    notes.extend(github);
    notes
}

/// Sends messages.
async fn messages(wanted: &Wanted, prepared: &Prepared, told: &Told, bad: bool) -> Vec<String> {
    let notify = &wanted.stack.notify;
    if notify.to.is_empty() || (notify.failures_only && !bad) {
        return Vec::new();
    }
    let client = match http::web(None, false) {
        Ok(client) => client,
        Err(why) => return vec![format!("nobody was told of this deploy: {why}")],
    };
    let sent = notify.to.iter().map(|to| post(&client, to, &prepared.values, told));
    join_all(sent).await.into_iter().filter_map(Result::err).collect()
}

fn told(wanted: &Wanted, prepared: &Prepared, ending: Ending<'_>) -> Told {
    let error = ending.result.as_ref().err();
    let aftermath = match error {
        Some(ApplyError::Step(failure)) => Some(failure.aftermath.clone()).filter(|text| !text.is_empty()),
        _ => None,
    };
    Told {
        project: wanted.stack.project.to_string(),
        stage: wanted.stack.stage.clone(),
        release: prepared.plan.release,
        result: if error.is_none() { "done" } else { "failed" },
        back_to: wanted.past.as_ref().map(|past| past.number),
        by: wanted.by.clone(),
        commit: wanted.commit.clone(),
        began: ending.began,
        ended: ending.ended,
        steps: prepared.plan.steps.len(),
        changes: changes(&prepared.plan),
        served: ending.served,
        error: error.map(ToString::to_string),
        hooks: ending.hooks.iter().map(|hook| hook.cause.clone()).collect(),
        aftermath,
    }
}

/// Causes of what is made or loaded, and what was interrupted, each once.
fn changes(plan: &Plan) -> Vec<String> {
    let loads = |of: &ServiceName| {
        plan.steps.iter().any(|s| matches!(&s.action, Action::Reload { service, .. } if service == of))
    };
    let about = |action: &Action| match action {
        Action::Create { service, .. } | Action::RunJob { service, .. } | Action::PostDeploy { service, .. } => {
            Some(service.to_string())
        }
        // What a container reads at its start comes with the container.
        Action::WriteFiles { service, .. } if loads(service) => Some(service.to_string()),
        _ => None,
    };
    let mut out: Vec<String> = Vec::new();
    for step in &plan.steps {
        let made = about(&step.action).map(|who| format!("{who}: {}", step.cause));
        for line in made.into_iter().chain(step.interrupts.clone()) {
            if !out.contains(&line) {
                out.push(line);
            }
        }
    }
    out
}

/// Sends a message. The URL may be a secret: neither it nor what the client says of it is repeated.
async fn post(client: &reqwest::Client, to: &Receiver, values: &SecretValues, told: &Told) -> Result<(), String> {
    let url = to.url.fill(values);
    if url.expose().is_empty() {
        return Ok(());
    }
    let nobody = |why: String| format!("the receiver of line {} was not told of this deploy: {why}", to.line);
    let Ok(url) = reqwest::Url::parse(url.expose()) else {
        return Err(nobody("its value is not a URL".to_owned()));
    };
    let body = told.body(to.speaks).to_string();
    let request = client.post(url).timeout(PATIENCE).header("content-type", "application/json").body(body);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(nobody(format!("it answered {}", answer.status().as_u16()))),
        Err(error) if error.is_timeout() => Err(nobody(format!("no answer in {} s", PATIENCE.as_secs()))),
        Err(error) if error.is_connect() => Err(nobody("no connection".to_owned())),
        Err(error) => Err(nobody(error.without_url().to_string())),
    }
}
