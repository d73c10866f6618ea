//! Locations: Nginx answers a path by the same route that [`Proxy::route_of`] names.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::units::RateUnit;
use crate::model::proxy::{Limit, Proxy, Route};
use crate::model::service::Ask;
use crate::render::RenderError;

use super::{Banks, Live, ProxyInput, time};

/// A `limit_req_zone`: one bucket per client for all routes under the same declaration.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Zone {
    zone: String,
    rate: String,
}

/// What the main template sees of a location.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Location {
    /// Words of ours and names of services: printed into a comment as they are.
    why: String,
    exact: bool,
    path: String,
    /// Answer without asking a service.
    status: Option<u16>,
    upstream: String,
    /// Number of the variable that names the upstream, where a flag switches it.
    live: Option<usize>,
    websocket: bool,
    max_body: String,
    timeout: String,
    buffering: bool,
    limit: Option<Limiting>,
}

#[derive(Debug, Clone, Serialize)]
struct Limiting {
    zone: String,
    burst: Option<String>,
    mode: Option<String>,
    wait: u64,
}

/// Locations (exact ones first, then prefixes, longest first) and the limits they use.
pub(super) fn locations(input: &ProxyInput<'_>, live: &[Live<'_>]) -> Result<(Vec<Location>, Vec<Zone>), RenderError> {
    let proxy = input.proxy;
    for route in &proxy.routes {
        if !route.path.starts_with('/') {
            let why = "a route starts with `/`";
            return Err(RenderError::Value { format: "nginx", value: route.path.clone(), why });
        }
    }
    let limits = distinct_limits(proxy);
    let answer = |limits: &[&Limit], path: &str, exact, route| answer(input, live, limits, path, exact, route);
    let mut exact: BTreeMap<String, Location> = BTreeMap::new();
    // Nginx answers `/api` by a redirect to `/api/` where only the latter is a location; the service below `/` may
    // have its own idea of `/api`, and a redirect of its own in the other direction.
    for route in &proxy.routes {
        if let Some(bare) = route.path.strip_suffix('/').filter(|bare| !bare.is_empty())
            && !proxy.routes.iter().any(|other| other.path == bare)
        {
            exact.insert(bare.to_owned(), answer(&limits, bare, true, proxy.route_of(bare)));
        }
    }
    for (path, route) in health_paths(input) {
        let mut location = answer(&[], &path, true, Some(route));
        location.why = format!("health of {}: never limited", route.service);
        exact.insert(path, location);
    }
    for path in metrics_paths(input) {
        let mut location = answer(&[], &path, true, None);
        "metrics: for Prometheus only, which asks the containers".clone_into(&mut location.why);
        exact.insert(path, location);
    }
    let mut prefixes: Vec<&Route> = proxy.routes.iter().collect();
    prefixes.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    let mut all: Vec<Location> = exact.into_values().collect();
    all.extend(prefixes.iter().map(|route| answer(&limits, &route.path, false, Some(route))));
    if !proxy.routes.iter().any(|route| route.path == "/") {
        all.push(answer(&[], "/", false, None));
    }
    let zones = limits
        .iter()
        .zip(1..)
        .map(|(limit, number)| Zone {
            zone: format!("zone={}:10m", zone_name(number)),
            rate: format!(
                "rate={}r/{}",
                limit.rate.requests,
                if limit.rate.per == RateUnit::Second { "s" } else { "m" }
            ),
        })
        .collect();
    Ok((all, zones))
}

/// Limits that differ or were declared apart: an inherited one is one bucket for all its routes. By line, so that
/// numbers do not depend on how routes sort.
fn distinct_limits(proxy: &Proxy) -> Vec<&Limit> {
    let mut limits: Vec<&Limit> = Vec::new();
    for limit in proxy.routes.iter().filter_map(|route| route.limit.as_ref()) {
        if !limits.contains(&limit) {
            limits.push(limit);
        }
    }
    limits.sort_by_key(|limit| limit.line);
    limits
}

fn zone_name(number: usize) -> String {
    format!("limit_{number}")
}

/// Health paths that a limited route leads to their own service. Not those that are a route themselves: a limit that
/// was declared for exactly that path is meant.
fn health_paths<'a>(input: &ProxyInput<'a>) -> BTreeMap<String, &'a Route> {
    let mut paths = BTreeMap::new();
    for service in input.stack.services.values() {
        if let Some(Ask::Http(path)) = service.health.as_ref().map(|health| &health.ask) {
            let path = without_query(path);
            if let Some(route) = input.proxy.route_of(path)
                && route.service == service.name
                && route.limit.is_some()
                && route.path != path
            {
                paths.insert(path.to_owned(), route);
            }
        }
    }
    paths
}

/// Metrics paths that a route would lead to their own service, with and without a slash at the end. Not those that
/// are a route themselves.
fn metrics_paths(input: &ProxyInput<'_>) -> Vec<String> {
    let mut paths = Vec::new();
    for service in input.stack.services.values() {
        let Some(path) = &service.metrics else { continue };
        let bare = without_query(path).trim_end_matches('/');
        if bare.is_empty() {
            continue;
        }
        for path in [bare.to_owned(), format!("{bare}/")] {
            if input.proxy.route_of(&path).is_some_and(|r| r.service == service.name && r.path != path) {
                paths.push(path);
            }
        }
    }
    paths
}

fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or(path)
}

/// A location that answers as `route` does; 404 without a route.
fn answer(
    input: &ProxyInput<'_>,
    live: &[Live<'_>],
    limits: &[&Limit],
    path: &str,
    exact: bool,
    route: Option<&Route>,
) -> Location {
    let nothing = Location {
        why: "no route".to_owned(),
        exact,
        path: path.to_owned(),
        status: Some(404),
        upstream: String::new(),
        live: None,
        websocket: false,
        max_body: String::new(),
        timeout: String::new(),
        buffering: true,
        limit: None,
    };
    let Some(route) = route else { return nothing };
    if input.upstreams.get(&route.service).is_none_or(Banks::none) {
        let why = format!("{}: no replica in service", route.service);
        return Location { why, status: Some(503), ..nothing };
    }
    Location {
        why: route.service.to_string(),
        status: None,
        upstream: route.service.to_string(),
        live: live.iter().find(|live| live.service == route.service.as_str()).map(|live| live.number),
        websocket: route.websocket,
        max_body: route.max_body.to_string(),
        timeout: time(route.timeout),
        buffering: route.buffering,
        limit: route.limit.as_ref().and_then(|limit| limiting(limits, limit)),
        ..nothing
    }
}

fn limiting(limits: &[&Limit], limit: &Limit) -> Option<Limiting> {
    let number = limits.iter().position(|known| *known == limit)? + 1;
    let mode = match limit.delay {
        _ if limit.burst == 0 => None,
        None => Some("nodelay".to_owned()),
        Some(0) => None,
        Some(delay) if delay >= limit.burst => Some("nodelay".to_owned()),
        Some(delay) => Some(format!("delay={delay}")),
    };
    Some(Limiting {
        zone: format!("zone={}", zone_name(number)),
        burst: (limit.burst > 0).then(|| format!("burst={}", limit.burst)),
        mode,
        wait: limit.rate.retry_after(),
    })
}
