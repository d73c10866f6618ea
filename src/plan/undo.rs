//! Taking back what was begun, while the old release still serves.

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
        /// Containers that were stopped.
        start: Vec<String>,
    },
}

/// Decides. `reached` says for each step how far it got.
pub fn undo(plan: &Plan, reached: &[Reached]) -> Undo {
    let steps = || plan.steps.iter().zip(reached).filter(|(_, r)| **r != Reached::Not);
    // Once the front door serves by new files, or something old is gone, there is no way back that is shorter than
    // the way on.
    let moved = steps().any(|(step, _)| {
        matches!(&step.action, Action::Switch { .. } | Action::Reload { .. } | Action::Rename { .. })
            || matches!(&step.action, Action::Remove { .. } if step.after.iter().any(|_| true))
    });
    if moved {
        return Undo::GoOn;
    }
    let mut remove = Vec::new();
    let mut start = Vec::new();
    for (step, _) in steps() {
        match &step.action {
            Action::Create { container, .. } | Action::RunJob { container, .. } => remove.push(container.name.clone()),
            Action::Stop { container, .. } => start.push(container.clone()),
            _ => {}
        }
    }
    remove.reverse();
    start.reverse();
    Undo::Back { remove, start }
}
