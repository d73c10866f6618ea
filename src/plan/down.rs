//! Taking a stack away: users of a service before the service, data only when asked for.

use std::collections::BTreeMap;

use crate::base::name::ProjectName;
use crate::base::units::Span;
use crate::model::container::label;
use crate::model::observed::{Observed, ObservedContainer};

use super::step::{Action, Plan, Step};

/// The steps that remove a project. With `volumes`, data and state go too.
pub fn down(project: &ProjectName, observed: &Observed, volumes: bool) -> Plan {
    let mut plan = Plan {
        project: project.clone(),
        release: observed.state.as_ref().map_or(1, crate::model::state::State::next_release),
        steps: Vec::new(),
        on_failure: Vec::new(),
        notes: Vec::new(),
    };
    let mut removed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for service in stop_order(observed) {
        let containers: Vec<&ObservedContainer> =
            observed.containers.iter().filter(|c| c.service() == service && stack_part(c)).collect();
        // Whoever uses it goes first.
        let users: Vec<usize> = observed
            .containers
            .iter()
            .filter(|c| needs(c).any(|n| n == service))
            .filter_map(|c| removed.get(c.service()))
            .flatten()
            .copied()
            .collect();
        for container in containers {
            let mut after = users.clone();
            if container.running() {
                let stop = Action::Stop { container: container.name.clone(), grace: Span::seconds(30) };
                after = vec![add(&mut plan, stop, "the stack is taken down", after, false)];
            }
            let remove = Action::Remove { container: container.name.clone() };
            let step = add(&mut plan, remove, "the stack is taken down", after, false);
            removed.entry(container.service()).or_default().push(step);
        }
    }
    let all: Vec<usize> = removed.values().flatten().copied().collect();
    let ours = |labels: &BTreeMap<String, String>| labels.get(label::PROJECT).is_some_and(|p| p == project.as_str());
    for network in observed.networks.iter().filter(|n| ours(&n.labels)) {
        let action = Action::RemoveNetwork { network: network.name.clone() };
        add(&mut plan, action, "the stack is taken down", all.clone(), false);
    }
    for volume in observed.volumes.iter().filter(|v| v.labels.get(label::ROLE).is_some_and(|r| r == "files")) {
        let action = Action::RemoveVolume { volume: volume.name.clone() };
        add(&mut plan, action, "it is rendered anew when needed", all.clone(), false);
    }
    if volumes {
        for volume in observed.volumes.iter().filter(|v| v.labels.get(label::ROLE).is_some_and(|r| r == "data")) {
            let action = Action::RemoveVolume { volume: volume.name.clone() };
            add(&mut plan, action, "asked for with --volumes", all.clone(), true);
        }
        let holders = observed.containers.iter().filter(|c| ["carrier", "hold"].contains(&c.label(label::ROLE)));
        let mut after = all.clone();
        for container in holders {
            let action = Action::Remove { container: container.name.clone() };
            after.push(add(&mut plan, action, "asked for with --volumes", all.clone(), false));
        }
        for volume in observed.volumes.iter().filter(|v| v.labels.get(label::ROLE).is_some_and(|r| r == "carrier")) {
            let action = Action::RemoveVolume { volume: volume.name.clone() };
            add(&mut plan, action, "releases and generated secrets; asked for with --volumes", after.clone(), true);
        }
    } else if observed.volumes.iter().any(|v| v.labels.get(label::ROLE).is_some_and(|r| r == "data" || r == "carrier"))
    {
        plan.notes.push("volumes and generated secrets stay; `down --volumes` removes them too".to_owned());
    }
    plan
}

fn add(plan: &mut Plan, action: Action, cause: &str, mut after: Vec<usize>, destroys: bool) -> usize {
    after.sort_unstable();
    after.dedup();
    plan.steps.push(Step { action, cause: cause.to_owned(), after, interrupts: None, at_most: None, destroys });
    plan.steps.len() - 1
}

fn stack_part(container: &ObservedContainer) -> bool {
    ["service", "job", "run", "source"].contains(&container.label(label::ROLE))
}

fn needs(container: &ObservedContainer) -> impl Iterator<Item = &str> {
    container.label(label::COMPOSE_DEPENDS).split(',').filter_map(|d| d.split(':').next()).filter(|n| !n.is_empty())
}

/// Services, each after all that use it. Read from labels: the file may have changed since, or be gone.
fn stop_order(observed: &Observed) -> Vec<&str> {
    let mut left: Vec<&str> =
        observed.containers.iter().filter(|c| stack_part(c)).map(ObservedContainer::service).collect();
    left.sort_unstable();
    left.dedup();
    let mut out = Vec::new();
    while !left.is_empty() {
        let free = left.iter().position(|service| {
            !observed
                .containers
                .iter()
                .any(|c| c.service() != *service && left.contains(&c.service()) && needs(c).any(|n| n == *service))
        });
        // A cycle cannot be read from a file, but labels can say anything.
        out.push(left.remove(free.unwrap_or(0)));
    }
    out
}
