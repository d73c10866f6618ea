//! Keys that say who is told of deploys.

use crate::base::problem::Problems;
use crate::config::decode::{Decode, table};
use crate::config::shape::Shape;
use crate::config::tree::Node;
use crate::config::values::{Templated, word};

table! {
    /// Who is told when a deploy has ended. A message that does not get there is a warning, and changes nothing about the deploy.
    NotifyKeys as "notify" {
        /// URL that gets a JSON document by POST: project, release, result, who, what changed, what visitors met.
        webhook: Templated => r#""${secrets.deploy_hook}""#,
        /// Incoming webhook of Slack, or of a chat that speaks like it (Mattermost, Rocket.Chat).
        slack: Templated => r#""${secrets.slack}""#,
        /// `"always"`, or only on `"failure"`.
        on: OnKey = "\"always\"" => r#""failure""#,
    }
}

/// `on`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnKey {
    /// Every deploy.
    Always,
    /// Those that failed.
    Failure,
}

const ON: &[&str] = &["always", "failure"];

impl Decode for OnKey {
    fn shape() -> Shape {
        Shape::Word(ON)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(match word(node, ON, problems)? {
            "failure" => Self::Failure,
            _ => Self::Always,
        })
    }
}
