//! Nginx: the front door.
//!
//! All paths are relative to the folder of `nginx.conf`, so that a configuration is one folder and a switch is one
//! link. The exception is [`LIVE`], which outlives configurations: a file there says which bank of a service gets its
//! traffic, so that a release of the service needs no reload.
//!
//! Request bodies above 16k are spooled to `/tmp`, which is memory: bodies under way together that are larger than
//! the tmpfs there get a 500, however high `max_body` is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use crate::base::hash;
use crate::base::name::ServiceName;
use crate::base::secret::Secret;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::nginx::NginxFacts;
use crate::model::proxy::{Backend, Balance, Proxy, Route, TlsProfile};
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, NGINX_ERRORS, NGINX_HEADERS, NGINX_HIDE, NGINX_MAIN, NGINX_PROXY};

mod candidate;
mod closed;
mod cors;
mod errors;
mod headers;
mod limits;
mod locations;

use headers::Headers;
use limits::Limits;
use locations::Location;

/// Counts quotas. Not a template: what it needs to know is in variables.
const QUOTA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/nginx/quota.js"));

/// User of the official image (`nginx`), who must be able to read the key.
pub const UID: u32 = 101;

/// The private listener, plain HTTP.
pub const PRIVATE_PORT: u16 = 8081;

/// The private listener, HTTPS with the site's certificate; only where the site has one.
pub const PRIVATE_TLS_PORT: u16 = 8444;

/// Request header of the private listener that names a replica to ask, as `address:port`.
pub const CANDIDATE_HEADER: &str = "X-Stackctl-Candidate";

/// Where the files volume is mounted.
const ROOT: &str = "/run/stackctl";

/// Folder of the flags, at the root of the files volume: a reload does not move what they say.
pub const LIVE: &str = "/run/stackctl/live";

/// A link below [`LIVE`]: where it leads to a regular file, the site answers 503 to everybody.
pub const MAINTENANCE: &str = "maintenance";

/// The flag of a service, relative to the root of the files volume. Where it leads to a regular file, bank b gets the
/// traffic; where it is missing, dangling or anything else, bank a.
pub fn live_flag(service: &ServiceName) -> String {
    format!("live/{service}.b")
}

/// Idle connections of clients stay open this long after a reload, where Nginx can do that. Old replicas must not
/// stop earlier.
pub const KEEPALIVE_MIN: Span = Span::seconds(10);

/// An address without a container does not refuse, it stays silent.
const CONNECT: Span = Span::seconds(2);

/// Everything the front door is made of.
#[derive(Debug, Clone)]
pub struct ProxyInput<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Its proxy.
    pub proxy: &'a Proxy,
    /// Where replicas are, by service. Routes to a service without any are answered 503.
    pub upstreams: &'a BTreeMap<ServiceName, Banks>,
    /// Chain and key, both PEM; needed where the proxy serves HTTPS.
    pub certificate: Option<(&'a str, &'a Secret)>,
    /// What this Nginx can do.
    pub facts: NginxFacts,
    /// Addresses that may use the private listener, beside the container itself.
    pub trusted_probe: Vec<Ipv4Addr>,
    /// Answer of `/stackctl/release` on the private listener.
    pub release: Option<&'a str>,
}

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
    fn none(&self) -> bool {
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

/// What the main template sees.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each switches a few lines of the template")]
struct View<'a> {
    project: &'a str,
    version: String,
    workers: String,
    shutdown: String,
    keepalive_min: Option<String>,
    keepalive_time: bool,
    /// Whether connections to services have to be kept from being kept.
    keepalive_off: bool,
    connect: String,
    repeat: String,
    resolver: bool,
    upstreams: Vec<Pool<'a>>,
    live: Vec<Live<'a>>,
    limits: Limits,
    tls: Option<TlsView>,
    domains: Vec<&'a str>,
    canonical: &'a str,
    others: Vec<&'a str>,
    public_port: Option<u16>,
    max_body: String,
    locations: Vec<Location>,
    brotli: bool,
    trusted_proxies: Vec<String>,
    real_ip_header: &'a str,
    maintenance: String,
    trusted: Vec<String>,
    candidate: Option<String>,
    release: Option<&'a str>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each switches a few lines of the template")]
struct TlsView {
    /// `http2 on;`, else a parameter of `listen`.
    http2_directive: bool,
    tickets_off: bool,
    reject_handshake: bool,
    modern: bool,
    /// Post-quantum key exchange, from OpenSSL 3.5 on.
    ml_kem: bool,
}

#[derive(Serialize)]
struct Pool<'a> {
    name: String,
    /// `least_conn`, `ip_hash` or nothing.
    balance: Option<&'static str>,
    servers: Vec<Server<'a>>,
}

