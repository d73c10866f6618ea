//! Who watches, and who is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::name::SecretName;
use crate::base::units::Span;

use super::secrets::SecretValues;

/// What Prometheus is told besides whom to ask, and whom its alerts reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitoring {
    /// Labels on everything that leaves it, besides `project` and `stage`: name to value.
    pub external_labels: BTreeMap<String, String>,
    /// Who is told of its alerts. Releases of before know nothing of it.
    #[serde(default)]
    pub alertmanager: Option<Alertmanager>,
    /// People, and programs that call people.
    #[serde(default)]
    pub receivers: Vec<Receiver>,
    /// How long until the same alert is told again.
    #[serde(default)]
    pub repeat: Option<Span>,
}

/// Where an Alertmanager answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alertmanager {
    /// Host and port.
    pub address: String,
    /// By HTTPS.
    pub https: bool,
    /// It is a service of this stack.
    pub own: bool,
}

/// Somebody who is told of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Line of stack.toml that names it, from 1.
    pub line: u32,
    /// Of which alerts.
    pub severity: Severity,
    /// How.
    pub by: By,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look at it: all alerts.
    Warning,
    /// Somebody must do something now: those alone.
    Critical,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Slack, or a chat that speaks like it.
    Slack(Hook),
    /// A program that takes Alertmanager's JSON.
    Webhook(Hook),
    /// `PagerDuty`, by the secret that is its routing key (Events API v2).
    PagerDuty(SecretName),
    /// E-mail.
    Email(Email),
}

/// A URL that gets a POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Everybody may know it.
    Plain(String),
    /// It is this secret.
    Secret(SecretName),
}

/// How mail gets out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// Addresses.
    pub to: Vec<String>,
    /// Address.
    pub from: String,
    /// Host and port of the server that takes it.
    pub smarthost: String,
    /// Name it is told, where it asks for one.
    pub user: Option<String>,
    /// Password that goes with the name.
    pub password: Option<SecretName>,
    /// The connection must be encrypted by STARTTLS. Port 465 is encrypted from its first byte.
    pub require_tls: bool,
}

impl Receiver {
    /// The secret without which nobody can be told.
    pub fn secret(&self) -> Option<&SecretName> {
        match &self.by {
            By::Slack(Hook::Secret(name)) | By::Webhook(Hook::Secret(name)) | By::PagerDuty(name) => Some(name),
            By::Email(email) => email.password.as_ref(),
            By::Slack(Hook::Plain(_)) | By::Webhook(Hook::Plain(_)) => None,
        }
    }

    /// Its key in `[monitoring]`.
    pub fn key(&self) -> &'static str {
        match &self.by {
            By::Slack(_) => "slack",
            By::Webhook(_) => "webhook",
            By::PagerDuty(_) => "pagerduty",
            By::Email(_) => "email",
        }
    }
}

impl Monitoring {
    /// Those who can be told, and those who cannot, since their optional secret has no value.
    pub fn reachable<'a>(&'a self, values: &SecretValues) -> (Vec<&'a Receiver>, Vec<&'a Receiver>) {
        self.receivers.iter().partition(|to| to.secret().is_none_or(|name| values.contains_key(name)))
    }

    /// What whoever deploys this should know, in a sentence each.
    pub fn notes(&self, values: &SecretValues) -> Vec<String> {
        let (told, silent) = self.reachable(values);
        let mut out: Vec<String> = silent
            .iter()
            .map(|to| format!("{} (line {}) has no value: it is told of no alert", to.key(), to.line))
            .collect();
        if told.is_empty() && self.alertmanager.as_ref().is_some_and(|there| there.own) {
            out.push("nobody is told of alerts: no receiver of `[monitoring]` has a value".to_owned());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap_or_else(|| unreachable!())
    }

    #[test]
    fn who_has_no_secret_is_not_told() {
        let to = |line, by| Receiver { line, severity: Severity::Warning, by };
        let monitoring = Monitoring {
            alertmanager: Some(Alertmanager { address: "alertmanager:9093".into(), https: false, own: true }),
            receivers: vec![
                to(3, By::Slack(Hook::Secret(name("alertmanager.slack")))),
                to(4, By::PagerDuty(name("pager"))),
            ],
            ..Monitoring::default()
        };
        let some = SecretValues::from([(name("pager"), Secret::new("key"))]);
        let (told, silent) = monitoring.reachable(&some);
        assert_eq!((told[0].key(), silent[0].key()), ("pagerduty", "slack"));
        assert_eq!(monitoring.notes(&some), ["slack (line 3) has no value: it is told of no alert"]);
        let none = monitoring.notes(&SecretValues::new());
        assert_eq!(none.len(), 3);
        assert!(none[2].starts_with("nobody is told"), "{none:?}");
        assert!(Monitoring::default().notes(&some).is_empty());
    }
}
