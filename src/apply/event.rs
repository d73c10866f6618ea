//! What happens while a plan is carried out, for whoever shows it.

use crate::plan::step::{Plan, Step};

/// One happening. Steps go by their index in the plan.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A plan is about to be carried out.
    Begin(&'a Plan),
    /// A step began.
    Started {
        /// Index.
        index: usize,
        /// The step.
        step: &'a Step,
    },
    /// News of a step under way: a layer pulled, a line built, a reason why it is not ready yet.
    Progress {
        /// Index.
        index: usize,
        /// The step.
        step: &'a Step,
        /// In a few words.
        text: String,
        /// It is worth a line of its own: a layer that is there, a step of a build that began.
        lasting: bool,
    },
    /// A step is done.
    Finished {
        /// Index.
        index: usize,
        /// The step.
        step: &'a Step,
        /// How long it took, milliseconds.
        millis: u64,
    },
    /// A step failed.
    Failed {
        /// Index.
        index: usize,
        /// The step.
        step: &'a Step,
        /// Why.
        error: String,
    },
    /// What was begun is being undone; in words.
    Undoing(String),
    /// The plan is done, or given up.
    End {
        /// Whether all of it was done.
        done: bool,
        /// How long it took, milliseconds.
        millis: u64,
    },
    /// Something besides the plan is going on (taking the lock, reading the engine); in words.
    Note(String),
}

/// Someone who shows events.
pub trait Sink {
    /// Shows one.
    fn event(&mut self, event: Event<'_>);
}

/// Shows nothing.
pub struct Silent;

impl Sink for Silent {
    fn event(&mut self, _: Event<'_>) {}
}
