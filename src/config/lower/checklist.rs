//! What the file adds to the checklist.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::name::ServiceName;
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::checklist::{AttestationKeys, OwnKeys, WaiverKeys};
use crate::model::checklist::{ATTESTABLE, Attestation, Bounds, Checklist, OwnAsk, OwnCheck, OwnRequest, Waiver};
use crate::model::service::{Preset, Service};

use super::Input;

type Services = BTreeMap<ServiceName, Service>;

/// Longest a check may take where nothing is said.
const WITHIN: Span = Span::seconds(5);

pub(super) fn lower(file: &File, services: &Services, input: &Input<'_>, problems: &mut Problems) -> Checklist {
    let mut out = Checklist::default();
    for (name, keys) in file.checks.iter().flat_map(|m| &m.value.0) {
        if let Some(ask) = ask(&keys.value, &name.span, services, problems) {
            let within = keys.value.within.as_ref().map_or(WITHIN, |w| w.value);
            out.own.push(OwnCheck { name: name.value.0.clone(), line: input.line(&name.span), ask, within });
        }
    }
    for keys in file.waivers.iter().flat_map(|w| &w.value) {
        out.waivers.extend(waiver(keys, input, problems));
    }
    for (what, keys) in file.attestations.iter().flat_map(|m| &m.value.0) {
        if let Some(word) = attestation(&what.value.0, keys, &what.span, input, problems) {
            out.attested.insert(what.value.0.clone(), word);
        }
    }
    out
}

fn ask(keys: &OwnKeys, span: &Range<usize>, services: &Services, problems: &mut Problems) -> Option<OwnAsk> {
    let kinds = [
        ("path", keys.path.is_some()),
        ("tcp", keys.tcp.is_some()),
        ("command", keys.command.is_some()),
        ("sql", keys.sql.is_some()),
        ("promql", keys.promql.is_some()),
    ];
    if kinds.iter().filter(|(_, there)| *there).count() != 1 {
        problems.push(
            Problem::error("a check asks exactly one of `path`, `tcp`, `command`, `sql` and `promql`")
                .at(span.clone())
                .fix("path = \"/health\""),
        );
        return None;
    }
    superfluous(keys, &kinds, problems);
    if let Some(path) = &keys.path {
        return request(keys, path, problems).map(OwnAsk::Http);
    }
    if let Some(tcp) = &keys.tcp {
        let right = tcp
            .value
            .0
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if !right {
            problems.push(
                Problem::error(format!("`{}` is not a host and a port", tcp.value.0))
                    .at(tcp.span.clone())
                    .fix("\"smtp.example.com:587\""),
            );
        }
        return right.then(|| OwnAsk::Tcp(tcp.value.0.clone()));
    }
    if let Some(command) = &keys.command {
        let service = named(keys, span, services, None, problems)?;
        return Some(OwnAsk::Command { service, argv: command.value.0.clone() });
    }
    let bounds =
        Bounds { least: keys.at_least.as_ref().map(|f| f.value.0), most: keys.at_most.as_ref().map(|f| f.value.0) };
    if bounds == Bounds::default() {
        problems.push(
            Problem::error("what may the number be? give `at_least`, `at_most` or both")
                .at(span.clone())
                .fix("at_most = 100"),
        );
        return None;
    }
    if let Some(sql) = &keys.sql {
        let service = named(keys, span, services, Some(Preset::Postgres), problems)?;
        return Some(OwnAsk::Sql { service, query: sql.value.0.clone(), bounds });
    }
    let promql = keys.promql.as_ref()?;
    if !services.values().any(|s| s.preset == Some(Preset::Prometheus)) {
        problems.push(
            Problem::error("the stack has no Prometheus to ask")
                .at(promql.span.clone())
                .fix("[services.prometheus]\npreset = \"prometheus\""),
        );
        return None;
    }
    Some(OwnAsk::Promql { query: promql.value.0.clone(), bounds })
}

/// Keys that mean nothing beside the kind of check: a key that does nothing is a mistake.
fn superfluous(keys: &OwnKeys, kinds: &[(&str, bool)], problems: &mut Problems) {
    let kind = kinds.iter().find(|(_, there)| *there).map_or("", |(name, _)| name);
    let spans = [
        ("method", keys.method.as_ref().map(|k| &k.span), ["path", ""]),
        ("headers", keys.headers.as_ref().map(|k| &k.span), ["path", ""]),
        ("body", keys.body.as_ref().map(|k| &k.span), ["path", ""]),
        ("status", keys.status.as_ref().map(|k| &k.span), ["path", ""]),
        ("contains", keys.contains.as_ref().map(|k| &k.span), ["path", ""]),
        ("json", keys.json.as_ref().map(|k| &k.span), ["path", ""]),
        ("service", keys.service.as_ref().map(|k| &k.span), ["command", "sql"]),
        ("at_least", keys.at_least.as_ref().map(|k| &k.span), ["sql", "promql"]),
        ("at_most", keys.at_most.as_ref().map(|k| &k.span), ["sql", "promql"]),
    ];
    for (name, span, with) in spans {
        if let Some(span) = span.filter(|_| !with.contains(&kind)) {
            let with: Vec<String> = with.iter().filter(|w| !w.is_empty()).map(|w| format!("`{w}`")).collect();
            problems.push(
                Problem::error(format!("`{name}` means nothing beside `{kind}`"))
                    .at(span.clone())
                    .help(format!("it goes with {}", with.join(" and "))),
            );
        }
    }
}

