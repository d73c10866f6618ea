//! Taking back what was begun, while the old release still serves.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::artifact::configuration_of;

use super::reconcile::FRONT_DOOR;
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
        /// Containers to stop: they were there before, and were started in the place of others.
        stop: Vec<String>,
        /// Links to put back before anything starts, by volume.
        links: Vec<(String, BTreeMap<String, String>)>,
        /// The front door, if it has loaded files ahead of the traffic: it loads those of before, ahead of all else.
        reload: Option<Box<Reload>>,
        /// Containers that were stopped.
        start: Vec<String>,
        /// Traffic that has moved to containers that go, and moves back before they do.
        moved: Option<Box<Moved>>,
    },
}

/// A front door that loads the files of before again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Its container.
    pub container: String,
    /// Hash of those files.
    pub hash: String,
    /// Private listener that tells which files it serves by, where it can be asked.
    pub listener: Option<SocketAddrV4>,
}

/// Traffic that moves back, because those that got it did worse than those before, which are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Files volume of the front door.
    pub volume: String,
    /// Where its flags lead then.
    pub flags: BTreeMap<String, String>,
    /// Container of the front door.
    pub door: String,
    /// Addresses whose last requests are waited for.
    pub drain: Vec<SocketAddrV4>,
    /// How long at most.
    pub time: Span,
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
    let watched = watched(plan, reached);
    let reload = reload(plan, reached).filter(|_| watched.is_none());
    let ahead = |service: &ServiceName, back: bool| {
        back && service.as_str() == FRONT_DOOR
            && plan.steps.iter().any(|s| matches!(&s.action, Action::Reload { service: s, .. } if s == service))
    };
    let loaded_ahead = plan
        .steps
        .iter()
        .any(|s| matches!(&s.action, Action::Switch { service, back, .. } if ahead(service, !back.is_empty())));
    let moved = steps().any(|(step, _)| match &step.action {
        // What came before a watch that failed can be taken back by its flags: the front door knows both generations.
        Action::Switch { service, .. } | Action::Reload { service, .. }
            if watched.is_some() && service.as_str() == FRONT_DOOR =>
        {
            false
        }
        // Loaded before traffic moved: nobody was sent anywhere else.
        Action::Switch { service, back, .. } if ahead(service, !back.is_empty()) => false,
        Action::Reload { service, .. } if loaded_ahead && service.as_str() == FRONT_DOOR => false,
        // Switched for a front door that never came up: the old one is back sooner.
        Action::Switch { back, service, .. } => back.is_empty() || ready(service),
        Action::Reload { .. } | Action::Rename { .. } | Action::PostDeploy { .. } => true,
        Action::Remove { .. } => !step.after.is_empty(),
        _ => false,
    });
    if moved {
        return Undo::GoOn;
    }
    let mut remove = Vec::new();
    let mut links = Vec::new();
    let mut start = Vec::new();
    let mut stop = Vec::new();
    let in_place_of_another = |after: &[usize]| {
        after.iter().any(|i| plan.steps.get(*i).is_some_and(|s| matches!(s.action, Action::Stop { .. })))
    };
    for (step, _) in steps() {
        match &step.action {
            Action::Create { container, .. } | Action::RunJob { container, .. } => remove.push(container.name.clone()),
            Action::Start { container } if in_place_of_another(&step.after) => stop.push(container.clone()),
            // Traffic that moves back by its flags needs no other files.
            Action::Switch { back, .. } if !back.is_empty() && watched.is_some() => {}
            Action::Switch { volume, back, .. } if !back.is_empty() => links.push((volume.clone(), back.clone())),
            Action::Stop { container, .. } => start.push(container.clone()),
            _ => {}
        }
    }
    remove.reverse();
    start.reverse();
    // Two must not write to one volume.
    stop.retain(|name| !remove.contains(name));
    Undo::Back { remove, stop, links, reload, start, moved: watched }
}

/// The front door that has been told to load files ahead of the traffic.
fn reload(plan: &Plan, reached: &[Reached]) -> Option<Box<Reload>> {
    let begun = || plan.steps.iter().zip(reached).filter(|(_, r)| **r != Reached::Not).map(|(step, _)| &step.action);
    let before = begun().find_map(|action| match action {
        Action::Switch { service, back, .. } if service.as_str() == FRONT_DOOR => back.get("current"),
        _ => None,
    })?;
    let hash = configuration_of(before.strip_prefix("releases/")?).to_owned();
    begun().find_map(|action| match action {
        Action::Reload { container, service, listener, .. } if service.as_str() == FRONT_DOOR => {
            Some(Box::new(Reload { container: container.clone(), hash: hash.clone(), listener: *listener }))
        }
        _ => None,
    })
}

/// The traffic that moves back if a watch did not end well. All that is watched was switched at once.
fn watched(plan: &Plan, reached: &[Reached]) -> Option<Box<Moved>> {
    let mut out: Option<Box<Moved>> = None;
    let mut ended_badly = false;
    for (step, reached) in plan.steps.iter().zip(reached) {
        let Action::Watch { door, new, volume, back, drain, .. } = &step.action else { continue };
        ended_badly |= *reached == Reached::Begun;
        let moved = out.get_or_insert_with(|| {
            Box::new(Moved {
                volume: volume.clone(),
                flags: back.clone(),
                door: door.clone(),
                drain: Vec::new(),
                time: *drain,
            })
        });
        moved.drain.extend(new);
        moved.time = moved.time.max(*drain);
    }
    out.filter(|_| ended_badly)
}
