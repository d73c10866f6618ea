//! Paths that nobody outside may see.

use crate::model::proxy::Proxy;

use super::ProxyInput;

/// A closed path: itself, or everything below it.
pub(super) struct Closed {
    pub(super) path: String,
    pub(super) below: bool,
    pub(super) why: &'static str,
}

/// Closed paths that a route would lead somewhere; one that is a route itself is meant to be open.
pub(super) fn closed(input: &ProxyInput<'_>) -> Vec<Closed> {
    let proxy = input.proxy;
    let mut out: Vec<Closed> = Vec::new();
    let mut close = |path: String, below, why| {
        if proxy.route_of(&path).is_some_and(|r| r.path != path) && !out.iter().any(|c| c.path == path) {
            out.push(Closed { path, below, why });
        }
    };
    for service in input.stack.services.values() {
        let Some(path) = &service.metrics else { continue };
        let bare = super::locations::without_query(path).trim_end_matches('/').to_owned();
        let own = |path: &str| proxy.route_of(path).is_some_and(|route| route.leads_to(&service.name));
        if !bare.is_empty() && own(&bare) {
            let why = "metrics: for Prometheus only, which asks the containers";
            close(bare.clone(), false, why);
            close(format!("{bare}/"), false, why);
        }
    }
    for bare in &proxy.closed {
        if !opened(proxy, bare) {
            close(bare.clone(), false, "closed");
            close(format!("{bare}/"), true, "closed");
        }
    }
    out
}

/// Whether a route says otherwise for exactly this path.
fn opened(proxy: &Proxy, bare: &str) -> bool {
    proxy.routes.iter().any(|route| route.path.trim_end_matches('/') == bare)
}
