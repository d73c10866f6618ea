//! Who is told when something is wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::monitoring::{EmailKey, HookKeys, MonitoringKeys};
use crate::config::keys::service::ServiceKeys;
use crate::config::preset;
use crate::config::tree::Part;
use crate::config::values::Templated;
use crate::model::monitoring::{Alertmanager, By, Email, Hook, Monitoring, Receiver, Severity};
use crate::model::secrets::{Piece, SecretSource, SecretSpec};
use crate::model::service::{Preset, Service};
use crate::model::stack::Elsewhere;

use super::Input;

/// What the table is lowered among.
pub(super) struct Around<'a> {
    pub(super) file: &'a File,
    pub(super) elsewhere: &'a BTreeMap<ServiceName, Elsewhere>,
    pub(super) services: &'a mut BTreeMap<ServiceName, Service>,
    pub(super) declared: &'a mut BTreeMap<SecretName, SecretSpec>,
    pub(super) used: &'a mut BTreeSet<SecretName>,
}

/// Shortest and longest `repeat`: Alertmanager looks at a group every five minutes, and forgets what it told after
/// five days (its `--data.retention`).
const REPEAT: [Span; 2] = [Span::seconds(5 * 60), Span::seconds(120 * 60 * 60)];

pub(super) fn lower(around: &mut Around<'_>, input: &Input<'_>, problems: &mut Problems) -> Monitoring {
    let file = around.file;
    let entries = file.services.as_ref().map(|m| m.value.0.as_slice()).unwrap_or_default();
    let managers: Vec<&(At<ServiceName>, At<ServiceKeys>)> = entries.iter().filter(|(_, keys)| is_one(keys)).collect();
    if let [_, (second, _), ..] = managers.as_slice() {
        let problem = Problem::error("a stack has one Alertmanager").at(second.span.clone());
        problems.push(problem.help("both would tell the same people of the same alerts"));
    }
    let manager = managers.first().copied();
    let mut out = Monitoring {
        external_labels: external_labels(entries),
        alertmanager: manager.and_then(|(name, keys)| address(around, name, keys, problems)),
        ..Monitoring::default()
    };
    let own = manager.filter(|(_, keys)| keys.value.external.is_none()).map(|(name, _)| name);
    let Some(keys) = &file.monitoring else {
        if let Some(name) = own {
            problems.push(
                Problem::warning(format!("`{}` has nobody to tell", name.value))
                    .rule("nobody-told")
                    .at(name.span.clone())
                    .help("name somebody in `[monitoring]`: `slack`, `email`, `pagerduty` or `webhook`"),
            );
        }
        return out;
    };
    around.used.extend(mentioned(&keys.value));
    match (own, manager) {
        (Some(name), _) => out.receivers = receivers(&keys.value, &name.value, around, input, problems),
        (None, Some((name, _))) => problems.push(
            Problem::error(format!("`{}` runs elsewhere, and knows itself whom it tells", name.value))
                .at(keys.span.clone())
                .help("take `[monitoring]` away, or `external`"),
        ),
        (None, None) => problems.push(
            Problem::error("nobody tells those in `[monitoring]`: the stack has no Alertmanager")
                .at(keys.span.clone())
                .fix("[services.alertmanager]\npreset = \"alertmanager\""),
        ),
    }
    let nobody = ["slack", "email", "pagerduty", "webhook"];
    let named = keys.value.slack.is_some() || keys.value.email.is_some();
    if !named && keys.value.pagerduty.is_none() && keys.value.webhook.is_none() {
        problems.push(
            Problem::error("`[monitoring]` names nobody")
                .at(keys.span.clone())
                .help(format!("give it {}", crate::base::suggest::one_of(nobody)))
                .fix("slack = \"${secrets.slack}\""),
        );
    }
    if own.is_some() && !around.services.values().any(|s| s.preset == Some(Preset::Prometheus)) {
        problems.push(
            Problem::warning("nobody notices what those in `[monitoring]` should be told: the stack has no Prometheus")
                .rule("nobody-watches")
                .at(keys.span.clone())
                .help("`[services.prometheus]` with `preset = \"prometheus\"` asks every service with `metrics`"),
        );
    }
    if let Some(repeat) = &keys.value.repeat {
        if repeat.value < REPEAT[0] || repeat.value > REPEAT[1] {
            let label = "allowed: 5m to 5d, for which Alertmanager remembers what it told";
            problems.push(
                Problem::error(format!("an alert cannot be told again after {}", repeat.value))
                    .at(repeat.span.clone())
                    .label(label)
                    .fix("\"4h\""),
            );
        }
        out.repeat = Some(repeat.value);
    }
    out
}

