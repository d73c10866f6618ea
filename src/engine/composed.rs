//! Containers that Docker Compose started: the same lists and details as of our own.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptions;

use crate::model::container::label;
use crate::model::inspected::Inspected;
use crate::model::observed::{Observed, ObservedContainer};
use crate::model::secrets::SecretValues;

use super::connect::Engine;
use super::error::EngineError;
use super::observe;

impl Engine {
    /// The containers of a project of Compose, services as Compose names them.
    pub async fn observe_composed(&self, project: &str) -> Result<Observed, EngineError> {
        let options =
            ListContainersOptions { all: true, filters: Some(filter(project)), ..ListContainersOptions::default() };
        let list = self.call("list containers", self.docker.list_containers(Some(options))).await?;
        let mut containers: Vec<ObservedContainer> = list.into_iter().map(observe::container).map(named).collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Observed { engine: self.facts().clone(), containers, ..Observed::default() })
    }

    /// The same in detail.
    pub async fn inspect_composed(&self, project: &str) -> Result<Vec<Inspected>, EngineError> {
        self.inspect_labelled(filter(project), &SecretValues::default()).await
    }
}

fn filter(project: &str) -> HashMap<String, Vec<String>> {
    let labels = vec![format!("{}={project}", label::COMPOSE_PROJECT), format!("{}=False", label::COMPOSE_ONEOFF)];
    HashMap::from([("label".to_owned(), labels)])
}

/// With the service where those of ours have it.
fn named(mut container: ObservedContainer) -> ObservedContainer {
    if let Some(service) = container.labels.get(label::COMPOSE_SERVICE).cloned() {
        container.labels.entry(label::SERVICE.to_owned()).or_insert(service);
    }
    container
}
