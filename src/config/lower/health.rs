//! How to know that a service is ready.

use std::ops::Range;

use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::service::{HealthKey, HealthKeys, ServiceKeys};
use crate::config::values::Int;
use crate::model::service::{Ask, Health, Kind, Service};

use super::Input;

pub(super) fn lower(service: &mut Service, keys: &At<ServiceKeys>, input: &Input<'_>, problems: &mut Problems) {
    let defaults = |ask, line| Health {
        ask,
        body: None,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(60),
        line,
    };
    let Some(key) = &keys.value.healthcheck else {
        if service.health.is_none() && service.port.is_some() && !is_job(keys) {
            service.health = Some(defaults(Ask::Tcp, service.line));
        }
        return;
    };
    let line = input.line(&key.span);
    let health = match &key.value {
        HealthKey::Path(path) => Some(defaults(Ask::Http(path.0.clone()), line)),
        HealthKey::Keys(table) => asked(table, service, &key.span, problems).map(|ask| Health {
            body: body(table, &ask, problems),
            ask,
            interval: table.interval.as_ref().map_or(Span::seconds(10), |v| v.value),
            timeout: table.timeout.as_ref().map_or(Span::seconds(5), |v| v.value),
            retries: table.retries.as_ref().map_or(3, |v| Int::get(v.value)),
            start_period: table.start_period.as_ref().map_or(Span::seconds(60), |v| v.value),
            line,
        }),
    };
    if let Some(health) = health {
        if matches!(health.ask, Ask::Http(_) | Ask::Tcp) && service.port.is_none() {
            problems.push(Problem::error("this health check needs a `port`").at(key.span.clone()).fix("port = 8000"));
        }
        service.health = Some(health);
    }
}

fn is_job(keys: &At<ServiceKeys>) -> bool {
    keys.value.kind.as_ref().is_some_and(|k| k.value.0 == Kind::Job)
}

/// What the answer must hold; only HTTP has a body.
fn body(table: &HealthKeys, ask: &Ask, problems: &mut Problems) -> Option<String> {
    let body = table.body.as_ref()?;
    if !matches!(ask, Ask::Http(_)) {
        let problem = Problem::error("only the answer to a `path` has a body").at(body.span.clone());
        problems.push(problem.help("ask a `path` instead, or leave `body` away"));
    } else if body.value.0.trim().is_empty() {
        problems.push(Problem::error("every answer holds nothing").at(body.span.clone()).help("leave `body` away"));
    }
    Some(body.value.0.clone())
}

fn asked(table: &HealthKeys, service: &Service, span: &Range<usize>, problems: &mut Problems) -> Option<Ask> {
    let tcp = table.tcp.as_ref().is_some_and(|t| t.value);
    match (&table.path, &table.command, tcp) {
        (Some(path), None, false) => Some(Ask::Http(path.value.0.clone())),
        (None, Some(command), false) => Some(Ask::Command(command.value.0.clone())),
        (None, None, true) => Some(Ask::Tcp),
        (None, None, false) if service.health.is_some() => service.health.as_ref().map(|h| h.ask.clone()),
        (None, None, false) if service.port.is_some() => Some(Ask::Tcp),
        _ => {
            problems.push(
                Problem::error("a health check asks one question: give one of `path`, `command` and `tcp`")
                    .at(span.clone()),
            );
            None
        }
    }
}
