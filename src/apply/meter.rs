//! The meter of a deploy: where there is a front door that can be asked from here, and a route that bears it.

use std::net::{Ipv4Addr, SocketAddr};

use crate::engine::Engine;
use crate::model::container::label;
use crate::model::observed::{Observed, ObservedContainer};
use crate::model::stack::Stack;
use crate::plan::reconcile::FRONT_DOOR;
use crate::probe::{Meter, harmless_path};

/// Starts to measure, or says why nobody can.
pub(super) fn start(engine: &Engine, stack: &Stack, observed: &Observed) -> Result<Meter, &'static str> {
    let proxy = stack.proxy.as_ref().ok_or("there is no front door")?;
    if !engine.facts().local {
        return Err("the engine is on another machine");
    }
    let runs = |service: &str| {
        let mut ours = observed.containers.iter().filter(|c| c.service() == service && c.running());
        ours.any(|c| c.label(label::ROLE) == "service")
    };
    if !runs(FRONT_DOOR) {
        return Err("no front door ran before");
    }
    let path = harmless_path(stack, |service| runs(service.as_str()))
        .ok_or("no service answers a health path through the front door")?;
    let address = if proxy.address.is_unspecified() { Ipv4Addr::LOCALHOST } else { proxy.address };
    let port = if proxy.https() { proxy.https_port } else { proxy.http_port };
    let moves = |c: &&ObservedContainer| c.service() == FRONT_DOOR && !c.ports.iter().any(|(_, host, _)| *host == port);
    if observed.containers.iter().filter(|c| c.running()).any(|c| moves(&c)) {
        return Err("the front door moves to another port");
    }
    Meter::start(proxy, SocketAddr::from((address, port)), path).ok_or("no thread could be started for it")
}
