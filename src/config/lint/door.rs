//! The front door: routes that cannot work, that publish what must stay inside, or that nothing leads to.

use std::ops::Range;

use crate::base::problem::{Problem, Problems};
use crate::config::keys::route::RouteKey;
use crate::model::proxy::{Proxy, Route};
use crate::model::service::{Ask, Image, Service};

use super::Stack;

/// Programs that keep data and check passwords at best, by the last part of their image's name.
pub(super) const DATABASES: &[&str] = &[
    "cassandra",
    "clickhouse",
    "couchdb",
    "elasticsearch",
    "mariadb",
    "memcached",
    "mongo",
    "mysql",
    "opensearch",
    "postgis",
    "postgres",
    "postgresql",
    "qdrant",
    "rabbitmq",
    "redis",
    "valkey",
    "weaviate",
];

pub(super) fn check(stack: &Stack<'_>, problems: &mut Problems) {
    if let Some(proxy) = stack.proxy {
        for place in places(stack) {
            let Some(route) = proxy.routes.iter().find(|r| r.path == place.path) else { continue };
            path(&place, problems);
            let Some(service) = route.service().and_then(|name| stack.services.get(name)) else { continue };
            database(&place, service, problems);
            health(&place, route, service, problems);
            metrics(&place, service, problems);
            twice(&place, route, proxy, problems);
        }
    }
    // A route that is wrong may be the one that is missed.
    if !problems.has_errors() {
        reachable(stack, problems);
    }
}

/// A route in the file.
struct Place<'a> {
    path: &'a str,
    path_span: &'a Range<usize>,
    value: &'a Range<usize>,
    key: &'a RouteKey,
}

fn places<'a>(stack: &'a Stack<'_>) -> impl Iterator<Item = Place<'a>> {
    stack.file.routes.iter().flat_map(|m| &m.value.0).map(|(path, key)| Place {
        path: &path.value.0,
        path_span: &path.span,
        value: &key.span,
        key: &key.value,
    })
}

/// Nginx compares locations with the decoded path (`location` in its manual).
fn path(place: &Place<'_>, problems: &mut Problems) {
    if place.path.contains('%') {
        problems.push(
            Problem::error(format!("the route `{}` answers nothing", place.path))
                .rule("route-encoded")
                .at(place.path_span.clone())
                .label("paths are compared decoded: no `%` is left in them")
                .help("write the characters themselves"),
        );
    }
}

fn database(place: &Place<'_>, service: &Service, problems: &mut Problems) {
    let Some(name) = database_of(service) else { return };
    problems.push(
        Problem::error(format!("a route would publish the database `{}`", service.name))
            .rule("database-published")
            .at(place.value.clone())
            .label(format!("{name} belongs behind the services that use it"))
            .help("those that name it in `depends_on` or refer to it reach it inside the stack"),
    );
}

/// What kind of database a service is, if it is one.
fn database_of(service: &Service) -> Option<&'static str> {
    let Image::Pull(image) = &service.image else { return None };
    let name = image.split('@').next().and_then(|i| i.rsplit('/').next()).and_then(|i| i.split(':').next())?;
    DATABASES.iter().copied().find(|d| *d == name)
}

/// A monitor that asks for the health of a service is one client, and asks often.
fn health(place: &Place<'_>, route: &Route, service: &Service, problems: &mut Problems) {
    let asked = match service.health.as_ref().map(|h| &h.ask) {
        Some(Ask::Http(path)) => path.split(['?', '#']).next().unwrap_or(path),
        _ => return,
    };
    // A whole folder is limited for what else is in it.
    if asked != place.path || asked.ends_with('/') || route.limit.is_none() {
        return;
    }
    let inherited = !matches!(place.key, RouteKey::Keys(keys) if keys.limit.is_some());
    let problem = Problem::warning(format!("the health path `{asked}` is limited"))
        .rule("health-limited")
        .at(place.value.clone())
        .help(
            "leave the route out: `healthcheck` opens the path by itself, without a limit; or write `limit = \"off\"`",
        );
    problems.push(if inherited {
        problem.label("as a route of its own it gets the limit of `[proxy]`")
    } else {
        problem.label("monitors and load tests would be refused")
    });
}

fn metrics(place: &Place<'_>, service: &Service, problems: &mut Problems) {
    let metrics = service.metrics.as_deref().map(|m| m.split(['?', '#']).next().unwrap_or(m).trim_end_matches('/'));
    if metrics.is_some_and(|m| !m.is_empty() && m == place.path.trim_end_matches('/')) {
        problems.push(
            Problem::warning(format!("the metrics of `{}` are open to everybody", service.name))
                .rule("metrics-published")
                .at(place.path_span.clone())
                .help("leave the route out: Prometheus asks the containers, and the front door keeps the path closed"),
        );
    }
}

/// `/x` and `/x/` with the same answer.
fn twice(place: &Place<'_>, route: &Route, proxy: &Proxy, problems: &mut Problems) {
    let Some(bare) = place.path.strip_suffix('/').filter(|bare| !bare.is_empty()) else { return };
    let same = |other: &&Route| {
        other.path == bare && Route { path: route.path.clone(), line: route.line, ..(**other).clone() } == *route
    };
    if proxy.routes.iter().any(|other| same(&other)) {
        problems.push(
            Problem::warning(format!("`{}` says nothing that `{bare}` does not", place.path))
                .rule("route-twice")
                .at(place.path_span.clone())
                .help("a route answers everything below its path, too"),
        );
    }
}

/// A port that no route leads to and that no other service asks for.
fn reachable(stack: &Stack<'_>, problems: &mut Problems) {
    // Without a front door the stack is no web site, and what its services are for is not ours to guess.
    let Some(proxy) = stack.proxy else { return };
    for (name, keys) in stack.file.services.iter().flat_map(|m| &m.value.0) {
        let Some(port) = &keys.value.port else { continue };
        let Some(service) = stack.services.get(&name.value).filter(|s| s.preset.is_none()) else { continue };
        let routed = proxy.routes.iter().any(|r| r.leads_to(&name.value));
        let needed = stack.services.values().any(|s| s.depends_on.contains(&name.value));
        let named =
            stack.services.values().flat_map(|s| s.environment.values()).any(|t| mentions(t, name.value.as_str()));
        if !routed && !needed && !named && service.metrics.is_none() && keys.value.healthcheck.is_none() {
            problems.push(
                Problem::warning(format!("nothing leads to port {} of `{}`", port.value.0, name.value))
                    .rule("port-unreachable")
                    .at(port.span.clone())
                    .label("no route, and no service depends on it")
                    .help("add a route to it, or leave `port` out"),
            );
        }
    }
}

fn mentions(template: &crate::model::secrets::Template, service: &str) -> bool {
    template.0.iter().any(|piece| {
        matches!(piece, crate::model::secrets::Piece::Text(text) if text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).any(|word| word == service))
    })
}
