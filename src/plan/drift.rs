//! What the engine has that nobody wrote into stack.toml: changed, stopped, renamed, removed or added by hand.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::container::label;
use crate::model::observed::ObservedContainer;

use super::Inputs;
use super::place::{Placed, Placement, drift, image_is};

/// An object, and what is different about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// `container`, `network` or `volume`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What is different, a sentence each.
    pub changes: Vec<String>,
}

/// Everything that differs from what was deployed. A container that was made from another stack.toml is no finding:
/// `plan` says what that means.
pub fn found(inputs: &Inputs<'_>, placement: &Placement) -> Vec<Found> {
    let mut out = Vec::new();
    let all = || placement.services.iter().chain(&placement.proxy);
    for placed in all() {
        containers(inputs, placed, &mut out);
    }
    let known: BTreeSet<&str> = all().map(|p| p.service.as_str()).collect();
    for container in of_services(inputs).filter(|c| !known.contains(c.service())) {
        let changes = vec![format!("stack.toml has no service `{}`", container.service())];
        out.push(Found { kind: "container", name: container.name.clone(), changes });
    }
    let wanted: BTreeSet<&str> = placement.networks.iter().map(|n| n.name.as_str()).collect();
    let ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get(label::PROJECT).is_some_and(|p| p == inputs.stack.project.as_str())
    };
    for network in &inputs.observed.networks {
        if ours(&network.labels) && !wanted.contains(network.name.as_str()) {
            let changes = vec!["nothing in stack.toml uses it".to_owned()];
            out.push(Found { kind: "network", name: network.name.clone(), changes });
        }
    }
    for (volume, files) in &inputs.observed.edited {
        let changes = files.iter().map(|f| format!("file {f} changed")).collect();
        out.push(Found { kind: "volume", name: volume.clone(), changes });
    }
    out
}

fn of_services<'a>(inputs: &Inputs<'a>) -> impl Iterator<Item = &'a ObservedContainer> {
    inputs.observed.containers.iter().filter(|c| c.label(label::ROLE) == "service")
}

fn containers(inputs: &Inputs<'_>, placed: &Placed, out: &mut Vec<Found>) {
    let there: Vec<&ObservedContainer> =
        of_services(inputs).filter(|c| c.service() == placed.service.as_str()).collect();
    for container in there.iter().filter(|c| c.label(label::CONFIG) == placed.hash) {
        let changes = changes(inputs, placed, container);
        if !changes.is_empty() {
            out.push(Found { kind: "container", name: container.name.clone(), changes });
        }
    }
    for replica in placed.replicas.iter().filter(|r| !there.iter().any(|c| c.number() == r.number)) {
        out.push(Found { kind: "container", name: replica.name.clone(), changes: vec!["it is not there".to_owned()] });
    }
}

fn changes(inputs: &Inputs<'_>, placed: &Placed, container: &ObservedContainer) -> Vec<String> {
    let mut out = Vec::new();
    let replica = placed.replicas.iter().find(|r| r.number == container.number());
    match container.state.as_str() {
        "running" => {}
        state => out.push(format!("it is {state}")),
    }
    if let Some(replica) = replica.filter(|r| r.name != container.name) {
        out.push(format!("it should be called {}", replica.name));
    }
    if !image_is(container, &placed.spec, inputs) {
        out.push(format!("{} is another image now", placed.spec.image));
    }
    let networks: BTreeSet<&str> = placed.spec.networks.iter().map(|n| n.network.as_str()).collect();
    let joined = container.networks.keys().map(String::as_str).filter(|n| !networks.contains(n));
    out.extend(joined.map(|n| format!("joins network {n}")));
    let left = networks.iter().filter(|n| !container.networks.contains_key(**n));
    out.extend(left.map(|n| format!("leaves network {n}")));
    out.extend(drift(container, &placed.spec, inputs).changes);
    out
}
