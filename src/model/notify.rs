//! Who is told of deploys, and what.

use serde::{Deserialize, Serialize};

use super::secrets::Template;
use super::served::Served;

/// Who is told when a deploy has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Where messages go.
    pub to: Vec<Receiver>,
    /// Only of deploys that failed.
    pub failures_only: bool,
    /// A repository of GitHub whose deployments they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<Github>,
}

/// A repository of GitHub, or of a GitHub Enterprise Server, that knows of deploys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Github {
    /// Line of stack.toml that names it, from 1.
    pub line: u32,
    /// `owner/name`.
    pub repository: String,
    /// Environment that is deployed to.
    pub environment: String,
    /// Token that may write deployments. Empty where it is an optional secret that has no value: nobody is told then.
    pub token: Template,
    /// URL of the API.
    pub api: String,
    /// Page with the log of the run.
    pub log_url: Option<String>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Line of stack.toml that names it, from 1.
    pub line: u32,
    /// What it understands.
    pub speaks: Speaks,
    /// Its URL. Empty where it is an optional secret that has no value: nobody is told then.
    pub url: Template,
}

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaks {
    /// The whole [`Told`] as JSON.
    Json,
    /// Slack's incoming webhooks: `{"text": …}` (api.slack.com, "Sending messages using incoming webhooks").
    Slack,
}

/// A deploy that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Project.
    pub project: String,
    /// Stage, where there is one.
    pub stage: Option<String>,
    /// Number of the release.
    pub release: u32,
    /// `done` or `failed`.
    pub result: &'static str,
    /// The release that it went back to.
    pub back_to: Option<u32>,
    /// User and host that ran it.
    pub by: String,
    /// Commit of the folder, where that is a Git checkout.
    pub commit: Option<String>,
    /// When it began and ended, seconds since 1970.
    pub began: u64,
    /// See `began`.
    pub ended: u64,
    /// Number of steps of its plan.
    pub steps: usize,
    /// What changed: causes of what was made or loaded, each once, with whom they are about.
    pub changes: Vec<String>,
    /// What visitors met meanwhile, if that could be measured.
    pub served: Option<Served>,
    /// Why it failed, if so: never a line of a log.
    pub error: Option<String>,
    /// What users are served after a failure.
    pub aftermath: Option<String>,
    /// Why hooks of a release that is out did not end well.
    pub hooks: Vec<String>,
}

/// Most changes a message for people names.
const NAMED: usize = 8;

impl Told {
    /// A few lines for people.
    pub fn text(&self) -> String {
        let Self { project, release, by, .. } = self;
        let commit =
            self.commit.as_deref().map(|c| format!(", commit {}", c.get(..10).unwrap_or(c))).unwrap_or_default();
        let what = match (&self.error, self.back_to) {
            (Some(_), _) => format!("release {release} failed"),
            (None, Some(back)) => format!("went back to release {back}, as release {release}"),
            (None, None) => format!("release {release} is out"),
        };
        let seconds = self.ended.saturating_sub(self.began);
        let mut lines = vec![format!("{project}: {what} ({by}{commit}, {seconds} s)")];
        lines.extend(self.error.clone());
        lines.extend(self.aftermath.clone());
        lines.extend(self.hooks.iter().map(|why| format!("it stays, but {why}")));
        lines.extend(self.changes.iter().take(NAMED).map(|change| format!("• {change}")));
        if let Some(more) = self.changes.len().checked_sub(NAMED).filter(|more| *more > 0) {
            lines.push(format!("• and {more} more"));
        }
        lines.extend(self.served.as_ref().map(|served| format!("visitors meanwhile: {served}")));
        lines.join("\n")
    }

    /// The body of the request, in what the receiver understands.
    pub fn body(&self, speaks: Speaks) -> serde_json::Value {
        match speaks {
            Speaks::Json => serde_json::to_value(self).unwrap_or_default(),
            // Slack reads these three as markup.
            Speaks::Slack => {
                let text = self.text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                serde_json::json!({ "text": text })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        Told {
            project: "shop".into(),
            stage: None,
            release: 12,
            result: "done",
            back_to: None,
            by: "ann@laptop".into(),
            commit: Some("0123456789abcdef".into()),
            began: 100,
            ended: 112,
            steps: 9,
            changes: vec!["app: environment LOG_LEVEL changed".into(), "proxy: route /a<b>&c is new".into()],
            served: None,
            error: None,
            aftermath: None,
            hooks: Vec::new(),
        }
    }

    #[test]
    fn people_are_told_in_a_few_lines() {
        let text = "shop: release 12 is out (ann@laptop, commit 0123456789, 12 s)\n\
                    • app: environment LOG_LEVEL changed\n• proxy: route /a<b>&c is new";
        assert_eq!(told().text(), text);
        let back = Told { back_to: Some(7), changes: vec![], commit: None, ..told() };
        assert_eq!(back.text(), "shop: went back to release 7, as release 12 (ann@laptop, 12 s)");
        let failed = Told {
            result: "failed",
            error: Some("could not start app-1: no such command".into()),
            aftermath: Some("what served before still serves".into()),
            changes: (1..=10).map(|n| format!("s{n}: new")).collect(),
            commit: None,
            ..told()
        };
        let lines: Vec<String> = failed.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "shop: release 12 failed (ann@laptop, 12 s)");
        assert_eq!(lines[1..3], ["could not start app-1: no such command", "what served before still serves"]);
        assert_eq!(lines.last().map(String::as_str), Some("• and 2 more"));
    }

    #[test]
    fn receivers_get_what_they_understand() {
        let slack = told().body(Speaks::Slack);
        assert!(slack["text"].as_str().is_some_and(|t| t.ends_with("route /a&lt;b&gt;&amp;c is new")), "{slack}");
        let json = told().body(Speaks::Json);
        assert_eq!((json["release"].as_u64(), json["result"].as_str()), (Some(12), Some("done")));
        assert_eq!(json["changes"][0], "app: environment LOG_LEVEL changed");
    }
}
