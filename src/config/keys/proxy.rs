//! Keys of the front door.

use crate::base::name::DomainName;
use crate::base::net::Network;
use crate::base::problem::Problems;
use crate::base::units::{ByteSize, Span};
use crate::config::decode::{At, Decode, Map, table};
use crate::config::shape::Shape;
use crate::config::tree::Node;
use crate::config::values::{Cores, Int, Text, UrlPath, word};
use crate::config::web::{HeaderName, PageStatus};
use crate::model::proxy::TlsProfile;

use super::cors::CorsKey;
use super::limit::LimitKey;
use super::tls::TlsKey;

table! {
    /// The front door: Nginx with TLS, the only thing that is published.
    ProxyKeys as "proxy" {
        /// Nginx image. From 1.27.4 on, a release loses no idle keep-alive connection.
        image: Text = "\"nginx:1.30\"" => r#""nginx:1.28""#,
        /// Modules of an image that is not the official one: `"njs"` (0.8 or later; official images have it from 1.26 on), which quotas need, and `"brotli"`, which then compresses beside gzip.
        modules: Vec<At<ModuleKey>> => r#"["njs"]"#,
        /// Host names it answers to; the others redirect to the first.
        domains: Vec<At<DomainName>> = "[\"localhost\"]" => r#"["www.example.com", "example.com"]"#,
        /// Certificates: `{ acme = "ops@example.com" }` from Let's Encrypt, `{ files = { cert = "…", key = "…" } }` your own, `"self-signed"` for trials, `"off"` for plain HTTP.
        tls: TlsKey = "\"self-signed\"" => r#""off""#,
        /// Address of the host the ports are published on.
        address: Text = "\"0.0.0.0\"" => r#""127.0.0.1""#,
        /// Port of the host for HTTP; it redirects to HTTPS.
        http_port: Int<1, 65535> = "80" => "8080",
        /// Port of the host for HTTPS.
        https_port: Int<1, 65535> = "443" => "8443",
        /// Mozilla's profile: `"intermediate"` (TLS 1.2 and 1.3) or `"modern"` (TLS 1.3 only, for programs you know).
        tls_profile: TlsProfileKey = "\"intermediate\"" => r#""modern""#,
        /// `max-age` of Strict-Transport-Security. `"0s"` sends no such header.
        hsts: Span = "\"2y\"" => r#""1y""#,
        /// Headers of every response, on top of the safe defaults; an empty value takes a default away. `X-XSS-Protection` is not among them: today it is advised against.
        headers: Map<Text, Text> => r#"{ Content-Security-Policy = "default-src 'self'" }"#,
        /// Limit per client for all routes that do not say otherwise. Health checks are exempt.
        limit: LimitKey => r#"{ rate = "20/s", burst = 40 }"#,
        /// Requests under way at once per client, for all routes that do not say otherwise; more get 429. Each HTTP/2 request counts. Health checks are exempt.
        connections: Int<1, 100_000> => "20",
        /// Sites whose scripts may read the answers, for all routes that do not say otherwise: origins, or a table. Without it, CORS is left to the services.
        cors: CorsKey => r#"["https://app.example.com"]"#,
        /// Paths that are answered 404, with everything below them. So are metrics of services, and files and folders whose name begins with a dot, but for `/.well-known/`. A longer route below one of them is open, and so is a route with the same path.
        closed: Vec<At<UrlPath>> = "[\"/metrics\", \"/debug\"]" => r#"["/metrics", "/internal"]"#,
        /// Addresses and ranges of the CDN or load balancer in front. What comes from there is counted, logged and passed on as from the address that `real_ip_header` names; from anywhere else that header is ignored.
        trusted_proxies: Vec<At<Network>> => r#"["173.245.48.0/20"]"#,
        /// Header in which trusted proxies say who asks, such as `"CF-Connecting-IP"`.
        real_ip_header: HeaderName = "\"X-Forwarded-For\"" => r#""CF-Connecting-IP""#,
        /// Largest request body for all routes that do not say otherwise.
        max_body: ByteSize = "\"10M\"" => r#""20M""#,
        /// Lines of your own for Nginx, by the place they go to: files of the project.
        snippets: SnippetKeys,
        /// Pages of your own, by status, for what the front door itself answers: HTML files of the project of 64 KiB at most, with styles and images inside, since nothing else may be there to answer. 503 is the page of `maintenance on`, too. What services answer passes as it is.
        errors: Map<PageStatus, Text> => r#"{ 404 = "pages/404.html", 503 = "pages/503.html" }"#,
        /// Most memory Nginx may use.
        memory: ByteSize = "\"256M\"" => r#""512M""#,
        /// Share of the processor for Nginx.
        cpus: Cores => "2",
    }
}

table! {
    /// Files with lines of your own for Nginx, for what has no key. They are templates: `{{ project }}`, `{{ stage }}` and `{{ domain }}` become one word of Nginx each, quoted where it has to be.
    SnippetKeys as "snippets" {
        /// In the `http` block: maps, zones, upstreams.
        http: Text => r#""nginx/http.conf""#,
        /// In the `server` block of the site: locations, and what holds for all of them.
        server: Text => r#""nginx/server.conf""#,
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
