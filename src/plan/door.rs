//! What the front door knows of the services behind it: where each replica is asked for in both banks, as the files say
//! that it has loaded, and as those shall say that come.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::model::observed::Observed;
use crate::model::parts::Parts;

use super::Inputs;
use super::network::PROXY;
use super::place::{Placed, Placement};

/// A replica in bank 0 and in bank 1.
pub type Sockets = [SocketAddrV4; 2];

/// Beginning of the name of a part that says where a replica is.
pub(super) const PART: &str = "upstream ";

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

/// The port at which the front door asks for a service in a bank, if it does.
pub(super) fn port_in(known: &BTreeMap<(String, u32), Sockets>, service: &ServiceName, bank: u8) -> Option<u16> {
    let (_, sockets) = known.range((service.to_string(), 0)..).next().filter(|((s, _), _)| s == service.as_str())?;
    Some(sockets[usize::from(bank)].port())
}

/// Where the front door asks for replicas, by service and number: by the files that it loaded last, as far as anybody
/// knows; of services that these do not name, by those that it was about to load. Nothing where an earlier version did
/// not keep that.
pub(super) fn known(observed: &Observed) -> BTreeMap<(String, u32), Sockets> {
    let Some(state) = &observed.state else { return BTreeMap::new() };
    let mut out: BTreeMap<_, _> = state.loaded.get(PROXY).into_iter().flat_map(sockets).collect();
    for about in state.about.iter().rev() {
        let named: BTreeSet<String> = out.keys().map(|(service, _): &(String, u32)| service.clone()).collect();
        out.extend(sockets(about).filter(|((service, _), _)| !named.contains(service)));
    }
    out
}

/// All of it that may be so: whatever run ended before it was known which files the front door has.
pub(super) fn possible(observed: &Observed) -> impl Iterator<Item = ((String, u32), Sockets)> {
    let about = observed.state.iter().flat_map(|state| state.about.iter().flat_map(sockets));
    known(observed).into_iter().chain(about)
}

/// Where files ask for replicas that say this.
pub(super) fn sockets(parts: &Parts) -> impl Iterator<Item = ((String, u32), Sockets)> {
    let read = |(name, value): (&String, &String)| {
        let (service, number) = name.strip_prefix(PART)?.rsplit_once('-')?;
        let (a, b) = value.split_once(' ')?;
        Some(((service.to_owned(), number.parse().ok()?), [a.parse().ok()?, b.parse().ok()?]))
    };
    parts.iter().filter_map(read)
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
