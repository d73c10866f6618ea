//! Fixed addresses. Two banks, so that a new generation never takes an address that Nginx still knows as another
//! replica's: it takes the bank its predecessor is not in.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::container::{NetworkSpec, label};
use crate::model::observed::Observed;

use super::PlanError;

/// Hands out addresses.
pub(super) struct Allocator {
    taken: BTreeSet<Ipv4Addr>,
}

impl Allocator {
    /// Knows every address that a container of the project has, running or not.
    pub(super) fn new(observed: &Observed) -> Self {
        let fixed = observed.containers.iter().flat_map(|c| c.addresses().into_values());
        let present = observed.containers.iter().flat_map(|c| c.networks.values().flatten().copied());
        Self { taken: fixed.chain(present).collect() }
    }

    /// The lowest free address of a bank, or of the other one where the bank is full.
    pub(super) fn take(&mut self, network: &NetworkSpec, bank: u8, container: &str) -> Result<Ipv4Addr, PlanError> {
        let address = network.subnet.bank(bank).chain(network.subnet.bank(1 - bank)).find(|a| !self.taken.contains(a));
        let address = address
            .ok_or_else(|| PlanError::NetworkFull { network: network.name.clone(), container: container.to_owned() })?;
        self.taken.insert(address);
        Ok(address)
    }
}

/// The bank a service's next generation takes.
pub(super) fn next_bank(observed: &Observed, service: &str) -> u8 {
    let used = |bank: &str| observed.containers.iter().any(|c| c.service() == service && c.label(label::BANK) == bank);
    u8::from(used("0") && !used("1"))
}
