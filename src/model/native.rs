//! What runs beside containers: by the clock, or on the host itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::calendar::Calendar;

/// How a service runs on a host without containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Native {
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// Folder with the program; letters, digits, `/` and `._+@-`.
    pub folder: String,
    /// User it runs as; the stack's own where nothing is said.
    pub user: Option<String>,
    /// Arguments instead of those in the container.
    pub command: Option<Vec<String>>,
}

/// Jobs of a service that a timer starts, by name.
pub type Jobs = BTreeMap<String, Job>;

/// A command that a timer starts, in the place of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// What runs.
    pub command: Vec<String>,
    /// When.
    pub schedule: Calendar,
}
