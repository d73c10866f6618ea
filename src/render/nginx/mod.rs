//! Nginx: the front door.
//!
//! All paths are relative to the folder of `nginx.conf`, so that a release is one folder and a switch is one link.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::base::name::ServiceName;
use crate::base::secret::Secret;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::proxy::Proxy;
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, NGINX_HEADERS, NGINX_MAIN, NGINX_PROXY};

mod candidate;
mod headers;
mod locations;

use headers::Headers;
use locations::{Location, Zone};

/// User of the official image (`nginx`), who must be able to read the key.
pub const UID: u32 = 101;

/// The private listener, plain HTTP.
pub const PRIVATE_PORT: u16 = 8081;

/// The private listener, HTTPS with the site's certificate; only where the site has one.
pub const PRIVATE_TLS_PORT: u16 = 8444;

/// Request header of the private listener that names a replica to ask, as `address:port`.
pub const CANDIDATE_HEADER: &str = "X-Stackctl-Candidate";

/// Idle connections of clients stay open this long after a reload, where Nginx can do that. Old replicas must not
/// stop earlier.
pub const KEEPALIVE_MIN: Span = Span::seconds(10);

/// What this Nginx can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NginxFacts {
    /// Major, minor, patch.
    pub version: (u16, u16, u16),
}

impl NginxFacts {
    /// From an image reference: `nginx:1.30` is 1.30.0, `nginx:1.29.3-alpine` is 1.29.3. What gives no minor version
    /// is taken for 1.22.0, the oldest that is supported.
    pub fn from_tag(image: &str) -> Self {
        let unknown = Self { version: (1, 22, 0) };
        let name = image.split('@').next().unwrap_or(image);
        let Some((_, tag)) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) else { return unknown };
        let number = tag.split('-').next().unwrap_or(tag);
        let parts: Option<Vec<u16>> = number.split('.').map(|part| part.parse().ok()).collect();
        match parts.as_deref() {
            Some([major, minor]) => Self { version: (*major, *minor, 0) },
            Some([major, minor, patch]) => Self { version: (*major, *minor, *patch) },
            _ => unknown,
        }
    }

    fn since(self, major: u16, minor: u16, patch: u16) -> bool {
        self.version >= (major, minor, patch)
    }
}

/// Everything the front door is made of.
#[derive(Debug, Clone)]
pub struct ProxyInput<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Its proxy.
    pub proxy: &'a Proxy,
    /// Replicas in service, by service. Routes to a service without any are answered 503.
    pub upstreams: &'a BTreeMap<ServiceName, Vec<Upstream>>,
    /// Chain and key, both PEM; needed where the proxy serves HTTPS.
    pub certificate: Option<(&'a str, &'a Secret)>,
    /// What this Nginx can do.
    pub facts: NginxFacts,
    /// Addresses that may use the private listener, beside the container itself.
    pub trusted_probe: Vec<Ipv4Addr>,
    /// Answer of `/stackctl/release` on the private listener.
    pub release: Option<&'a str>,
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
struct View<'a> {
    project: &'a str,
    version: String,
    workers: String,
    shutdown: String,
    keepalive_min: Option<String>,
    resolver: bool,
    upstreams: Vec<Pool<'a>>,
    limits: Vec<Zone>,
    tls: Option<TlsView>,
    domains: Vec<&'a str>,
    canonical: &'a str,
    others: Vec<&'a str>,
    public_port: Option<u16>,
    max_body: String,
    locations: Vec<Location>,
    trusted: Vec<String>,
    candidate: Option<String>,
    release: Option<&'a str>,
}

#[derive(Serialize)]
struct TlsView {
    /// `http2 on;`, else a parameter of `listen`.
    http2_directive: bool,
    tickets_off: bool,
    reject_handshake: bool,
}

#[derive(Serialize)]
struct Pool<'a> {
    name: &'a str,
    servers: Vec<Server<'a>>,
}

#[derive(Serialize)]
struct Server<'a> {
    target: &'a str,
    comment: &'a str,
    resolve: bool,
}

#[derive(Serialize)]
struct Forwarded {
    host: String,
    port: u16,
    scheme: &'static str,
}

/// Renders the front door: `nginx.conf`, `snippets/`, and `certs/` where it serves HTTPS.
///
/// # Errors
/// [`RenderError::Certificate`] without a certificate for HTTPS, [`RenderError::Header`] for a response header that
/// cannot be set, [`RenderError::Value`] for a value Nginx cannot hold.
pub fn nginx(input: &ProxyInput<'_>) -> Result<Vec<Artifact>, RenderError> {
    let proxy = input.proxy;
    let headers = Headers::of(proxy)?;
    let (locations, limits) = locations::locations(input)?;
    let pools = pools(input)?;
    let forwarded = forwarded(proxy);
    let main = view(input, locations, &limits, pools);
    let headers = headers.with_limits(!limits.is_empty());
    let mut files = vec![
        Artifact::plain("nginx.conf", engine::fill(&NGINX_MAIN, &main)?),
        Artifact::plain("snippets/headers.conf", engine::fill(&NGINX_HEADERS, &headers)?),
        Artifact::plain("snippets/proxy.conf", engine::fill(&NGINX_PROXY, &forwarded)?),
    ];
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
    limits: &[Zone],
    upstreams: Vec<Pool<'a>>,
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
        resolver: upstreams.iter().flat_map(|pool| &pool.servers).any(|server| server.resolve),
        upstreams,
        limits: limits.to_vec(),
        tls: proxy.https().then(|| TlsView {
            http2_directive: facts.since(1, 25, 1),
            tickets_off: !facts.since(1, 23, 2),
            reject_handshake: facts.since(1, 19, 4) && !by_address,
        }),
        domains: std::iter::once(proxy.canonical()).chain(others.iter().copied()).collect(),
        canonical: proxy.canonical(),
        others,
        public_port: public_port(proxy),
        max_body: proxy.max_body.to_string(),
        locations,
        trusted: trusted.iter().map(|address| format!("{address}/32")).collect(),
        candidate: candidate::pattern(input.stack, proxy),
        release: input.release,
    }
}

/// The longest drain of a routed service, and never less than idle connections are kept.
fn shutdown(input: &ProxyInput<'_>) -> Span {
    let routed = input.proxy.routes.iter().filter_map(|route| input.stack.services.get(&route.service));
    routed.map(|service| service.drain).max().unwrap_or(KEEPALIVE_MIN).max(KEEPALIVE_MIN)
}

/// Upstream blocks of the routed services that have replicas.
fn pools<'a>(input: &'a ProxyInput<'a>) -> Result<Vec<Pool<'a>>, RenderError> {
    let routed: BTreeSet<&ServiceName> = input.proxy.routes.iter().map(|route| &route.service).collect();
    let can_resolve = input.facts.since(1, 27, 3);
    let mut pools = Vec::new();
    for (name, replicas) in input.upstreams {
        if replicas.is_empty() || !routed.contains(name) {
            continue;
        }
        let mut servers = Vec::with_capacity(replicas.len());
        for Upstream { target, comment } in replicas {
            let resolve = can_resolve && is_name(target)?;
            servers.push(Server { target, comment, resolve });
        }
        pools.push(Pool { name: name.as_str(), servers });
    }
    Ok(pools)
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
    }
}

/// A time as Nginx writes it: whole seconds, or milliseconds where there is a rest.
fn time(span: Span) -> String {
    let millis = span.0.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}
