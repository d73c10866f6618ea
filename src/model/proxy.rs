//! The front door: names, TLS, routes, limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::hash;
use crate::base::name::{DomainName, SecretName, ServiceName};
use crate::base::net::Network;
use crate::base::units::{ByteSize, Span};

use super::limit::Limit;
use super::nginx::NginxFacts;

use super::parts::{Parts, take_apart};

/// Nginx in front of the stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proxy {
    /// Line of stack.toml of `[proxy]`, or of `[routes]` if there is none; from 1.
    pub line: u32,
    /// Image reference.
    pub image: String,
    /// What Nginx in that image can do.
    pub nginx: NginxFacts,
    /// Host names; the others redirect to the first.
    pub domains: Vec<DomainName>,
    /// Line of `domains`.
    pub domains_line: u32,
    /// Address of the host that ports are published on: `0.0.0.0` or `127.0.0.1`.
    pub address: std::net::Ipv4Addr,
    /// Host port for plain HTTP.
    pub http_port: u16,
    /// Host port for HTTPS.
    pub https_port: u16,
    /// Certificates.
    pub tls: Tls,
    /// Line of `tls`.
    pub tls_line: u32,
    /// Which versions and suites of TLS.
    pub tls_profile: TlsProfile,
    /// `max-age` of Strict-Transport-Security; `None` sends no header.
    pub hsts: Option<Span>,
    /// Security headers of every response, name to value.
    pub headers: BTreeMap<String, String>,
    /// Line of `headers`, or of the proxy.
    pub headers_line: u32,
    /// Paths, without a slash at the end, that are closed with everything below them.
    pub closed: Vec<String>,
    /// Who is believed when it says for whom it asks.
    pub trusted_proxies: Vec<Network>,
    /// Header in which they say so.
    pub real_ip_header: String,
    /// Lines of the user's own.
    #[serde(default, skip_serializing_if = "Snippets::none")]
    pub snippets: Snippets,
    /// HTML pages of the user's own, by status, for what the front door itself answers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<u16, String>,
    /// Largest request body where a route does not say otherwise.
    pub max_body: ByteSize,
    /// Routes, the most specific (longest path) first.
    pub routes: Vec<Route>,
    /// Memory limit of Nginx itself.
    pub memory: ByteSize,
    /// Processor share of Nginx itself.
    pub cpus: Option<f64>,
}

/// Templates of the user's own, by the place they go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippets {
    /// In the `http` block.
    pub http: Option<String>,
    /// In the `server` block of the site.
    pub server: Option<String>,
}

impl Snippets {
    /// Whether there are none.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

impl Proxy {
    /// The name the others redirect to.
    pub fn canonical(&self) -> &str {
        self.domains.first().map_or("localhost", DomainName::as_str)
    }

    /// Whether it serves HTTPS.
    pub fn https(&self) -> bool {
        !matches!(self.tls, Tls::Off)
    }

    /// Whether an authority asks it questions before it gives a certificate.
    pub fn is_asked(&self) -> bool {
        matches!(&self.tls, Tls::Acme(acme) if acme.dns.is_empty())
    }

    /// The URL of the front door, port included where it is not the scheme's own.
    pub fn url(&self) -> String {
        let (scheme, port, default) =
            if self.https() { ("https", self.https_port, 443) } else { ("http", self.http_port, 80) };
        if port == default {
            format!("{scheme}://{}", self.canonical())
        } else {
            format!("{scheme}://{}:{port}", self.canonical())
        }
    }

