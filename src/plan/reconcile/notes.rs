//! What the reader of a plan should know of the front door beside its steps.

use crate::model::limit::Limit;
use crate::model::proxy::{Proxy, Tls};
use crate::plan::Inputs;
use crate::plan::step::{Action, Step};

use super::FRONT_DOOR;

/// First Nginx whose reload lets idle HTTP/1.1 connections have one more request (`keepalive_min_timeout`; measured in
/// docs/cutover.md).
const KEEPS_IDLE: (u32, u32, u32) = (1, 27, 4);

/// One sentence each.
pub(super) fn notes(inputs: &Inputs<'_>, steps: &[Step]) -> Vec<String> {
    let Some(proxy) = &inputs.stack.proxy else { return Vec::new() };
    let counts = proxy.routes.iter().any(|r| r.limit.as_ref().is_some_and(Limit::needs_njs));
    let quotas = (replaced(inputs, steps) && counts)
        .then(|| "quotas start anew: they are counted in the memory of Nginx, whose container is replaced".to_owned());
    let reloads =
        steps.iter().any(|s| matches!(&s.action, Action::Reload { service, .. } if service.as_str() == FRONT_DOOR));
    quotas.into_iter().chain(reloads.then(|| lost_by_reload(proxy)).flatten()).collect()
}

fn replaced(inputs: &Inputs<'_>, steps: &[Step]) -> bool {
    let doors = || inputs.observed.containers.iter().filter(|c| c.service() == FRONT_DOOR);
    steps
        .iter()
        .any(|s| matches!(&s.action, Action::Stop { container, .. } if doors().any(|door| door.name == *container)))
}

/// Who may lose a request when this Nginx reloads. Browsers, and whoever else retries, lose none.
fn lost_by_reload(proxy: &Proxy) -> Option<String> {
    let tag = proxy.image.rsplit(':').next().unwrap_or_default();
    let mut numbers = tag.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(99));
    let who = match (matches!(proxy.tls, Tls::Off), version < KEEPS_IDLE) {
        (true, false) => return None,
        (false, false) => "over HTTP/2",
        (false, true) => "over HTTP/2 or on a kept connection (from Nginx 1.27.4 on over HTTP/2 only)",
        (true, true) => "on a kept connection (from Nginx 1.27.4 on none)",
    };
    Some(format!("Nginx is reloaded: a client that does not retry may lose a request {who}"))
}