/// A service with two banks: the number of its variable, and the file that says which.
#[derive(Serialize)]
struct Live<'a> {
    number: usize,
    service: &'a str,
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

#[derive(Serialize)]
struct Forwarded {
    host: String,
    port: u16,
    scheme: &'static str,
    /// Somebody in front may have taken TLS off.
    trusted: bool,
}

/// Renders the front door: `nginx.conf`, `snippets/`, and `certs/` where it serves HTTPS.
///
/// # Errors
/// [`RenderError::Certificate`] without a certificate for HTTPS, [`RenderError::Header`] for a response header that
/// cannot be set, [`RenderError::Value`] for a value Nginx cannot hold.
pub fn nginx(input: &ProxyInput<'_>) -> Result<Vec<Artifact>, RenderError> {
    let proxy = input.proxy;
    let headers = Headers::of(proxy)?;
    let live = live(input);
    let locations = locations::locations(input, &live)?;
    let limits = Limits::of(proxy)?.with_connections(proxy);
    let quotas = limits.has_quotas();
    let pools = pools(input)?;
    let forwarded = forwarded(proxy);
    let main = view(input, locations, limits, pools, live);
    let mut files = vec![
        Artifact::plain("nginx.conf", engine::fill(&NGINX_MAIN, &main)?),
        Artifact::plain("snippets/errors.conf", engine::fill(&NGINX_ERRORS, &errors::Pages::new())?),
        Artifact::plain("snippets/headers.conf", engine::fill(&NGINX_HEADERS, &headers)?),
        Artifact::plain("snippets/hide.conf", engine::fill(&NGINX_HIDE, &headers)?),
        Artifact::plain("snippets/proxy.conf", engine::fill(&NGINX_PROXY, &forwarded)?),
    ];
    if quotas {
        files.push(Artifact::plain("snippets/quota.js", QUOTA));
    }
    if proxy.https() {
        let (chain, key) = input.certificate.ok_or(RenderError::Certificate)?;
        files.push(Artifact::plain("certs/site.pem", chain));
        files.push(Artifact::secret("certs/site.key", key.clone(), Some(UID)));
    }
    Ok(files)
}

