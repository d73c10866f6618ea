//! Checks that need the whole stack: dependencies, secrets nobody uses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::config::keys::File;
use crate::model::proxy::Proxy;
use crate::model::service::{Kind, Service};

pub(super) fn check(
    file: &File,
    services: &BTreeMap<ServiceName, Service>,
    proxy: Option<&Proxy>,
    used: &BTreeSet<SecretName>,
    problems: &mut Problems,
) {
    let entries = || file.services.iter().flat_map(|m| &m.value.0);
    let known: BTreeSet<&ServiceName> = entries().map(|(n, _)| &n.value).collect();
    for (name, keys) in entries() {
        for needed in keys.value.depends_on.iter().flat_map(|list| &list.value) {
            if needed.value == name.value {
                problems.push(Problem::error("a service cannot depend on itself").at(needed.span.clone()));
            } else if !known.contains(&needed.value) {
                let mut problem = Problem::error(format!("`{}` is not a service of this stack", needed.value))
                    .at(needed.span.clone());
                if let Some(near) = nearest(needed.value.as_str(), known.iter().map(|n| n.as_str())) {
                    problem = problem.fix(format!("\"{near}\""));
                }
                problems.push(problem);
            }
        }
    }
    for (name, keys) in entries() {
        let watch = keys.value.deploy.as_ref().and_then(|d| d.value.watch.as_ref()).filter(|w| !w.value.0.is_zero());
        let routed = proxy.is_some_and(|p| p.routes.iter().any(|r| r.service() == Some(&name.value)));
        if let Some(at) = watch.filter(|_| !routed) {
            problems.push(
                Problem::error(format!("nobody can watch `{}`: the front door has no route to it", name.value))
                    .at(at.span.clone())
                    .help("leave `watch` out, or give the service a route"),
            );
        }
    }
    if let Some(cycle) = cycle(services) {
        let names: Vec<&str> = cycle.iter().map(|n| n.as_str()).collect();
        let span = entries()
            .find(|(n, _)| Some(&&n.value) == cycle.first())
            .map_or(0..0, |(n, keys)| keys.value.depends_on.as_ref().map_or(n.span.clone(), |d| d.span.clone()));
        problems.push(
            Problem::error(format!("services wait for each other: {}", names.join(" → ")))
                .rule("cycle")
                .at(span)
                .help("take one of these out of `depends_on`"),
        );
    }
    for (name, _) in file.secrets.iter().flat_map(|m| &m.value.0) {
        let by_authority = proxy.and_then(|p| p.tls.external_key()) == Some(&name.value);
        if !used.contains(&name.value) && !by_authority {
            problems.push(
                Problem::warning(format!("no service uses the secret `{}`", name.value))
                    .rule("secret-unused")
                    .at(name.span.clone())
                    .help(format!("refer to it in an environment: `${{secrets.{}.file}}`", name.value)),
            );
        }
    }
    published(file, proxy, problems);
    workers_have_no_routes(file, services, proxy, problems);
    too_many(services, proxy.is_some(), problems);
}

/// Addresses of a network come in two banks of 94: a release needs both generations beside each other.
const PLACES: u32 = 94;

/// Networks with more containers than places: the one of those that may reach the outside, and those of the others, each
/// with whoever uses it.
fn too_many(services: &BTreeMap<ServiceName, Service>, door: bool, problems: &mut Problems) {
    let sum =
        |wanted: &dyn Fn(&Service) -> bool| services.values().filter(|s| wanted(s)).map(|s| s.replicas).sum::<u32>();
    let outside = sum(&|s| s.egress) + u32::from(door);
    if outside > PLACES {
        problems.push(
            Problem::error(format!("{outside} containers do not fit the network `default`; at most {PLACES} do"))
                .help("a service that need not reach the outside has a network of its own: `egress = false`"),
        );
    }
    for service in services.values().filter(|s| !s.egress) {
        let beside = service.replicas + sum(&|s| s.depends_on.contains(&service.name));
        if beside > PLACES {
            let name = &service.name;
            problems.push(Problem::error(format!(
                "{beside} containers do not fit the network of {name} and those that need it; at most {PLACES} do"
            )));
        }
    }
}

fn workers_have_no_routes(
    file: &File,
    services: &BTreeMap<ServiceName, Service>,
    proxy: Option<&Proxy>,
    problems: &mut Problems,
) {
    for (path, _) in file.routes.iter().flat_map(|m| &m.value.0) {
        let route = proxy.iter().flat_map(|p| &p.routes).find(|r| r.path == path.value.0);
        let Some(service) = route.and_then(|r| services.get(r.service()?)) else { continue };
        if service.kind == Kind::Worker && service.port.is_some() {
            problems.push(
                Problem::error(format!("`{}` is a worker: nobody asks it", service.name))
                    .at(path.span.clone())
                    .help("take its `kind` away, or the route"),
            );
        }
    }
}

/// A port of the host can be had once.
fn published(file: &File, proxy: Option<&Proxy>, problems: &mut Problems) {
    let mut taken: Vec<(Ipv4Addr, u16, &str)> = Vec::new();
    if let Some(proxy) = proxy {
        taken.push((proxy.address, proxy.http_port, "the front door"));
        if proxy.https() {
            taken.push((proxy.address, proxy.https_port, "the front door"));
        }
    }
    for (name, keys) in file.services.iter().flat_map(|m| &m.value.0) {
        for port in keys.value.publish.iter().flat_map(|list| &list.value) {
            let wanted = &port.value.0;
            let owner = taken.iter().find(|(address, number, _)| {
                *number == wanted.host_port && (*address == wanted.address || address.is_unspecified())
            });
            if let Some((address, number, owner)) = owner {
                problems.push(Problem::error(format!("{owner} has {address}:{number}")).at(port.span.clone()));
            } else {
                taken.push((wanted.address, wanted.host_port, name.value.as_str()));
            }
        }
    }
}

/// One cycle of dependencies, its first name repeated at the end.
fn cycle(services: &BTreeMap<ServiceName, Service>) -> Option<Vec<&ServiceName>> {
    fn walk<'a>(
        name: &'a ServiceName,
        services: &'a BTreeMap<ServiceName, Service>,
        path: &mut Vec<&'a ServiceName>,
        done: &mut BTreeSet<&'a ServiceName>,
    ) -> Option<Vec<&'a ServiceName>> {
        if let Some(at) = path.iter().position(|n| *n == name) {
            let mut found = path[at..].to_vec();
            found.push(name);
            return Some(found);
        }
        if !done.insert(name) {
            return None;
        }
        path.push(name);
        let needs = services.get(name).map(|s| &s.depends_on);
        let found = needs.into_iter().flatten().find_map(|n| walk(n, services, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    services.keys().find_map(|name| walk(name, services, &mut Vec::new(), &mut done))
}
