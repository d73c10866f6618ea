//! Taking back what was begun, while the old release still serves.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;

use super::step::{Action, Plan};

/// How far a plan got when it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Never begun.
    Not,
    /// Begun, but it is not known whether it took effect.
    Begun,
    /// Done.
    Done,
}

/// What to do about a plan that stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// Traffic has moved: going back would interrupt it again. The next `up` finishes.
    GoOn,
    /// Remove these containers, then start these again. Nobody has noticed anything, but for services that could not
    /// run beside their successor.
    Back {
        /// Containers that were made.
        remove: Vec<String>,
        /// Links to put back before anything starts, by volume.
        links: Vec<(String, BTreeMap<String, String>)>,
        /// Containers that were stopped.
        start: Vec<String>,
    },
}

/// Decides. `reached` says for each step how far it got.
pub fn undo(plan: &Plan, reached: &[Reached]) -> Undo {
    let steps = || plan.steps.iter().zip(reached).filter(|(_, r)| **r != Reached::Not);
    // Once the front door serves by new files, or something old is gone, there is no way back that is shorter than
    // the way on.
    let ready = |service: &ServiceName| {
        steps().any(|(step, r)| {
            *r == Reached::Done && matches!(&step.action, Action::WaitReady { service: s, .. } if s == service)
        })
    };
    let moved = steps().any(|(step, _)| match &step.action {
        // Switched for a front door that never came up: the old one is back sooner.
        Action::Switch { back, service, .. } => back.is_empty() || ready(service),
        Action::Reload { .. } | Action::Rename { .. } => true,
        Action::Remove { .. } => !step.after.is_empty(),
        _ => false,
    });
    if moved {
        return Undo::GoOn;
    }
    let mut remove = Vec::new();
    let mut links = Vec::new();
    let mut start = Vec::new();
    for (step, _) in steps() {
        match &step.action {
            Action::Create { container, .. } | Action::RunJob { container, .. } => remove.push(container.name.clone()),
            Action::Switch { volume, back, .. } => links.push((volume.clone(), back.clone())),
            Action::Stop { container, .. } => start.push(container.clone()),
            _ => {}
        }
    }
    remove.reverse();
    start.reverse();
    Undo::Back { remove, links, start }
}
