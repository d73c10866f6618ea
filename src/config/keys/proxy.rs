//! Keys of the front door.

use crate::base::name::DomainName;
use crate::base::net::Network;
use crate::base::problem::{Problem, Problems};
use crate::base::units::{ByteSize, Span};
use crate::config::decode::{At, Decode, Map, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Cores, Int, Text, UrlPath, word};
use crate::config::web::HeaderName;
use crate::model::proxy::TlsProfile;

use super::cors::CorsKey;
use super::limit::LimitKey;

table! {
    /// The front door: Nginx with TLS, the only thing that is published.
    ProxyKeys as "proxy" {
        /// Nginx image. From 1.27.4 on, a release loses no idle keep-alive connection.
        image: Text = "\"nginx:1.30\"",
        /// Modules of an image that is not the official one: `"njs"` (0.8 or later; official images have it from 1.26 on), which quotas need, and `"brotli"`, which then compresses beside gzip.
        modules: Vec<At<ModuleKey>>,
        /// Host names it answers to; the others redirect to the first.
        domains: Vec<At<DomainName>> = "[\"localhost\"]",
        /// Certificates: `"self-signed"` for trials, `"off"` for plain HTTP, or `{ files = { cert = "…", key = "…" } }`.
        tls: TlsKey = "\"self-signed\"",
        /// Address of the host the ports are published on.
        address: Text = "\"0.0.0.0\"",
        /// Port of the host for HTTP; it redirects to HTTPS.
        http_port: Int<1, 65535> = "80",
        /// Port of the host for HTTPS.
        https_port: Int<1, 65535> = "443",
        /// Mozilla's profile: `"intermediate"` (TLS 1.2 and 1.3) or `"modern"` (TLS 1.3 only, for programs you know).
        tls_profile: TlsProfileKey = "\"intermediate\"",
        /// `max-age` of Strict-Transport-Security. `"0s"` sends no such header.
        hsts: Span = "\"2y\"",
        /// Headers of every response, on top of the safe defaults; an empty value takes a default away. `X-XSS-Protection` is not among them: today it is advised against.
        headers: Map<Text, Text>,
        /// Limit per client for all routes that do not say otherwise. Health checks are exempt.
        limit: LimitKey,
        /// Requests under way at once per client, for all routes that do not say otherwise; more get 429. Each HTTP/2 request counts. Health checks are exempt.
        connections: Int<1, 100_000>,
        /// Sites whose scripts may read the answers, for all routes that do not say otherwise: origins, or a table. Without it, CORS is left to the services.
        cors: CorsKey,
        /// Paths that are answered 404, with everything below them. So are metrics of services, and files and folders whose name begins with a dot, but for `/.well-known/`. A longer route below one of them is open, and so is a route with the same path.
        closed: Vec<At<UrlPath>> = "[\"/metrics\", \"/debug\"]",
        /// Addresses and ranges of the CDN or load balancer in front. What comes from there is counted, logged and passed on as from the address that `real_ip_header` names; from anywhere else that header is ignored.
        trusted_proxies: Vec<At<Network>>,
        /// Header in which trusted proxies say who asks, such as `"CF-Connecting-IP"`.
        real_ip_header: HeaderName = "\"X-Forwarded-For\"",
        /// Largest request body for all routes that do not say otherwise.
        max_body: ByteSize = "\"10M\"",
        /// Most memory Nginx may use.
        memory: ByteSize = "\"256M\"",
        /// Share of the processor for Nginx.
        cpus: Cores,
    }
}

const TLS_PROFILES: &[&str] = &["intermediate", "modern"];

/// `tls_profile`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsProfileKey(pub TlsProfile);

impl Decode for TlsProfileKey {
    fn shape() -> Shape {
        Shape::Word(TLS_PROFILES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let name = word(node, TLS_PROFILES, problems)?;
        Some(Self(if name == "modern" { TlsProfile::Modern } else { TlsProfile::Intermediate }))
    }
}

const MODULES: &[&str] = &["njs", "brotli"];

/// One of `modules`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleKey {
    /// `ngx_http_js_module`
    Njs,
    /// `ngx_http_brotli_filter_module`
    Brotli,
}

impl Decode for ModuleKey {
    fn shape() -> Shape {
        Shape::Word(MODULES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, MODULES, problems).map(|name| if name == "njs" { Self::Njs } else { Self::Brotli })
    }
}

table! {
    /// A certificate of your own.
    TlsFiles as "tls.files" {
        /// Certificate chain, PEM, leaf first; relative to stack.toml.
        cert: Text,
        /// Private key, PEM; relative to stack.toml. Others must not be able to read it.
        key: Text,
    }
}

table! {
    /// A certificate of your own.
    TlsKeys as "tls" {
        /// Files with the chain and the key.
        files: TlsFiles,
    }
}

/// `tls`
#[derive(Debug, Clone, PartialEq)]
pub enum TlsKey {
    /// Plain HTTP.
    Off,
    /// A trial certificate.
    SelfSigned,
    /// Own files.
    Files(Box<TlsFiles>),
}

const TLS_WORDS: &[&str] = &["self-signed", "off"];

impl Decode for TlsKey {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Word(TLS_WORDS), TlsKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Text(_) => match word(node, TLS_WORDS, problems)? {
                "off" => Some(Self::Off),
                _ => Some(Self::SelfSigned),
            },
            Value::Table(_) => {
                let files = TlsKeys::decode(node, problems)?.files;
                // One that is there but wrong has been reported already.
                if node.get("files").is_none() {
                    problems.push(
                        Problem::error("`tls` as a table needs `files`")
                            .at(node.span.clone())
                            .fix("tls = { files = { cert = \"certs/site.pem\", key = \"certs/site.key\" } }"),
                    );
                }
                files.map(|f| Self::Files(Box::new(f.value)))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}