fn request(keys: &OwnKeys, path: &At<crate::config::values::Text>, problems: &mut Problems) -> Option<OwnRequest> {
    let text = &path.value.0;
    if !text.starts_with('/') || !text.bytes().all(|b| b.is_ascii_graphic()) {
        problems.push(
            Problem::error(format!("`{text}` is not a path"))
                .at(path.span.clone())
                .label("allowed: a path of the front door, such as `/api/search?q=x`"),
        );
        return None;
    }
    let method = keys.method.as_ref().map_or("GET", |m| m.value.0.as_str());
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        let span = keys.method.as_ref().map_or(0..0, |m| m.span.clone());
        problems.push(Problem::error(format!("`{method}` is not a method")).at(span).fix("\"POST\""));
        return None;
    }
    let headers = keys.headers.iter().flat_map(|m| &m.value.0);
    let json = keys.json.iter().flat_map(|m| &m.value.0);
    Some(OwnRequest {
        method: method.to_owned(),
        path: text.clone(),
        headers: headers.map(|(name, value)| (name.value.0.clone(), value.value.0.clone())).collect(),
        body: keys.body.as_ref().map(|b| b.value.0.clone()).unwrap_or_default(),
        status: keys.status.as_ref().and_then(|s| u16::try_from(s.value.get()).ok()),
        contains: keys.contains.as_ref().map(|c| c.value.0.clone()),
        json: json.map(|(path, value)| (path.value.0.clone(), value.value.0.clone())).collect(),
    })
}

/// The service a check runs in; of this preset, if it must be one.
fn named(
    keys: &OwnKeys,
    span: &Range<usize>,
    services: &Services,
    preset: Option<Preset>,
    problems: &mut Problems,
) -> Option<ServiceName> {
    let Some(service) = &keys.service else {
        problems.push(Problem::error("in which `service`?").at(span.clone()).fix("service = \"app\""));
        return None;
    };
    match services.get(&service.value) {
        Some(found) if preset.is_none() || found.preset == preset => Some(service.value.clone()),
        Some(_) => {
            problems.push(
                Problem::error(format!("`{}` is no PostgreSQL of ours", service.value))
                    .at(service.span.clone())
                    .help("`sql` is asked in a service with `preset = \"postgres\"`"),
            );
            None
        }
        None => {
            let mut problem =
                Problem::error(format!("there is no service `{}`", service.value)).at(service.span.clone());
            if let Some(near) = nearest(service.value.as_str(), services.keys().map(ServiceName::as_str)) {
                problem = problem.label(format!("did you mean `{near}`?")).fix(format!("\"{near}\""));
            }
            problems.push(problem);
            None
        }
    }
}

fn waiver(keys: &At<WaiverKeys>, input: &Input<'_>, problems: &mut Problems) -> Option<Waiver> {
    let WaiverKeys { check, subject, reason, until } = &keys.value;
    let missing: Vec<&str> = [("check", check.is_none()), ("reason", reason.is_none()), ("until", until.is_none())]
        .into_iter()
        .filter(|(_, missing)| *missing)
        .map(|(name, _)| name)
        .collect();
    if !missing.is_empty() {
        problems.push(
            Problem::error(format!("a waiver needs `{}`", missing.join("`, `")))
                .at(keys.span.clone())
                .fix("check = \"TLS-5\"\nreason = \"the order is under way\"\nuntil = \"2027-03-31\""),
        );
        return None;
    }
    Some(Waiver {
        check: check.as_ref()?.value.0.clone(),
        subject: subject.as_ref().map(|s| s.value.0.clone()),
        reason: reason.as_ref()?.value.0.clone(),
        until: until.as_ref()?.value,
        line: input.line(&keys.span),
    })
}

fn attestation(
    what: &str,
    keys: &At<AttestationKeys>,
    span: &Range<usize>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Attestation> {
    let AttestationKeys { by, on, until } = &keys.value;
    let (Some(by), Some(on)) = (by, on) else {
        problems.push(
            Problem::error("an attestation needs `by` and `on`")
                .at(span.clone())
                .fix(format!("{what} = {{ by = \"ops@example.com\", on = \"2026-11-20\" }}")),
        );
        return None;
    };
    let days = ATTESTABLE.iter().find(|(name, _)| *name == what).map_or(0, |(_, days)| *days);
    let until = until.as_ref().map_or_else(|| on.value.plus(days), |u| u.value);
    if until < on.value {
        problems.push(Problem::error("it ends before it begins").at(keys.span.clone()));
        return None;
    }
    Some(Attestation { by: by.value.0.clone(), on: on.value, until, line: input.line(span) })
}
