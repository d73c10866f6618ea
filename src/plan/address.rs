//! Fixed addresses. Each replica has a slot on each of its networks, and with it one address in each of two banks: one
//! for the generation that serves, one for the next. The front door knows both, so a release changes nothing in its
//! configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::model::container::{NetworkSpec, label};
use crate::model::observed::{Observed, ObservedContainer};

use super::PlanError;
use super::loaded;

/// Slots of a network: `.2` to `.95`, and 94 further up the other bank.
const SLOTS: u8 = 94;

/// Hands out slots. A replica that has one keeps it.
pub(super) struct Allocator {
    /// By network and slot: who has it (service and number).
    owners: BTreeMap<(String, u8), (String, u32)>,
}

impl Allocator {
    /// Knows every slot that a container of the project has, running or not, and those that the front door would send
    /// somebody's requests to: whoever else got one would receive them.
    pub(super) fn new(observed: &Observed, networks: &[NetworkSpec]) -> Self {
        let mut owners = BTreeMap::new();
        for container in &observed.containers {
            let who = (container.service().to_owned(), container.number());
            for (network, address) in places(container) {
                if let Some(slot) = slot(address) {
                    owners.entry((network, slot)).or_insert_with(|| who.clone());
                }
            }
        }
        for (who, [at, _]) in loaded::possible(observed) {
            let network = networks.iter().find(|n| n.subnet.host(0).octets()[..3] == at.ip().octets()[..3]);
            if let (Some(network), Some(slot)) = (network, slot(*at.ip())) {
                owners.entry((network.name.clone(), slot)).or_insert(who);
            }
        }
        Self { owners }
    }

    /// A replica's address in each bank.
    pub(super) fn take(
        &mut self,
        network: &NetworkSpec,
        service: &str,
        number: u32,
    ) -> Result<[Ipv4Addr; 2], PlanError> {
        let who = (service.to_owned(), number);
        let owner = |slot: u8| self.owners.get(&(network.name.clone(), slot));
        let own = (0..SLOTS).find(|s| owner(*s) == Some(&who));
        let slot = own.or_else(|| (0..SLOTS).find(|s| owner(*s).is_none())).ok_or_else(|| PlanError::NetworkFull {
            network: network.name.clone(),
            container: format!("{service}-{number}"),
        })?;
        self.owners.insert((network.name.clone(), slot), who);
        Ok([network.subnet.host(2 + slot), network.subnet.host(2 + SLOTS + slot)])
    }
}

fn places(container: &ObservedContainer) -> Vec<(String, Ipv4Addr)> {
    let present = container.networks.iter().filter_map(|(network, address)| Some((network.clone(), (*address)?)));
    container.addresses().into_iter().chain(present).collect()
}

fn slot(address: Ipv4Addr) -> Option<u8> {
    let last = address.octets()[3].checked_sub(2)?;
    (last < 2 * SLOTS).then_some(last % SLOTS)
}

/// The bank a container is in.
pub(super) fn bank(container: &ObservedContainer) -> u8 {
    u8::from(container.label(label::BANK) == "1")
}

/// The bank a service's containers shall be in: where those that are right are, else the one that is not live.
pub(super) fn target_bank(live: u8, there: &[&ObservedContainer], right: impl Fn(&ObservedContainer) -> bool) -> u8 {
    let banks: BTreeSet<u8> = there.iter().filter(|c| right(c)).map(|c| bank(c)).collect();
    // What was never started can go before anything else happens.
    let occupied = there.iter().any(|c| bank(c) == live && c.state != "created");
    match banks.first() {
        Some(other) if !banks.contains(&live) => *other,
        None if occupied => 1 - live,
        _ => live,
    }
}