    /// What it is told, part by part: its own settings, and those of each route.
    pub fn parts(&self, key: &[u8]) -> Parts {
        let mut out = Parts::new();
        let serde_json::Value::Object(fields) = serde_json::to_value(self).unwrap_or_default() else { return out };
        for (name, value) in fields.iter().filter(|(name, _)| *name != "routes" && !name.ends_with("line")) {
            take_apart(name, value, key, &mut out);
        }
        for route in &self.routes {
            let name = format!("route {}", route.path);
            out.insert(name.clone(), "set".to_owned());
            let value = serde_json::to_value(route).unwrap_or_default();
            let told = ["line", "path", "limit"];
            for (field, value) in value.as_object().into_iter().flatten().filter(|(f, _)| !told.contains(&f.as_str())) {
                take_apart(&format!("{name} {field}"), value, key, &mut out);
            }
            out.extend(route.limit.as_ref().map(|limit| (format!("{name} limit"), limit.to_string())));
        }
        out
    }

    /// The folders of images that it serves, each once, by their keys.
    pub fn folders(&self) -> BTreeMap<String, &Folder> {
        self.routes.iter().filter_map(Route::folder).map(|folder| (folder.key(), folder)).collect()
    }

    /// The route that answers a path: the longest one that is its prefix.
    pub fn route_of(&self, path: &str) -> Option<&Route> {
        self.routes.iter().filter(|r| path.starts_with(&r.path)).max_by_key(|r| r.path.len())
    }
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Plain HTTP only.
    Off,
    /// A trial certificate, made once.
    SelfSigned(SecretName),
    /// The user's own: secrets that hold the certificate chain and the key, both PEM.
    Files {
        /// Chain, leaf first.
        cert: SecretName,
        /// Key.
        key: SecretName,
    },
    /// From an authority that speaks ACME.
    Acme(Box<Acme>),
}

/// Certificates from an authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acme {
    /// The secret with certificate and key (PEM, key first); has no value before the first was issued.
    pub issued: SecretName,
    /// The trial certificate that serves until then.
    pub trial: SecretName,
    /// URL of the authority's directory.
    pub directory: String,
    /// URL of the directory that is for trying things out, if the authority is known to have one.
    pub staging: Option<String>,
    /// Where the authority may write to.
    pub email: Option<String>,
    /// Names the certificate is for.
    pub names: Vec<String>,
    /// Program that sets and unsets records of the DNS; empty: the front door answers the authority's questions.
    pub dns: Vec<String>,
    /// Longest time that program may take.
    pub dns_timeout: Span,
    /// Account elsewhere that the authority wants to know of: its key's ID, and the secret that is the key.
    pub external: Option<(String, SecretName)>,
    /// PEM file with authorities that the directory's own certificate may be signed by, beside the public ones.
    pub trust: Option<String>,
}

impl Acme {
    /// What the engine keeps the account with a directory as: another authority, or another person, is another one.
    pub fn account(&self, directory: &str) -> Option<SecretName> {
        let person = self.email.as_deref().unwrap_or_default();
        let id = hash::sha256_parts([directory.as_bytes(), person.as_bytes()]);
        SecretName::parse(&format!("proxy.account.{}", id.get(..8)?))
    }
}

impl Tls {
    /// The secret that binds the account with an authority to another one.
    pub fn external_key(&self) -> Option<&SecretName> {
        if let Self::Acme(acme) = self { acme.external.as_ref().map(|(_, key)| key) } else { None }
    }

    /// The secrets it needs.
    pub fn secrets(&self) -> Vec<&SecretName> {
        match self {
            Self::Off => Vec::new(),
            Self::SelfSigned(pair) => vec![pair],
            Self::Files { cert, key } => vec![cert, key],
            Self::Acme(acme) => vec![&acme.issued, &acme.trial],
        }
    }
}

/// One path of the front door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Path prefix, starting with `/`.
    pub path: String,
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// Who answers.
    pub backend: Backend,
    /// The limit that holds here, inherited ones resolved.
    pub limit: Option<Limit>,
    /// How requests are spread over replicas; the same for all routes of a service.
    pub balance: Balance,
    /// Requests under way at once per client.
    pub connections: Option<Connections>,
    /// Sites whose scripts may read the answers; `None`: the service says.
    pub cors: Option<Cors>,
    /// Who is admitted; everyone if empty.
    pub allow: Vec<Network>,
    /// Upgrade to WebSocket is passed on.
    pub websocket: bool,
    /// Longest wait for a connection to a replica.
    pub connect_timeout: Span,
    /// Longest pause of the service in taking a request.
    pub send_timeout: Span,
    /// Longest silence of the service before the proxy gives up.
    pub timeout: Span,
    /// Largest request body.
    pub max_body: ByteSize,
    /// Responses are collected before they are sent; off for streams.
    pub buffering: bool,
}

