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

use serde::Serialize;

use crate::base::name::ServiceName;
use crate::base::secret::Secret;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::nginx::NginxFacts;
use crate::model::proxy::{Proxy, TlsProfile};
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, NGINX_ERRORS, NGINX_HEADERS, NGINX_HIDE, NGINX_MAIN, NGINX_PAGES, NGINX_PROXY};
use super::escape;

mod candidate;
mod closed;
mod cors;
mod errors;
mod files;
mod headers;
mod limits;
mod locations;
mod place;
mod upstreams;

use headers::Headers;
use limits::Limits;
use locations::Location;
use place::PlaceView;
use upstreams::{Live, Pool};

pub(super) use files::on_host;
pub use place::Place;
pub use upstreams::{Banks, Upstream};

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

/// Folder of the answers to an authority's questions (HTTP-01, RFC 8555 §8.3), at the root of the files volume: Nginx
/// looks at each request, so that a new answer needs no reload.
pub const CHALLENGES: &str = "challenges";

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
    /// Where this Nginx runs.
    pub place: Place,
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
    /// Folder of answers to an authority's questions, where one asks here.
    challenges: Option<String>,
    trusted: Vec<String>,
    candidate: Option<String>,
    release: Option<&'a str>,
    place: PlaceView,
    own_http: bool,
    own_server: bool,
    own_pages: bool,
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
    /// Certificates that handshakes read can be kept.
    certificate_cache: bool,
}

/// What snippets of the user's own see.
#[derive(Serialize)]
struct Own<'a> {
    project: &'a str,
    stage: &'a str,
    domain: &'a str,
}

impl<'a> Own<'a> {
    fn of(input: &'a ProxyInput<'a>) -> Self {
        let stage = input.stack.stage.as_deref().unwrap_or_default();
        Self { project: input.stack.project.as_str(), stage, domain: input.proxy.canonical() }
    }
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
    let live = upstreams::live(input);
    let locations = locations::locations(input, &live)?;
    let limits = Limits::of(proxy)?.with_connections(proxy);
    let quotas = limits.has_quotas();
    let pools = upstreams::pools(input)?;
    let forwarded = forwarded(proxy);
    let pages = errors::Pages::of(proxy);
    let main = view(input, locations, limits, pools, live);
    let mut files = vec![
        Artifact::plain("nginx.conf", engine::fill(&NGINX_MAIN, &main)?),
        Artifact::plain("snippets/errors.conf", engine::fill(&NGINX_ERRORS, &pages)?),
        Artifact::plain("snippets/headers.conf", engine::fill(&NGINX_HEADERS, &headers)?),
        Artifact::plain("snippets/hide.conf", engine::fill(&NGINX_HIDE, &headers)?),
        Artifact::plain("snippets/proxy.conf", engine::fill(&NGINX_PROXY, &forwarded)?),
    ];
    for (name, snippet) in [("http", &proxy.snippets.http), ("server", &proxy.snippets.server)] {
        if let Some(text) = snippet {
            let path = format!("snippets/own-{name}.conf");
            let text = engine::fill_own(&path, text, escape::nginx, &Own::of(input))?;
            files.push(Artifact::plain(path, text));
        }
    }
    if !proxy.pages.is_empty() {
        files.push(Artifact::plain("snippets/pages.conf", engine::fill(&NGINX_PAGES, &pages)?));
    }
    if quotas {
        files.push(Artifact::plain("snippets/quota.js", QUOTA));
    }
    if proxy.routes.iter().any(|route| route.folder().is_some()) {
        files.push(Artifact::plain("snippets/types.conf", files::TYPES));
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
        repeat: time(upstreams::repeat(input)),
        resolver: upstreams.iter().any(Pool::resolves),
        upstreams,
        live,
        limits,
        tls: proxy.https().then(|| TlsView {
            http2_directive: facts.since(1, 25, 1),
            tickets_off: !facts.since(1, 23, 2),
            reject_handshake: facts.since(1, 19, 4) && !by_address,
            modern: proxy.tls_profile == TlsProfile::Modern,
            ml_kem: facts.openssl >= (3, 5),
            certificate_cache: facts.since(1, 27, 4),
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
        challenges: proxy.is_asked().then(|| format!("{ROOT}/{CHALLENGES}/")),
        trusted: trusted.iter().map(|address| format!("{address}/32")).collect(),
        candidate: candidate::pattern(input),
        release: input.release,
        place: PlaceView::of(input),
        own_http: proxy.snippets.http.is_some(),
        own_server: proxy.snippets.server.is_some(),
        own_pages: !proxy.pages.is_empty(),
    }
}

/// The longest drain of a routed service, and never less than idle connections are kept.
fn shutdown(input: &ProxyInput<'_>) -> Span {
    let routed = input.proxy.routes.iter().filter_map(|route| input.stack.services.get(route.service()?));
    routed.map(|service| service.drain).max().unwrap_or(KEEPALIVE_MIN).max(KEEPALIVE_MIN)
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
