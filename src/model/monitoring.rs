//! What Prometheus is told besides whom to ask.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of the stack's own Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitoring {
    /// Labels on everything that leaves it, besides `project` and `stage`: name to value.
    pub external_labels: BTreeMap<String, String>,
}
