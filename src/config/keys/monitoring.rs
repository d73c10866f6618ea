//! Keys that say who is told when something is wrong.

#![expect(clippy::doc_markdown, reason = "a company's name; these comments are the texts of docs and schema, too")]

use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::{At, Decode, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Templated, Text, parsed, word};
use crate::config::web::Address;
use crate::model::monitoring::Severity;

table! {
    /// Who is told when something is wrong. Prometheus notices it by its rules; an Alertmanager (`[services.alertmanager]`, `preset = "alertmanager"`) tells people: alerts of one kind together, again after `repeat` while it lasts, and once when it is over. A critical alert of a service silences its warnings. A receiver whose secret is `optional` and has no value is left out, and `up` says so.
    MonitoringKeys as "monitoring" {
        /// Incoming webhook of Slack, or of a chat that speaks like it (Mattermost, Rocket.Chat): a secret.
        slack: HookKey => r#""${secrets.slack}""#,
        /// Mail, through a server that takes it.
        email: EmailKey => r#"{ to = "ops@example.com", from = "alerts@example.com", smarthost = "smtp.example.com:587" }"#,
        /// PagerDuty: the routing key of an integration (Events API v2), a secret. Told of critical alerts only, if nothing else is said.
        pagerduty: PagerKey => r#""${secrets.pagerduty}""#,
        /// URL of a program of yours that gets Alertmanager's JSON by POST.
        webhook: HookKey => r#""${secrets.pager_hook}""#,
        /// How long until an alert that lasts is told again, 5m to 5d.
        repeat: Span = "\"4h\"" => r#""12h""#,
    }
}

table! {
    /// Where alerts are posted to.
    HookKeys as "a receiver" short for url {
        /// The URL, with a secret in it: `${secrets.NAME}`.
        url: Templated => r#""${secrets.slack}""#,
        /// `"critical"` for those alerts alone; `"warning"` for all.
        severity: SeverityKey = "\"warning\"" => r#""critical""#,
    }
}

table! {
    /// Who is called by PagerDuty.
    PagerKeys as "pagerduty" short for routing_key {
        /// Routing key of an integration of the Events API v2: a secret of this file, `${secrets.NAME}`.
        routing_key: Templated => r#""${secrets.pagerduty}""#,
        /// `"critical"` for those alerts alone; `"warning"` for all.
        severity: SeverityKey = "\"critical\"" => r#""warning""#,
    }
}

table! {
    /// Who gets mail, and how it gets out.
    EmailKeys as "email" {
        /// Address, or a list of them.
        to: MailAddresses => r#""ops@example.com""#,
        /// Address it comes from.
        from: MailAddress => r#""alerts@example.com""#,
        /// Server that takes it: host and port. Port 465 is encrypted from its first byte, any other by STARTTLS.
        smarthost: Address => r#""smtp.example.com:587""#,
        /// Name that the server is told.
        user: Text => r#""alerts@example.com""#,
        /// Password that goes with it: a secret of this file, `${secrets.NAME}`.
        password: Templated => r#""${secrets.smtp}""#,
        /// Send nothing unless the connection is encrypted.
        require_tls: bool = "true" => "false",
        /// `"critical"` for those alerts alone; `"warning"` for all.
        severity: SeverityKey = "\"warning\"" => r#""critical""#,
    }
}

/// `slack`, `webhook`: a URL, or a table.
#[derive(Debug, Clone, PartialEq)]
pub struct HookKey(pub HookKeys);

impl Decode for HookKey {
    fn shape() -> Shape {
        Shape::Either(vec![Templated::shape(), HookKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => {
                needs(node, "a receiver", &[("url", "\"${secrets.slack}\"")], problems);
                HookKeys::decode(node, problems).map(Self)
            }
            Value::Text(_) => {
                let url = At { value: Templated::decode(node, problems)?, span: node.span.clone() };
                Some(Self(HookKeys { url: Some(url), severity: None }))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// `pagerduty`: a routing key, or a table.
#[derive(Debug, Clone, PartialEq)]
pub struct PagerKey(pub PagerKeys);

impl Decode for PagerKey {
    fn shape() -> Shape {
        Shape::Either(vec![Templated::shape(), PagerKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => {
                needs(node, "`pagerduty`", &[("routing_key", "\"${secrets.pagerduty}\"")], problems);
                PagerKeys::decode(node, problems).map(Self)
            }
            Value::Text(_) => {
                let key = At { value: Templated::decode(node, problems)?, span: node.span.clone() };
                Some(Self(PagerKeys { routing_key: Some(key), severity: None }))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// `email`
#[derive(Debug, Clone, PartialEq)]
pub struct EmailKey(pub EmailKeys);

impl Decode for EmailKey {
    fn shape() -> Shape {
        EmailKeys::shape()
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let needed = [
            ("to", "\"ops@example.com\""),
            ("from", "\"alerts@example.com\""),
            ("smarthost", "\"smtp.example.com:587\""),
        ];
        needs(node, "`email`", &needed, problems);
        EmailKeys::decode(node, problems).map(Self)
    }
}

/// Reports the keys that a table must have and has not, each with an example.
fn needs(node: &Node, what: &str, keys: &[(&str, &str)], problems: &mut Problems) {
    let Value::Table(_) = node.value else { return };
    for (key, example) in keys.iter().filter(|(key, _)| node.get(key).is_none()) {
        let problem = Problem::error(format!("{what} has no `{key}`")).at(node.span.clone());
        problems.push(problem.help(format!("such as `{key} = {example}`")));
    }
}

/// `severity`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeverityKey(pub Severity);

const SEVERITIES: &[&str] = &["warning", "critical"];

impl Decode for SeverityKey {
    fn shape() -> Shape {
        Shape::Word(SEVERITIES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let critical = word(node, SEVERITIES, problems)? == "critical";
        Some(Self(if critical { Severity::Critical } else { Severity::Warning }))
    }
}

/// A plain mail address, without a name beside it. Alertmanager reads addresses as templates, so braces are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(pub String);

impl Decode for MailAddress {
    fn shape() -> Shape {
        Shape::Text { what: "an e-mail address", pattern: "^[A-Za-z0-9._%+=~!#&'*/?^|-]+@[A-Za-z0-9.-]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let fine = |part: &str, more: &[u8]| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
            };
            match text.rsplit_once('@') {
                Some((who, host)) if fine(who, b"._%+=~!#&'*/?^|-") && fine(host, b".-") => Ok(Self(text.to_owned())),
                _ => Err(format!("`{text}` is not an e-mail address; write `ops@example.com`")),
            }
        })
    }
}

/// `to`: an address, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct MailAddresses(pub Vec<At<MailAddress>>);

impl Decode for MailAddresses {
    fn shape() -> Shape {
        Shape::Either(vec![MailAddress::shape(), Shape::List(Box::new(MailAddress::shape()))])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::decode(node, problems).map(Self),
            Value::Text(_) => {
                let value = MailAddress::decode(node, problems)?;
                Some(Self(vec![At { value, span: node.span.clone() }]))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}
