//! Keys that say who is told of deploys.

use crate::base::problem::Problems;
use crate::config::decode::{Decode, table};
use crate::config::shape::Shape;
use crate::config::tree::Node;
use crate::config::values::{Templated, Text, word};

table! {
    /// Who is told when a deploy has ended. A message that does not get there is a warning, and changes nothing about the deploy.
    NotifyKeys as "notify" {
        /// URL that gets a JSON document by POST: project, release, result, who, what changed, what visitors met.
        webhook: Templated => r#""${secrets.deploy_hook}""#,
        /// Incoming webhook of Slack, or of a chat that speaks like it (Mattermost, Rocket.Chat).
        slack: Templated => r#""${secrets.slack}""#,
        /// A repository of GitHub whose deployments they are: one begins with each deploy, and ends as it does.
        github: GithubKeys,
        /// Webhook and Slack: `"always"`, or only on `"failure"`.
        on: OnKey = "\"always\"" => r#""failure""#,
    }
}

table! {
    /// A repository of GitHub, or of a GitHub Enterprise Server. A deploy is a deployment of the folder's commit, `in_progress` while it goes on, then `success` or `failure` with the reason; the one before becomes `inactive`.
    GithubKeys as "github" {
        /// Owner and name. Required.
        repository: Text => r#""acme/shop""#,
        /// A secret: a token that may write deployments (fine-grained: "Deployments", read and write; classic: `repo_deployment`). Required.
        token: Templated => r#""${secrets.github}""#,
        /// The environment that is deployed to; without it the stage, or `production`.
        environment: Text => r#""staging""#,
        /// URL of the API; of a GitHub Enterprise Server `https://HOST/api/v3`.
        api: Text = "\"https://api.github.com\"" => r#""https://github.example.com/api/v3""#,
        /// Page with the log of the run, such as that of the job that runs `up`.
        log_url: Text => r#""https://ci.example.com/jobs/17""#,
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
