//! What a check found.

use serde::{Deserialize, Serialize};

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Stable identifier of the check, such as `TLS-1`.
    pub id: &'static str,
    /// The question, in a few words.
    pub title: &'static str,
    /// What was asked: a URL, a container, a port.
    pub subject: String,
    /// The answer.
    pub verdict: Verdict,
    /// What would have passed.
    pub expected: String,
    /// What was seen; never holds a secret, control characters taken out.
    pub observed: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
    /// Line of stack.toml that declares what was asked, from 1.
    pub line: Option<u32>,
    /// From where it was asked: the rung of the probe ladder.
    pub vantage: &'static str,
    /// How long it took, milliseconds.
    pub millis: u64,
}

/// A verdict, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As declared.
    Pass,
    /// The question does not apply; `observed` says why.
    NotApplicable,
    /// Works, but the user should know.
    Warn,
    /// Asked, but could not be judged; `observed` says what is missing.
    Inconclusive,
    /// Not as declared.
    Fail,
}

impl Verdict {
    /// One word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotApplicable => "n/a",
            Self::Warn => "warn",
            Self::Inconclusive => "unsure",
            Self::Fail => "FAIL",
        }
    }
}
