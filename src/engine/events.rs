//! What happens to the project's containers, as it happens.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::base::name::ProjectName;
use crate::model::container::label;

use super::connect::Engine;
use super::error::EngineError;
use super::observe;

/// How long to wait before subscribing again to an engine that hung up.
const AGAIN: Duration = Duration::from_millis(250);

/// How long the engine may take to tell the next thing that it remembers.
const REMEMBERS: Duration = Duration::from_secs(1);

/// How often in a row it may refuse.
const TRIES: u32 = 40;

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Engine ID.
    pub container: String,
    /// Its name then.
    pub name: String,
    /// Service it belongs to; empty for our own helpers.
    pub service: String,
    /// What.
    pub action: Action,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Its process started.
    Start,
    /// Its process ended with this code.
    Die(i64),
    /// The kernel killed a process of it for want of memory.
    Oom,
    /// Its health check changed its mind: `starting`, `healthy`, `unhealthy`.
    Health(String),
    /// It was removed.
    Destroy,
}

/// Events of a project, until dropped. Ends with an error when the engine is gone for ten seconds.
pub type Events = Pin<Box<dyn Stream<Item = Result<Event, EngineError>> + Send>>;

type Raw = BoxStream<'static, Result<EventMessage, Error>>;

struct Subscription {
    docker: Docker,
    project: ProjectName,
    raw: Option<Raw>,
    /// Time of the last event seen, in the engine's nanoseconds: where to go on from after the engine hung up.
    last: i64,
    refused: u32,
}

/// Reads on while nobody asks: the engine drops listeners that do not keep up.
struct Reader {
    items: UnboundedReceiver<Result<Event, EngineError>>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    /// Subscribes. What happens after this returns is not missed: subscribe, then list, then act.
    pub async fn subscribe(&self, project: &ProjectName) -> Result<Events, EngineError> {
        // With the engine's clock in hand it can be told from when on, which leaves no gap. Elsewhere the engine has
        // had our request long before it answers a call made after it.
        let last = if self.facts().local { now() } else { 0 };
        let start = Subscription { docker: self.docker.clone(), project: project.clone(), raw: None, last, refused: 0 };
        let (send, items) = unbounded_channel();
        let task = tokio::spawn(async move {
            let mut steps = stream::unfold(Some(start), next).boxed();
            while let Some(step) = steps.next().await {
                if step.transpose().is_some_and(|item| send.send(item).is_err()) {
                    return;
                }
            }
        });
        let reader = Reader { items, task };
        for _ in 0..2 {
            self.call("subscribe to events", self.docker.ping()).await?;
        }
        let items = stream::unfold(reader, |mut reader| async move { Some((reader.items.recv().await?, reader)) });
        Ok(items.boxed())
    }

    /// How a container's process ended last, as the engine remembers it for a while: of one that runs again nothing else
    /// tells.
    pub async fn last_end(&self, container: &str) -> Option<i64> {
        let filters = [("container", container), ("event", "die")];
        let filters = filters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).into();
        // `since` alone would go on for ever.
        let (since, until) = (Some("0".to_owned()), Some((now() / 1_000_000_000 + 1).to_string()));
        let mut events = self.docker.events(Some(EventsOptions { since, until, filters: Some(filters) }));
        let mut last = None;
        while let Ok(Some(Ok(message))) = tokio::time::timeout(REMEMBERS, events.next()).await {
            if let Some(Event { action: Action::Die(code), .. }) = event(message) {
                last = Some(code);
            }
        }
        last
    }
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn open(docker: &Docker, project: &ProjectName, since: i64) -> Raw {
    let mut filters = observe::filter(project);
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    let actions = ["start", "die", "oom", "health_status", "destroy"];
    filters.insert("event".to_owned(), actions.map(str::to_owned).to_vec());
    let since = (since > 0).then(|| format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000));
    docker.events(Some(EventsOptions { since, until: None, filters: Some(filters) })).boxed()
}

type Step = (Result<Option<Event>, EngineError>, Option<Subscription>);

async fn next(subscription: Option<Subscription>) -> Option<Step> {
    let mut sub = subscription?;
    let mut raw = match sub.raw.take() {
        Some(raw) => raw,
        None => open(&sub.docker, &sub.project, sub.last + i64::from(sub.last > 0)),
    };
    let failure = match raw.next().await {
        Some(Ok(message)) => {
            sub.last = message.time_nano.unwrap_or(sub.last);
            sub.refused = 0;
            sub.raw = Some(raw);
            return Some((Ok(event(message)), Some(sub)));
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    sub.refused += 1;
    match failure {
        Some(error) if sub.refused > TRIES => {
            Some((Err(EngineError::from_bollard("follow the engine's events", &error)), None))
        }
        _ => {
            tokio::time::sleep(AGAIN).await;
            Some((Ok(None), Some(sub)))
        }
    }
}

fn event(message: EventMessage) -> Option<Event> {
    let actor = message.actor?;
    let mut attributes = actor.attributes.unwrap_or_default();
    let action = match message.action?.as_str() {
        "start" => Action::Start,
        "die" => Action::Die(attributes.get("exitCode").and_then(|c| c.parse().ok()).unwrap_or(-1)),
        "oom" => Action::Oom,
        "destroy" => Action::Destroy,
        other => Action::Health(other.strip_prefix("health_status:")?.trim().to_owned()),
    };
    Some(Event {
        container: actor.id?,
        name: attributes.remove("name").unwrap_or_default(),
        service: attributes.remove(label::SERVICE).unwrap_or_default(),
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(action: &str) -> Option<Event> {
        let json = serde_json::json!({"Type": "container", "Action": action, "timeNano": 5,
            "Actor": {"ID": "ab", "Attributes": {"name": "p-app-1", "stackctl.service": "app", "exitCode": "137"}}});
        event(serde_json::from_value(json).unwrap_or_default())
    }

    #[test]
    fn actions_are_typed() {
        assert_eq!(parse("die").map(|e| e.action), Some(Action::Die(137)));
        assert_eq!(parse("health_status: healthy").map(|e| e.action), Some(Action::Health("healthy".into())));
        assert_eq!(parse("exec_create: sh"), None);
        assert_eq!(
            parse("start").map(|e| (e.container, e.name, e.service)),
            Some(("ab".into(), "p-app-1".into(), "app".into()))
        );
    }
}
