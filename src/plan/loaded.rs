//! Where the front door asks for replicas, read out of what was kept of the files that it has loaded, or may have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::model::observed::Observed;
use crate::model::parts::Parts;

use super::network::PROXY;

/// A replica in bank 0 and in bank 1.
pub type Sockets = [SocketAddrV4; 2];

/// Beginning of the name of a part that says where a replica is.
pub(super) const PART: &str = "upstream ";

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
