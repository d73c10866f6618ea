//! Upstreams: who answers for a service, in both banks, and elsewhere.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use crate::base::hash;
use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::proxy::{Backend, Balance, Route, Server as Elsewhere};
use crate::render::RenderError;

use super::{CONNECT, ProxyInput, ROOT, live_flag};

/// Both address banks of a service, replica by replica. One is live; the other holds the generation that comes or
/// goes, if any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Banks {
    /// Bank a. Empty: nothing is in service.
    pub a: Vec<Upstream>,
    /// Bank b. Empty where there is only one bank: then no flag is asked for.
    pub b: Vec<Upstream>,
}

impl Banks {
    pub(super) fn none(&self) -> bool {
        self.a.is_empty()
    }

    fn switched(&self) -> bool {
        !self.a.is_empty() && !self.b.is_empty()
    }
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upstream {
    /// `10.83.0.5:8000`, or a host name and port.
    pub target: String,
    /// Who that is: `app-1`.
    pub comment: String,
}

#[derive(Serialize)]
pub(super) struct Pool<'a> {
    name: String,
    /// `least_conn`, `ip_hash` or nothing.
    balance: Option<&'static str>,
    servers: Vec<Server<'a>>,
}

impl Pool<'_> {
    /// Whether a name of a server is to be looked up again and again.
    pub(super) fn resolves(&self) -> bool {
        self.servers.iter().any(|server| server.resolve)
    }
}

/// A service with two banks: the number of its variable, and the file that says which.
#[derive(Serialize)]
pub(super) struct Live<'a> {
    pub(super) number: usize,
    pub(super) service: &'a str,
    flag: String,
}

#[derive(Serialize)]
struct Server<'a> {
    target: &'a str,
    comment: &'a str,
    max_fails: u8,
    fail_timeout: &'static str,
    weight: Option<u32>,
    resolve: bool,
    backup: bool,
}

/// How long a request may go from one replica to the next: past a whole bank without containers, whose addresses are
/// silent, to the other one; and long enough to get over one replica that died while it answered.
pub(super) fn repeat(input: &ProxyInput<'_>) -> Span {
    let elsewhere = input.proxy.routes.iter().map(|route| match &route.backend {
        Backend::Service(_) | Backend::Files(_) => 0,
        Backend::Servers(servers) => servers.len(),
    });
    let banks = routed(input).map(|(_, banks)| banks.a.len().max(banks.b.len()));
    let largest = banks.chain(elsewhere).max().unwrap_or(0);
    let connect = input.proxy.routes.iter().map(|route| route.connect_timeout.0).max().unwrap_or(CONNECT.0);
    let bank = connect.saturating_mul(u32::try_from(largest).unwrap_or(u32::MAX));
    Span((bank + Duration::from_secs(1)).max(Duration::from_secs(10)))
}

/// The routed services that have replicas.
fn routed<'a>(input: &'a ProxyInput<'a>) -> impl Iterator<Item = (&'a ServiceName, &'a Banks)> {
    let routed: BTreeSet<&ServiceName> = input.proxy.routes.iter().filter_map(Route::service).collect();
    input.upstreams.iter().filter(move |(name, banks)| !banks.none() && routed.contains(name))
}

/// The routed services that a flag switches.
pub(super) fn live<'a>(input: &'a ProxyInput<'a>) -> Vec<Live<'a>> {
    let switched = routed(input).filter(|(_, banks)| banks.switched());
    let numbered = switched.zip(1..);
    numbered
        .map(|((name, _), number)| Live { number, service: name.as_str(), flag: format!("{ROOT}/{}", live_flag(name)) })
        .collect()
}

