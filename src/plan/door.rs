//! What the front door knows of the services behind it: where each replica is asked for in both banks, as the files say
//! that it has loaded, and as those shall say that come.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::model::parts::Parts;

use super::Inputs;
pub use super::loaded::Sockets;
use super::loaded::{PART, known, port_in};
use super::place::{Placed, Placement};

/// Where the front door is to ask each service, replica by replica.
pub fn upstreams(inputs: &Inputs<'_>, placement: &Placement) -> BTreeMap<ServiceName, BTreeMap<u32, Sockets>> {
    let Some(proxy) = &placement.proxy else { return BTreeMap::new() };
    let known = known(inputs.observed);
    let of = |placed: &Placed| {
        let port = inputs.stack.services.get(&placed.service)?.port?;
        let ports = ports(placed, port, &known);
        let replicas = placed.replicas.iter().filter_map(|replica| {
            let mut sockets = placed.sockets_for(proxy, replica, port)?;
            for (socket, port) in sockets.iter_mut().zip(ports) {
                socket.set_port(port);
            }
            Some((replica.number, sockets))
        });
        Some((placed.service.clone(), replicas.collect()))
    };
    placement.services.iter().filter_map(of).collect()
}

/// The port of each bank. The other bank is asked at the port it is known by: where it serves, until traffic has moved
/// to containers that listen at another one; where nobody is, until somebody comes, which spares a reload.
fn ports(placed: &Placed, port: u16, known: &BTreeMap<(String, u32), Sockets>) -> [u16; 2] {
    let other = 1 - placed.bank;
    let mut out = [port; 2];
    if let Some(before) = port_in(known, &placed.service, other) {
        out[usize::from(other)] = before;
    }
    out
}

/// What its files say of that, part by part: replicas of the services that it has routes to.
pub(super) fn of(inputs: &Inputs<'_>, placement: &Placement) -> Parts {
    let routed = |service: &ServiceName| {
        inputs.stack.proxy.as_ref().is_some_and(|proxy| proxy.routes.iter().any(|r| r.leads_to(service)))
    };
    let part =
        |service: &ServiceName, number: u32, [a, b]: Sockets| (format!("{PART}{service}-{number}"), format!("{a} {b}"));
    let upstreams = upstreams(inputs, placement);
    let routed = upstreams.iter().filter(|(service, _)| routed(service));
    routed.flat_map(|(service, replicas)| replicas.iter().map(|(number, s)| part(service, *number, *s))).collect()
}
