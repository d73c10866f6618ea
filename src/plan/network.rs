//! Which networks a stack has, who is on them, and which /24 each gets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::base::name::ServiceName;
use crate::model::container::{NetworkSpec, Subnet, label};
use crate::model::service::{Preset, Service};
use crate::model::stack::{Pool, Stack};

use super::{Inputs, PlanError};

/// Key of the network of everything that may reach the outside; also where the front door is.
pub(super) const DEFAULT: &str = "default";

/// Name of the front door among the members of a network.
pub(super) const PROXY: &str = "proxy";

/// Members of each network, by its key.
pub(super) type Members = BTreeMap<String, BTreeSet<String>>;

/// Networks by key, each with its members. A service that may not reach the outside has a network of its own,
/// shared with those that depend on it; all others share one. So nobody reaches a database but its users.
pub(super) fn members(stack: &Stack) -> Members {
    let mut out = Members::new();
    let users = users(stack);
    let mut join = |network: &str, member: &str| {
        out.entry(network.to_owned()).or_default().insert(member.to_owned());
    };
    if stack.proxy.is_some() {
        join(DEFAULT, PROXY);
    }
    for service in stack.services.values() {
        if service.egress {
            join(DEFAULT, service.name.as_str());
        }
    }
    for service in stack.services.values() {
        let visitors = visitors(stack, service, &users);
        let alone =
            !service.egress || visitors.iter().any(|v| stack.services.get(v.as_str()).is_some_and(|s| !s.egress));
        if alone {
            let key = own_network(&service.name);
            join(&key, service.name.as_str());
            for visitor in &visitors {
                join(&key, visitor);
            }
        }
    }
    out
}

/// Key of a service's own network. It sorts behind [`DEFAULT`]: engines before 28 take the default gateway from the
/// first network by name, and this one has none.
pub(super) fn own_network(service: &ServiceName) -> String {
    format!("to-{service}")
}

/// Those that depend on each service.
type Users<'a> = BTreeMap<&'a ServiceName, Vec<&'a ServiceName>>;

fn users(stack: &Stack) -> Users<'_> {
    let mut out = Users::new();
    for service in stack.services.values() {
        for needed in &service.depends_on {
            out.entry(needed).or_default().push(&service.name);
        }
    }
    out
}

/// Who opens connections to a service: those that depend on it, the front door for its routes, Prometheus for its
/// metrics and its alerts.
fn visitors(stack: &Stack, service: &Service, users: &Users<'_>) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = users.get(&service.name).into_iter().flatten().map(ToString::to_string).collect();
    let watchers = || {
        let all = stack.services.values().filter(|s| s.preset == Some(Preset::Prometheus));
        all.map(|s| s.name.to_string())
    };
    // Alerts go there even where Prometheus may not reach the outside.
    if service.preset == Some(Preset::Alertmanager) {
        out.extend(watchers());
    }
    if !service.egress {
        if stack.proxy.as_ref().is_some_and(|p| p.routes.iter().any(|r| r.leads_to(&service.name))) {
            out.insert(PROXY.to_owned());
        }
        if service.metrics.is_some() {
            out.extend(watchers());
        }
    }
    out
}

/// The networks to have, each with its /24: the one it has, or the first of the pool that overlaps nobody's.
pub(super) fn specs(inputs: &Inputs<'_>) -> Result<Vec<NetworkSpec>, PlanError> {
    let stack = inputs.stack;
    let mut taken: Vec<(Ipv4Addr, u8)> =
        inputs.observed.networks.iter().flat_map(|n| n.subnets.iter().copied()).collect();
    let mut out = Vec::new();
    for key in members(stack).keys() {
        let name = stack.volume_name(key);
        let existing = inputs.observed.networks.iter().find(|n| n.name == name).and_then(|n| n.subnets.first());
        let subnet = match existing {
            Some((base, _)) => Subnet(*base),
            None => free(stack.pool, &taken).ok_or_else(|| PlanError::PoolExhausted {
                pool: format!("{}/{}", stack.pool.base, stack.pool.prefix),
                network: name.clone(),
            })?,
        };
        taken.push((subnet.host(0), 24));
        let labels = [
            (label::PROJECT, stack.project.as_str()),
            (label::ROLE, "network"),
            (label::COMPOSE_PROJECT, stack.project.as_str()),
            (label::COMPOSE_NETWORK, key.as_str()),
        ];
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        out.push(NetworkSpec { name, subnet, internal: key != DEFAULT, labels });
    }
    Ok(out)
}

fn free(pool: Pool, taken: &[(Ipv4Addr, u8)]) -> Option<Subnet> {
    let mask = |prefix: u8| u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let first = u32::from(pool.base) & mask(pool.prefix);
    let count = 1_u32 << (24 - u32::from(pool.prefix.clamp(8, 24)));
    (0..count).map(|i| first + (i << 8)).find_map(|base| {
        let overlaps = taken.iter().any(|(other, prefix)| {
            let wider = mask((*prefix).min(24));
            base & wider == u32::from(*other) & wider
        });
        (!overlaps).then(|| Subnet(Ipv4Addr::from(base)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_overlaps_nobody() {
        let pool = Pool { base: Ipv4Addr::new(10, 83, 0, 0), prefix: 16 };
        let next = |taken: &[([u8; 4], u8)]| {
            let taken: Vec<_> = taken.iter().map(|(a, p)| (Ipv4Addr::from(*a), *p)).collect();
            free(pool, &taken).map(Subnet::cidr)
        };
        assert_eq!(next(&[]), Some("10.83.0.0/24".into()));
        assert_eq!(next(&[([10, 83, 0, 0], 24)]), Some("10.83.1.0/24".into()));
        assert_eq!(next(&[([10, 83, 0, 0], 20)]), Some("10.83.16.0/24".into()));
        assert_eq!(next(&[([10, 83, 0, 128], 25)]), Some("10.83.1.0/24".into()));
        assert_eq!(next(&[([10, 0, 0, 0], 8)]), None);
        assert_eq!(next(&[([172, 17, 0, 0], 16)]), Some("10.83.0.0/24".into()));
    }
}
