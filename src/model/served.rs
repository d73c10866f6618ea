//! What visitors met while a deploy went on.

use serde::{Deserialize, Serialize};

/// What visitors of the front door met during a deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Requests that were sent.
    pub asked: u32,
    /// Those that got no answer within five seconds, or one that blames the server (500 and above).
    pub failed: u32,
    /// The longest wait for an answer, milliseconds.
    pub longest_millis: u64,
    /// Path that was asked for.
    pub path: String,
    /// What the first failure was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
}

impl std::fmt::Display for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} failed, longest {} ms", self.failed, self.asked, self.longest_millis)
    }
}