fn view<'a>(
    input: &'a ProxyInput<'a>,
    locations: Vec<Location>,
    limits: Limits,
    upstreams: Vec<Pool<'a>>,
    live: Vec<Live<'a>>,
) -> View<'a> {
    let (proxy, facts) = (input.proxy, input.facts);
    let (major, minor, patch) = facts.version;
    let mut others: Vec<&str> = Vec::new();
    for name in &proxy.domains {
        if name.as_str() != proxy.canonical() && !others.contains(&name.as_str()) {
            others.push(name.as_str());
        }
    }
    // A client that is given an address sends no server name: refusing such handshakes would refuse the site.
    let by_address = proxy.domains.iter().any(|name| name.as_str().parse::<Ipv4Addr>().is_ok());
    let trusted: BTreeSet<Ipv4Addr> = input.trusted_probe.iter().copied().collect();
    View {
        project: input.stack.project.as_str(),
        version: format!("{major}.{minor}.{patch}"),
        workers: proxy.cpus.map_or_else(|| "auto".to_owned(), |cpus| format!("{}", cpus.ceil().max(1.0))),
        shutdown: time(shutdown(input)),
        keepalive_min: facts.since(1, 27, 4).then(|| time(KEEPALIVE_MIN)),
        keepalive_time: facts.since(1, 19, 10),
        keepalive_off: facts.since(1, 29, 7),
        connect: time(CONNECT),
        repeat: time(repeat(input)),
        resolver: upstreams.iter().flat_map(|pool| &pool.servers).any(|server| server.resolve),
        upstreams,
        live,
        limits,
        tls: proxy.https().then(|| TlsView {
            http2_directive: facts.since(1, 25, 1),
            tickets_off: !facts.since(1, 23, 2),
            reject_handshake: facts.since(1, 19, 4) && !by_address,
            modern: proxy.tls_profile == TlsProfile::Modern,
            ml_kem: facts.openssl >= (3, 5),
        }),
        domains: std::iter::once(proxy.canonical()).chain(others.iter().copied()).collect(),
        canonical: proxy.canonical(),
        others,
        public_port: public_port(proxy),
        max_body: proxy.max_body.to_string(),
        locations,
        brotli: facts.brotli,
        trusted_proxies: proxy.trusted_proxies.iter().map(ToString::to_string).collect(),
        real_ip_header: &proxy.real_ip_header,
        maintenance: format!("{LIVE}/{MAINTENANCE}"),
        trusted: trusted.iter().map(|address| format!("{address}/32")).collect(),
        candidate: candidate::pattern(input.stack, proxy),
        release: input.release,
    }
}

/// The longest drain of a routed service, and never less than idle connections are kept.
fn shutdown(input: &ProxyInput<'_>) -> Span {
    let routed = input.proxy.routes.iter().filter_map(|route| input.stack.services.get(route.service()?));
    routed.map(|service| service.drain).max().unwrap_or(KEEPALIVE_MIN).max(KEEPALIVE_MIN)
}

/// How long a request may go from one replica to the next: past a whole bank without containers, whose addresses are
/// silent, to the other one; and long enough to get over one replica that died while it answered.
fn repeat(input: &ProxyInput<'_>) -> Span {
    let elsewhere = input.proxy.routes.iter().map(|route| match &route.backend {
        Backend::Service(_) => 0,
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
fn live<'a>(input: &'a ProxyInput<'a>) -> Vec<Live<'a>> {
    let switched = routed(input).filter(|(_, banks)| banks.switched());
    let numbered = switched.zip(1..);
    numbered
        .map(|((name, _), number)| Live { number, service: name.as_str(), flag: format!("{ROOT}/{}", live_flag(name)) })
        .collect()
}

/// Upstream blocks of the routed services that have replicas. No service has `_` in its name: `_a` and `_b` are free.
fn pools<'a>(input: &'a ProxyInput<'a>) -> Result<Vec<Pool<'a>>, RenderError> {
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
fn external_name(route: &Route) -> String {
    let hash = hash::sha256(route.path.as_bytes());
    format!("servers_{}", hash.get(..8).unwrap_or_default())
}

/// Upstreams of routes that lead elsewhere.
fn external<'a>(input: &'a ProxyInput<'a>) -> Result<Vec<Pool<'a>>, RenderError> {
    let mut pools = Vec::new();
    for route in &input.proxy.routes {
        let Backend::Servers(servers) = &route.backend else { continue };
        let server = |server: &'a crate::model::proxy::Server| {
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

/// The published port, where it is not the scheme's own.
fn public_port(proxy: &Proxy) -> Option<u16> {
    let (port, usual) = if proxy.https() { (proxy.https_port, 443) } else { (proxy.http_port, 80) };
    (port != usual).then_some(port)
}

fn forwarded(proxy: &Proxy) -> Forwarded {
    let canonical = proxy.canonical();
    Forwarded {
        host: public_port(proxy).map_or_else(|| canonical.to_owned(), |port| format!("{canonical}:{port}")),
        port: if proxy.https() { proxy.https_port } else { proxy.http_port },
        scheme: if proxy.https() { "https" } else { "http" },
        trusted: !proxy.trusted_proxies.is_empty(),
    }
}

/// A time as Nginx writes it: whole seconds, or milliseconds where there is a rest.
fn time(span: Span) -> String {
    let millis = span.0.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}
