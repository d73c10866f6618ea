//! Locations: Nginx answers a path by the same route that [`Proxy::route_of`] names.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::units::ByteSize;
use crate::model::proxy::{Backend, Route};
use crate::model::service::Ask;
use crate::render::RenderError;

use super::closed::{Closed, closed, is_closed, without_query};
use super::files::{self, Files};
use super::limits::{Limiting, connection_zone, limiting};
use super::upstreams::{Banks, Live, external_name};
use super::{CONNECT, ProxyInput, cors, time};

/// What the main template sees of a location.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Location {
    /// Words of ours and names of services: printed into a comment as they are.
    why: String,
    /// `= `, `^~ ` or nothing.
    modifier: &'static str,
    path: String,
    /// Answer without asking a service.
    status: Option<u16>,
    upstream: String,
    /// Number of the variable that names the upstream, where a flag switches it.
    live: Option<usize>,
    websocket: bool,
    max_body: String,
    connect_timeout: Option<String>,
    send_timeout: String,
    timeout: String,
    buffering: bool,
    request_buffering: bool,
    allow: Vec<String>,
    cors: Option<usize>,
    connections: Option<Connecting>,
    limit: Option<Limiting>,
    files: Option<Files>,
}

#[derive(Debug, Clone, Serialize)]
struct Connecting {
    zone: String,
    most: u32,
}

/// Bodies of routes that take more are passed on as they arrive: what is collected first is collected in memory.
const COLLECTED: ByteSize = ByteSize(16 << 20);

const EXACT: &str = "= ";
/// Also before the pattern that closes names beginning with a dot.
const BEFORE_PATTERNS: &str = "^~ ";

/// Locations (exact ones first, then prefixes, longest first).
pub(super) fn locations(input: &ProxyInput<'_>, live: &[Live<'_>]) -> Result<Vec<Location>, RenderError> {
    let proxy = input.proxy;
    for route in &proxy.routes {
        if !route.path.starts_with('/') {
            let why = "a route starts with `/`";
            return Err(RenderError::Value { format: "nginx", value: route.path.clone(), why });
        }
    }
    let answer = |path: &str, modifier, route| answer(input, live, path, modifier, route);
    let mut exact: BTreeMap<String, Location> = BTreeMap::new();
    // Nginx answers `/api` by a redirect to `/api/` where only the latter is a location; the service below `/` may
    // have its own idea of `/api`, and a redirect of its own in the other direction.
    for route in &proxy.routes {
        if let Some(bare) = route.path.strip_suffix('/').filter(|bare| !bare.is_empty())
            && !proxy.routes.iter().any(|other| other.path == bare)
        {
            exact.insert(bare.to_owned(), answer(bare, EXACT, proxy.route_of(bare)));
        }
    }
    for (path, route) in health_paths(input) {
        let mut location = answer(&path, EXACT, Some(route));
        (location.limit, location.connections) = (None, None);
        location.why =
            format!("health of {}: open, and never limited", route.service().map_or("", |name| name.as_str()));
        exact.insert(path, location);
    }
    let mut closed_below = Vec::new();
    for Closed { path, below, why, always } in closed(input) {
        let mut location = answer(&path, if below { BEFORE_PATTERNS } else { EXACT }, None);
        why.clone_into(&mut location.why);
        if below {
            closed_below.push(location);
        } else if always || !exact.contains_key(&path) {
            exact.insert(path, location);
        }
    }
    let mut prefixes: Vec<&Route> = proxy.routes.iter().collect();
    prefixes.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    let mut all: Vec<Location> = exact.into_values().collect();
    all.extend(closed_below);
    all.extend(prefixes.iter().map(|route| {
        let dotted = route.path.contains("/.");
        answer(&route.path, if dotted { BEFORE_PATTERNS } else { "" }, Some(route))
    }));
    if !proxy.routes.iter().any(|route| route.path == "/") {
        all.push(answer("/", "", None));
    }
    Ok(all)
}

/// Health paths that a limited route leads to their own service, or that would be closed. Not those that are a route themselves: a limit that
/// was declared for exactly that path is meant.
fn health_paths<'a>(input: &ProxyInput<'a>) -> BTreeMap<String, &'a Route> {
    let mut paths = BTreeMap::new();
    for service in input.stack.services.values() {
        if let Some(Ask::Http(path)) = service.health.as_ref().map(|health| &health.ask) {
            let path = without_query(path);
            if let Some(route) = input.proxy.route_of(path)
                && route.leads_to(&service.name)
                && (route.limit.is_some() || route.connections.is_some() || is_closed(input.proxy, path))
                && route.path != path
            {
                paths.insert(path.to_owned(), route);
            }
        }
    }
    paths
}

/// A location that answers as `route` does; 404 without a route.
fn answer(
    input: &ProxyInput<'_>,
    live: &[Live<'_>],
    path: &str,
    modifier: &'static str,
    route: Option<&Route>,
) -> Location {
    let nothing = Location {
        why: "no route".to_owned(),
        modifier,
        path: path.to_owned(),
        status: Some(404),
        upstream: String::new(),
        live: None,
        websocket: false,
        max_body: String::new(),
        connect_timeout: None,
        send_timeout: String::new(),
        timeout: String::new(),
        buffering: true,
        request_buffering: true,
        allow: Vec::new(),
        cors: None,
        connections: None,
        limit: None,
        files: None,
    };
    let Some(route) = route else { return nothing };
    let (upstream, live) = match &route.backend {
        Backend::Files(folder) => {
            let Some(files) = files::of(input, route, folder) else {
                let why = format!("files of {}, which is not here", folder.service);
                return Location { why, status: Some(503), ..nothing };
            };
            let why = format!("files of {}", folder.service);
            return Location { why, status: None, files: Some(files), ..limited(input, route, nothing) };
        }
        Backend::Service(service) if input.upstreams.get(service).is_none_or(Banks::none) => {
            let why = format!("{service}: no replica in service");
            return Location { why, status: Some(503), ..nothing };
        }
        Backend::Service(service) => {
            let live = live.iter().find(|live| live.service == service.as_str());
            (service.to_string(), live.map(|live| live.number))
        }
        Backend::Servers(_) => (external_name(route), None),
    };
    Location {
        why: route.service().map_or_else(|| "servers elsewhere".to_owned(), ToString::to_string),
        status: None,
        upstream,
        live,
        websocket: route.websocket,
        max_body: route.max_body.to_string(),
        connect_timeout: (route.connect_timeout != CONNECT).then(|| time(route.connect_timeout)),
        send_timeout: time(route.send_timeout),
        timeout: time(route.timeout),
        buffering: route.buffering,
        request_buffering: route.buffering && route.max_body <= COLLECTED,
        ..limited(input, route, nothing)
    }
}

/// Who may ask, and how often.
fn limited(input: &ProxyInput<'_>, route: &Route, location: Location) -> Location {
    Location {
        allow: route.allow.iter().map(ToString::to_string).collect(),
        cors: route.cors.as_ref().and_then(|cors| cors::number(input.proxy, cors)),
        connections: route
            .connections
            .as_ref()
            .map(|limit| Connecting { zone: connection_zone(limit), most: limit.most }),
        limit: route.limit.as_ref().and_then(limiting),
        ..location
    }
}