/// Upstream blocks of the routed services that have replicas. No service has `_` in its name: `_a` and `_b` are free.
pub(super) fn pools<'a>(input: &'a ProxyInput<'a>) -> Result<Vec<Pool<'a>>, RenderError> {
    let mut pools = Vec::new();
    for (name, banks) in routed(input) {
        let balance = input.proxy.routes.iter().find(|r| r.leads_to(name)).and_then(|r| directive(r.balance));
        // By Nginx's rule, a client's own replica has no stand-in.
        let backup = balance != Some("ip_hash");
        if banks.switched() {
            for (suffix, live, other) in [("a", &banks.a, &banks.b), ("b", &banks.b, &banks.a)] {
                let mut servers = bank(input, live, false, max_fails(live))?;
                if backup {
                    servers.extend(bank(input, other, true, max_fails(other))?);
                }
                pools.push(Pool { name: format!("{name}_{suffix}"), balance, servers });
            }
        } else {
            // A name may stand for several replicas; Nginx itself never takes a lone one out.
            pools.push(Pool { name: name.to_string(), balance, servers: bank(input, &banks.a, false, 1)? });
        }
    }
    pools.extend(external(input)?);
    Ok(pools)
}

/// The directive, if requests are not just sent in turn.
fn directive(balance: Balance) -> Option<&'static str> {
    match balance {
        Balance::RoundRobin => None,
        Balance::LeastConnections => Some("least_conn"),
        Balance::IpHash => Some("ip_hash"),
    }
}

/// The upstream of a route that leads elsewhere. No service has `_` in its name, and none of their upstreams is as long.
pub(super) fn external_name(route: &Route) -> String {
    let hash = hash::sha256(route.path.as_bytes());
    format!("servers_{}", hash.get(..8).unwrap_or_default())
}

/// Upstreams of routes that lead elsewhere.
fn external<'a>(input: &'a ProxyInput<'a>) -> Result<Vec<Pool<'a>>, RenderError> {
    let mut pools = Vec::new();
    for route in &input.proxy.routes {
        let Backend::Servers(servers) = &route.backend else { continue };
        let server = |server: &'a Elsewhere| {
            let resolve = is_name(&server.address)? && input.facts.since(1, 27, 3);
            let weight = (server.weight != 1).then_some(server.weight);
            let (max_fails, fail_timeout) = (u8::from(servers.len() > 1), "10s");
            let target = server.address.as_str();
            Ok(Server { target, comment: "elsewhere", max_fails, fail_timeout, weight, resolve, backup: false })
        };
        let servers = servers.iter().map(server).collect::<Result<_, RenderError>>()?;
        pools.push(Pool { name: external_name(route), balance: directive(route.balance), servers });
    }
    Ok(pools)
}

/// One failure takes a replica out of its bank for a second. Never a lone one: Nginx would ask the other bank, where
/// usually nobody is.
fn max_fails(bank: &[Upstream]) -> u8 {
    u8::from(bank.len() > 1)
}

fn bank<'a>(
    input: &ProxyInput<'_>,
    replicas: &'a [Upstream],
    backup: bool,
    max_fails: u8,
) -> Result<Vec<Server<'a>>, RenderError> {
    let can_resolve = input.facts.since(1, 27, 3);
    let server = |Upstream { target, comment }: &'a Upstream| {
        let resolve = is_name(target)? && can_resolve;
        Ok(Server { target, comment, max_fails, fail_timeout: "1s", weight: None, resolve, backup })
    };
    replicas.iter().map(server).collect()
}

/// Whether a target is a host name rather than an address; neither is refused.
fn is_name(target: &str) -> Result<bool, RenderError> {
    let refuse = |why| RenderError::Value { format: "nginx", value: target.to_owned(), why };
    let (host, port) = target.rsplit_once(':').ok_or_else(|| refuse("a replica is `address:port`"))?;
    if port.parse::<u16>().is_err() {
        return Err(refuse("the port is not a number from 1 to 65535"));
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return Ok(false);
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if host.is_empty() || !host.bytes().all(name) {
        return Err(refuse("the host is neither an IPv4 address nor a host name"));
    }
    Ok(true)
}