/// Secrets that the table names, right or wrong.
fn mentioned(keys: &MonitoringKeys) -> impl Iterator<Item = SecretName> {
    let hooks = [&keys.slack, &keys.webhook].into_iter().flatten().filter_map(|hook| hook.value.0.url.as_ref());
    let pager = keys.pagerduty.iter().filter_map(|pager| pager.value.0.routing_key.as_ref());
    let mail = keys.email.iter().filter_map(|mail| mail.value.0.password.as_ref());
    hooks.chain(pager).chain(mail).flat_map(|text| &text.value.0).filter_map(|part| match part {
        Part::Reference(reference) => reference.strip_prefix("secrets.").and_then(SecretName::parse),
        Part::Text(_) => None,
    })
}

fn is_one(keys: &At<ServiceKeys>) -> bool {
    let found = keys.value.preset.as_ref().and_then(|p| preset::find(&p.value.0));
    found.is_some_and(|(definition, _)| preset::kind(definition) == Preset::Alertmanager)
}

/// What the services with Prometheus say to it.
fn external_labels(entries: &[(At<ServiceName>, At<ServiceKeys>)]) -> BTreeMap<String, String> {
    let labels = entries.iter().filter_map(|(_, keys)| keys.value.external_labels.as_ref());
    let labels = labels.flat_map(|labels| &labels.value.0);
    labels.map(|(name, text)| (name.value.0.clone(), text.value.0.clone())).collect()
}

/// Where Prometheus finds it.
fn address(
    around: &Around<'_>,
    name: &At<ServiceName>,
    keys: &At<ServiceKeys>,
    problems: &mut Problems,
) -> Option<Alertmanager> {
    let Some(url) = &keys.value.external else {
        let service = around.services.get(&name.value)?;
        return Some(Alertmanager { address: format!("{}:{}", service.name, service.port?), https: false, own: true });
    };
    let text = match url.value.0.as_slice() {
        [Part::Text(text)] => text.as_str(),
        _ => "",
    };
    let plain = text.split_once("://").is_some_and(|(_, rest)| !rest.trim_end_matches('/').contains(['/', '@', '?']));
    match around.elsewhere.get(&name.value) {
        Some(there) if plain => {
            let host = if there.host.contains(':') { format!("[{}]", there.host) } else { there.host.clone() };
            let address = format!("{host}:{}", there.port);
            Some(Alertmanager { address, https: text.starts_with("https"), own: false })
        }
        _ => {
            problems.push(
                Problem::error("Prometheus finds an Alertmanager by its host and port alone")
                    .at(url.span.clone())
                    .hidden()
                    .label("allowed: a URL such as `http://alerts.example.com:9093`, without a secret or a path"),
            );
            None
        }
    }
}

fn receivers(
    keys: &MonitoringKeys,
    own: &ServiceName,
    around: &mut Around<'_>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Vec<Receiver> {
    let mut out = Vec::new();
    let severity = |key: Option<&At<crate::config::keys::monitoring::SeverityKey>>, default| {
        key.map_or(default, |key| key.value.0)
    };
    if let Some(key) = &keys.slack
        && let Some(hook) = hook("slack", &key.value.0, own, around, input, problems)
    {
        let severity = severity(key.value.0.severity.as_ref(), Severity::Warning);
        if let Hook::Plain(_) = hook {
            problems.push(
                Problem::error("whoever knows a chat's webhook can write there: its address is a secret")
                    .at(key.span.clone())
                    .hidden()
                    .label("name a secret instead")
                    .help("write `\"${secrets.slack}\"`, and declare that secret in `[secrets]`"),
            );
        }
        out.push(Receiver { line: input.line(&key.span), severity, by: By::Slack(hook) });
    }
    if let Some(key) = &keys.email
        && let Some(email) = email(key, own, around, problems)
    {
        let severity = severity(key.value.0.severity.as_ref(), Severity::Warning);
        out.push(Receiver { line: input.line(&key.span), severity, by: By::Email(email) });
    }
    if let Some(key) = &keys.pagerduty {
        let severity = severity(key.value.0.severity.as_ref(), Severity::Critical);
        let text = key.value.0.routing_key.as_ref();
        let name = text.and_then(|text| whole("a routing key", text, own, around, problems));
        out.extend(name.map(|name| Receiver { line: input.line(&key.span), severity, by: By::PagerDuty(name) }));
    }
    if let Some(key) = &keys.webhook
        && let Some(hook) = hook("webhook", &key.value.0, own, around, input, problems)
    {
        let severity = severity(key.value.0.severity.as_ref(), Severity::Warning);
        out.push(Receiver { line: input.line(&key.span), severity, by: By::Webhook(hook) });
    }
    out
}

