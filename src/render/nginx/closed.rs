//! Paths that nobody outside may see.

use crate::model::proxy::Proxy;

use super::ProxyInput;

/// A closed path: itself, or everything below it.
pub(super) struct Closed {
    pub(super) path: String,
    pub(super) below: bool,
    pub(super) why: &'static str,
    /// Also where a health check asks the same path: what metrics tell is nobody's business.
    pub(super) always: bool,
}

/// Closed paths that a route would lead somewhere; one that is a route itself is meant to be open.
pub(super) fn closed(input: &ProxyInput<'_>) -> Vec<Closed> {
    let proxy = input.proxy;
    let mut out: Vec<Closed> = Vec::new();
    let mut close = |path: String, below, why, always| {
        let known = |c: &Closed| c.path == path && c.below == below;
        if proxy.route_of(&path).is_some_and(|r| r.path != path) && !out.iter().any(known) {
            out.push(Closed { path, below, why, always });
        }
    };
    for service in input.stack.services.values() {
        let Some(path) = &service.metrics else { continue };
        let bare = without_query(path).trim_end_matches('/').to_owned();
        let own = |path: &str| proxy.route_of(path).is_some_and(|route| route.leads_to(&service.name));
        if !bare.is_empty() && own(&bare) {
            let why = "metrics: for Prometheus only, which asks the containers";
            close(bare.clone(), false, why, true);
            close(format!("{bare}/"), false, why, true);
        }
    }
    for bare in &proxy.closed {
        if !opened(proxy, bare) {
            close(bare.clone(), false, "closed", false);
            close(format!("{bare}/"), true, "closed", false);
        }
    }
    out
}

/// Whether a path is closed by declaration, or because a name in it begins with a dot.
pub(super) fn is_closed(proxy: &Proxy, path: &str) -> bool {
    let below = |bare: &String| path.strip_prefix(bare.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    path.contains("/.") || proxy.closed.iter().any(|bare| below(bare) && !opened(proxy, bare))
}

/// Whether a route says otherwise for exactly this path.
fn opened(proxy: &Proxy, bare: &str) -> bool {
    proxy.routes.iter().any(|route| route.path.trim_end_matches('/') == bare)
}

/// What Nginx compares: a location knows nothing of a query.
pub(super) fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or(path)
}
