//! The front door: names, TLS, routes, limits.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::name::{DomainName, SecretName, ServiceName};
use crate::base::units::{ByteSize, Rate, Span};

/// Nginx in front of the stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proxy {
    /// Line of stack.toml of `[proxy]`, or of `[routes]` if there is none; from 1.
    pub line: u32,
    /// Image reference.
    pub image: String,
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
    /// `max-age` of Strict-Transport-Security; `None` sends no header.
    pub hsts: Option<Span>,
    /// Security headers of every response, name to value.
    pub headers: BTreeMap<String, String>,
    /// Line of `headers`, or of the proxy.
    pub headers_line: u32,
    /// Largest request body where a route does not say otherwise.
    pub max_body: ByteSize,
    /// Routes, the most specific (longest path) first.
    pub routes: Vec<Route>,
    /// Memory limit of Nginx itself.
    pub memory: ByteSize,
    /// Processor share of Nginx itself.
    pub cpus: Option<f64>,
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

    /// The route that answers a path: the longest one that is its prefix.
    pub fn route_of(&self, path: &str) -> Option<&Route> {
        self.routes.iter().filter(|r| path.starts_with(&r.path)).max_by_key(|r| r.path.len())
    }
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}

/// One path of the front door.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// Path prefix, starting with `/`.
    pub path: String,
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// Who answers.
    pub service: ServiceName,
    /// The limit that holds here, inherited ones resolved.
    pub limit: Option<Limit>,
    /// Upgrade to WebSocket is passed on.
    pub websocket: bool,
    /// Longest silence of the service before the proxy gives up.
    pub timeout: Span,
    /// Largest request body.
    pub max_body: ByteSize,
    /// Responses are collected before they are sent; off for streams.
    pub buffering: bool,
}

/// A leaky bucket as Nginx's `limit_req` implements it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limit {
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// Sustained rate.
    pub rate: Rate,
    /// Requests above the rate that are still admitted.
    pub burst: u32,
    /// How many of the burst are admitted without waiting; `None`: all of them (`nodelay`).
    pub delay: Option<u32>,
}