/// Who answers a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A service of the stack.
    Service(ServiceName),
    /// Servers elsewhere.
    Servers(Vec<Server>),
    /// Files out of an image, served by the front door itself.
    Files(Folder),
}

/// A folder of a service's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Whose image.
    pub service: ServiceName,
    /// Where it is there: absolute, no slash at the end.
    pub path: String,
    /// How long what is in it may be kept without asking; `None`: not at all.
    pub cache: Option<Span>,
}

impl Folder {
    /// What it goes by on the engine: `<service>.<8 hexadecimal digits>`.
    pub fn key(&self) -> String {
        let hash = hash::sha256_parts([self.path.as_bytes()]);
        format!("{}.{}", self.service, hash.get(..8).unwrap_or_default())
    }

    /// Cache-Control of what is there. Names that change with the content are kept for a year, by custom
    /// (RFC 2616 §14.21); only for them is a reload not to ask again (RFC 8246).
    pub fn cache_control(&self) -> String {
        match self.cache.map(|time| time.0.as_secs()) {
            None | Some(0) => "no-cache".to_owned(),
            Some(seconds) if seconds >= 31_536_000 => format!("public, max-age={seconds}, immutable"),
            Some(seconds) => format!("public, max-age={seconds}"),
        }
    }
}

/// A server that is not of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `host:port`
    pub address: String,
    /// Its share of the requests, at least 1.
    pub weight: u32,
}

/// How requests are spread over replicas, in Nginx's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// To the one with the fewest requests under way (`least_conn`).
    LeastConnections,
    /// By the client's address.
    IpHash,
}

/// Requests under way at once per client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many.
    pub most: u32,
    /// Where it stands: the path of a route, or `proxy`. Routes that inherit it count together.
    pub declared: String,
}

/// Sites whose scripts may read the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// Origins; `*` for any.
    pub origins: Vec<String>,
    /// Methods they may use.
    pub methods: Vec<String>,
    /// Request headers they may send.
    pub headers: Vec<String>,
    /// Cookies go along.
    pub credentials: bool,
    /// How long the answer to a preflight holds.
    pub max_age: Span,
}

/// Versions and suites of TLS, by Mozilla's guidelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsProfile {
    /// TLS 1.2 and 1.3.
    Intermediate,
    /// TLS 1.3 only.
    Modern,
}

impl Route {
    /// The service that answers, if it is one of the stack.
    pub fn service(&self) -> Option<&ServiceName> {
        match &self.backend {
            Backend::Service(name) => Some(name),
            Backend::Servers(_) | Backend::Files(_) => None,
        }
    }

    /// The folder whose files it serves, if it is one of an image.
    pub fn folder(&self) -> Option<&Folder> {
        if let Backend::Files(folder) = &self.backend { Some(folder) } else { None }
    }

    /// Whether that service answers.
    pub fn leads_to(&self, service: &ServiceName) -> bool {
        self.service() == Some(service)
    }

    /// A route that says nothing but who answers.
    pub fn new(path: impl Into<String>, line: u32, backend: Backend) -> Self {
        Self {
            path: path.into(),
            line,
            backend,
            limit: None,
            balance: Balance::RoundRobin,
            connections: None,
            cors: None,
            allow: Vec::new(),
            websocket: false,
            connect_timeout: Span::seconds(2),
            send_timeout: Span::seconds(60),
            timeout: Span::seconds(60),
            max_body: ByteSize(10 << 20),
            buffering: true,
        }
    }
}
