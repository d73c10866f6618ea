//! Routes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::name::ServiceName;
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::base::units::ByteSize;
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::route::{RouteKey, RouteKeys, ServerKey};
use crate::config::values::UrlPath;
use crate::config::web::ImageFolder;
use crate::model::limit::Limit;
use crate::model::proxy::{Backend, Balance, Connections, Cors, Folder, Route, Server};
use crate::model::service::Service;

use super::{Input, cors, limit};

type Services = BTreeMap<ServiceName, Service>;

/// What routes have that do not say otherwise.
pub(super) struct Inherited {
    pub(super) limit: Option<Limit>,
    pub(super) connections: Option<Connections>,
    pub(super) cors: Option<Cors>,
    pub(super) max_body: ByteSize,
}

/// All routes, the most specific first.
pub(super) fn lower(
    file: &File,
    services: &Services,
    inherited: &Inherited,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Vec<Route> {
    let route = |path: &str, line, backend: Backend| Route {
        limit: inherited.limit.clone(),
        connections: inherited.connections.clone(),
        cors: inherited.cors.clone(),
        max_body: inherited.max_body,
        ..Route::new(path, line, backend)
    };
    let Some(declared) = &file.routes else {
        // The smallest file has no routes: its only service with a port answers everything.
        let mut candidates = services.values().filter(|s| s.preset.is_none() && s.port.is_some());
        return match (candidates.next(), candidates.next()) {
            (Some(only), None) => vec![route("/", only.line, Backend::Service(only.name.clone()))],
            _ => Vec::new(),
        };
    };
    one_balance(&declared.value.0, problems);
    let mut out: Vec<Route> = Vec::new();
    for (path, key) in &declared.value.0 {
        let line = input.line(&path.span);
        // A route that leads nowhere has been reported when it was decoded.
        let Some((backend, span)) = backend(key) else { continue };
        match &backend {
            Backend::Service(name) => check_service(name, span, file, services, problems),
            Backend::Files(folder) => check_folder(folder, span, path, file, services, problems),
            Backend::Servers(_) => {}
        }
        let mut lowered = route(&path.value.0, line, backend);
        if lowered.folder().is_some() {
            // A page asks for many files at once, and they cost nearly nothing.
            (lowered.limit, lowered.connections) = (None, None);
        }
        if let RouteKey::Keys(keys) = &key.value {
            refine(&mut lowered, keys, input, problems);
        }
        out.push(lowered);
    }
    // Said once, meant for all routes of the service.
    let balances: BTreeMap<ServiceName, Balance> = out
        .iter()
        .filter(|route| route.balance != Balance::RoundRobin)
        .filter_map(|route| Some((route.service()?.clone(), route.balance)))
        .collect();
    for route in &mut out {
        let said = route.service().and_then(|service| balances.get(service));
        route.balance = said.copied().unwrap_or(route.balance);
    }
    out.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    out
}

/// Who answers, and where that stands.
fn backend(key: &At<RouteKey>) -> Option<(Backend, Range<usize>)> {
    let keys = match &key.value {
        RouteKey::Service(name) => return Some((Backend::Service(name.clone()), key.span.clone())),
        RouteKey::Keys(keys) => keys,
    };
    if let Some(service) = &keys.service {
        return Some((Backend::Service(service.value.clone()), service.span.clone()));
    }
    if let Some(files) = &keys.files {
        let ImageFolder { service, path } = files.value.clone();
        let cache = keys.cache.as_ref().map(|time| time.value);
        return Some((Backend::Files(Folder { service, path, cache }), files.span.clone()));
    }
    let servers = keys.servers.as_ref()?;
    let server = |server: &At<ServerKey>| match &server.value {
        ServerKey::Address(address) => Some(Server { address: address.0.clone(), weight: 1 }),
        ServerKey::Keys(keys) => Some(Server {
            address: keys.address.as_ref()?.value.0.clone(),
            weight: keys.weight.as_ref().map_or(1, |weight| weight.value.get()),
        }),
    };
    Some((Backend::Servers(servers.value.iter().filter_map(server).collect()), servers.span.clone()))
}

fn check_service(name: &ServiceName, span: Range<usize>, file: &File, services: &Services, problems: &mut Problems) {
    match services.get(name) {
        Some(found) if found.port.is_none() => {
            let header = file.services.iter().flat_map(|m| &m.value.0).find(|(n, _)| n.value == *name);
            let header = header.map_or(span.clone(), |(n, _)| n.span.clone());
            problems.push(
                Problem::error(format!("`{name}` has no port to route to"))
                    .rule("route-to-nowhere")
                    .at(span)
                    .help(format!("give it one in [services.{name}]"))
                    .fix_at(header, "port = 8000"),
            );
        }
        None => no_service(name, "", span, file, services, problems),
        _ => {}
    }
}

/// A route to somebody who is not there. `rest` is what stands behind the name.
fn no_service(
    name: &ServiceName,
    rest: &str,
    span: Range<usize>,
    file: &File,
    services: &Services,
    problems: &mut Problems,
) {
    // One that is there and has errors has been reported.
    if file.services.iter().flat_map(|m| &m.value.0).any(|(n, _)| n.value == *name) {
        return;
    }
    let problem = Problem::error(format!("the route leads to `{name}`, which is not a service"))
        .rule("route-to-nowhere")
        .at(span);
    let names = || services.keys().map(ServiceName::as_str);
    problems.push(match nearest(name.as_str(), names()) {
        Some(near) => problem.fix(format!("\"{near}{rest}\"")),
        None => problem.help(format!("services of this stack: {}", names().collect::<Vec<_>>().join(", "))),
    });
}

/// Files come out of the image of a service that is there, and a folder of them stands at a path like one.
fn check_folder(
    folder: &Folder,
    span: Range<usize>,
    path: &At<UrlPath>,
    file: &File,
    services: &Services,
    problems: &mut Problems,
) {
    if !services.contains_key(&folder.service) {
        no_service(&folder.service, &format!(":{}", folder.path), span, file, services, problems);
    }
    if !path.value.0.ends_with('/') {
        problems.push(
            Problem::error("a route to files ends with `/`: they are below it")
                .at(path.span.clone())
                .fix(format!("\"{}/\"", path.value.0)),
        );
    }
}

/// What a route says itself.
fn refine(route: &mut Route, keys: &RouteKeys, input: &Input<'_>, problems: &mut Problems) {
    if let Some(limit) = &keys.limit {
        route.limit = limit::lower(limit, &route.path, input);
    }
    if let Some(most) = &keys.connections {
        route.connections = Some(Connections { most: most.value.get(), declared: route.path.clone() });
    }
    if let Some(cors) = &keys.cors {
        route.cors = cors::lower(cors, input, problems);
    }
    route.allow = keys.allow.iter().flat_map(|list| &list.value).map(|network| network.value).collect();
    route.balance = keys.balance.as_ref().map_or(route.balance, |b| b.value.0);
    route.websocket = keys.websocket.as_ref().is_some_and(|w| w.value);
    route.connect_timeout = keys.connect_timeout.as_ref().map_or(route.connect_timeout, |t| t.value);
    route.send_timeout = keys.send_timeout.as_ref().map_or(route.send_timeout, |t| t.value);
    route.timeout = keys.timeout.as_ref().map_or(route.timeout, |t| t.value);
    route.max_body = keys.max_body.as_ref().map_or(route.max_body, |m| m.value);
    route.buffering = keys.buffering.as_ref().is_none_or(|b| b.value);
}

/// A service has one upstream in Nginx, and so one way of spreading requests.
fn one_balance(declared: &[(At<UrlPath>, At<RouteKey>)], problems: &mut Problems) {
    let mut seen: BTreeMap<&ServiceName, Balance> = BTreeMap::new();
    for (_, key) in declared {
        let RouteKey::Keys(keys) = &key.value else { continue };
        let (Some(service), Some(balance)) = (&keys.service, &keys.balance) else { continue };
        let first = *seen.entry(&service.value).or_insert(balance.value.0);
        if first != balance.value.0 {
            problems.push(
                Problem::error(format!("another route of `{}` says otherwise", service.value))
                    .at(balance.span.clone())
                    .help("a service has one way of spreading its requests: say it once"),
            );
        }
    }
}
