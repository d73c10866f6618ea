//! Alertmanager: who is told of which alerts.

use serde::Serialize;

use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::monitoring::{By, Email, Hook, Receiver, Severity};
use crate::model::secrets::{SECRETS_FOLDER, SecretValues};
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, ALERTMANAGER};

/// How long until an alert that lasts is told again.
const REPEAT: Span = Span::seconds(4 * 60 * 60);

/// What a message is about, as Alertmanager fills it in (its docs, "Notification template reference").
const TITLE: &str = "{{ if eq .Status \"firing\" }}{{ or .CommonLabels.severity \"alert\" }}{{ else }}over{{ end }}: {{ .CommonLabels.alertname }}{{ with .CommonLabels.job }} of {{ . }}{{ end }}{{ with .CommonLabels.project }} ({{ . }}){{ end }}";

/// What is wrong, and what to do next, alert by alert.
const TEXT: &str = "{{ range .Alerts }}{{ or .Annotations.summary .Labels.alertname }}\n{{ with .Annotations.next }}{{ . }}\n{{ end }}{{ end }}";

/// `PagerDuty`'s word for it: it knows four, and refuses others.
const LEVEL: &str = "{{ if eq .CommonLabels.severity \"critical\" }}critical{{ else }}warning{{ end }}";

#[derive(Serialize)]
struct View<'a> {
    title: &'static str,
    text: &'static str,
    level: &'static str,
    /// Seconds.
    repeat: u64,
    /// By severity: its name, and who is told.
    receivers: Vec<Told<'a>>,
    /// Keys of receivers that are left out, and their lines.
    silent: Vec<String>,
}

#[derive(Serialize)]
struct Told<'a> {
    name: &'static str,
    slack: Vec<Address<'a>>,
    webhook: Vec<Address<'a>>,
    pagerduty: Vec<String>,
    email: Vec<Mail<'a>>,
}

/// A URL, or the file it is in.
#[derive(Serialize)]
struct Address<'a> {
    url: Option<&'a str>,
    file: Option<String>,
}

#[derive(Serialize)]
struct Mail<'a> {
    to: String,
    from: &'a str,
    smarthost: &'a str,
    user: Option<&'a str>,
    password: Option<String>,
    require_tls: bool,
}

/// Renders `alertmanager.yml`. Secrets are not in it: it names the files that hold them. Whoever's secret has no value
/// is left out.
///
/// # Errors
/// [`RenderError::Template`] where our own template is broken.
pub fn alertmanager(stack: &Stack, values: &SecretValues) -> Result<Vec<Artifact>, RenderError> {
    let (told, silent) = stack.monitoring.reachable(values);
    let of = |name, most: Severity| {
        let mut out = Told { name, slack: Vec::new(), webhook: Vec::new(), pagerduty: Vec::new(), email: Vec::new() };
        for receiver in told.iter().filter(|to| to.severity <= most) {
            match &receiver.by {
                By::Slack(hook) => out.slack.push(address(hook)),
                By::Webhook(hook) => out.webhook.push(address(hook)),
                By::PagerDuty(key) => out.pagerduty.push(format!("{SECRETS_FOLDER}/{key}")),
                By::Email(email) => out.email.push(mail(email)),
            }
        }
        out
    };
    let view = View {
        title: TITLE,
        text: TEXT,
        level: LEVEL,
        repeat: stack.monitoring.repeat.unwrap_or(REPEAT).ceil_seconds(),
        receivers: vec![of("warning", Severity::Warning), of("critical", Severity::Critical)],
        silent: silent.iter().map(|to: &&Receiver| format!("{} (line {})", to.key(), to.line)).collect(),
    };
    Ok(vec![Artifact::plain("alertmanager.yml", engine::fill(&ALERTMANAGER, &view)?)])
}

fn address(hook: &Hook) -> Address<'_> {
    match hook {
        Hook::Plain(url) => Address { url: Some(url), file: None },
        Hook::Secret(name) => Address { url: None, file: Some(format!("{SECRETS_FOLDER}/{name}")) },
    }
}

fn mail(email: &Email) -> Mail<'_> {
    Mail {
        to: email.to.join(", "),
        from: &email.from,
        smarthost: &email.smarthost,
        user: email.user.as_deref(),
        password: email.password.as_ref().map(|name| format!("{SECRETS_FOLDER}/{name}")),
        require_tls: email.require_tls,
    }
}