/// A secret that a key names, and nothing else: the Alertmanager reads it as a file.
fn whole(
    what: &str,
    text: &At<Templated>,
    own: &ServiceName,
    around: &mut Around<'_>,
    problems: &mut Problems,
) -> Option<SecretName> {
    let name = preset::secret_that_is(what, text, around.declared, problems)?;
    around.services.get_mut(own)?.secrets.insert(name.clone());
    Some(name)
}

/// A URL. One with secrets in it is a secret of the Alertmanager's own, so that it has a file.
fn hook(
    key: &'static str,
    keys: &HookKeys,
    own: &ServiceName,
    around: &mut Around<'_>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Hook> {
    let url = keys.url.as_ref()?;
    let pieces = super::notify::url(url, around.declared, input, problems)?;
    if let [Piece::Text(text)] = pieces.0.as_slice() {
        if text.contains(['{', '}']) || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            problems.push(
                Problem::error("this is not a URL that alerts can be posted to")
                    .at(url.span.clone())
                    .label("braces, blanks and control characters are percent-encoded in URLs"),
            );
            return None;
        }
        return Some(Hook::Plain(text.clone()));
    }
    let full = SecretName::parse(&format!("{own}.{key}"))?;
    let line = input.line(&url.span);
    // Without a value for what it is made of it has none, and its receiver is left out.
    let spec = SecretSpec { optional: true, ..SecretSpec::required(line, SecretSource::Derived(pieces)) };
    around.declared.insert(full.clone(), spec);
    around.services.get_mut(own)?.secrets.insert(full.clone());
    Some(Hook::Secret(full))
}

fn email(key: &At<EmailKey>, own: &ServiceName, around: &mut Around<'_>, problems: &mut Problems) -> Option<Email> {
    let keys = &key.value.0;
    if let Some(to) = keys.to.as_ref().filter(|to| to.value.0.is_empty()) {
        problems.push(Problem::error("nobody gets this mail").at(to.span.clone()).fix("[\"ops@example.com\"]"));
    }
    let password = keys.password.as_ref().and_then(|text| whole("a password", text, own, around, problems));
    let user = keys.user.as_ref().map(|user| user.value.0.clone());
    match (&keys.user, &keys.password) {
        (Some(user), None) => problems.push(
            Problem::error("a `user` goes with a `password`")
                .at(user.span.clone())
                .help("write `password = \"${secrets.smtp}\"`, and declare that secret in `[secrets]`"),
        ),
        (None, Some(password)) => problems.push(
            Problem::error("a `password` goes with a `user`")
                .at(password.span.clone())
                .hidden()
                .help("write `user = \"alerts@example.com\"`, as the server knows it"),
        ),
        _ => {}
    }
    let encrypted = keys.require_tls.as_ref().is_none_or(|key| key.value);
    if let Some(key) = keys.require_tls.as_ref().filter(|key| !key.value && password.is_some()) {
        problems.push(
            Problem::error("a password is not sent over a connection that everybody can read")
                .at(key.span.clone())
                .help("take `require_tls` away, or `user` and `password`"),
        );
    }
    let smarthost = keys.smarthost.as_ref()?.value.0.clone();
    Some(Email {
        to: keys.to.as_ref()?.value.0.iter().map(|to| to.value.0.clone()).collect(),
        from: keys.from.as_ref()?.value.0.clone(),
        user,
        password,
        require_tls: encrypted && !smarthost.ends_with(":465"),
        smarthost,
    })
}
