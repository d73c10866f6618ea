//! Keys of the front door.

use crate::base::name::{DomainName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::base::units::{ByteSize, Rate, Span};
use crate::config::decode::{At, Decode, Map, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Cores, Int, Text, word};

table! {
    /// The front door: Nginx with TLS, the only thing that is published.
    ProxyKeys as "proxy" {
        /// Nginx image. From 1.27.4 on, a release loses no idle keep-alive connection.
        image: Text = "\"nginx:1.30\"",
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
        /// `max-age` of Strict-Transport-Security. `"0s"` sends no such header.
        hsts: Span = "\"2y\"",
        /// Headers of every response, on top of the safe defaults; an empty value takes a default away.
        headers: Map<Text, Text>,
        /// Limit per client for all routes that do not say otherwise. Health checks are exempt.
        limit: LimitKey,
        /// Largest request body for all routes that do not say otherwise.
        max_body: ByteSize = "\"10M\"",
        /// Most memory Nginx may use.
        memory: ByteSize = "\"256M\"",
        /// Share of the processor for Nginx.
        cpus: Cores,
    }
}

table! {
    /// A path of the front door. The longest matching path wins.
    RouteKeys as "a route" {
        /// Service that answers.
        service: ServiceName,
        /// Limit per client here, instead of the inherited one; `"off"` for none.
        limit: LimitKey,
        /// Passes WebSocket upgrades on.
        websocket: bool = "false",
        /// Longest silence of the service before the proxy answers 504.
        timeout: Span = "\"60s\"",
        /// Largest request body here.
        max_body: ByteSize,
        /// Collect responses before sending them; `false` for streams.
        buffering: bool = "true",
    }
}

table! {
    /// A limit: Nginx's leaky bucket, per client address (IPv6 by /64). Refused requests get 429 and `Retry-After`.
    LimitKeys as "a limit" {
        /// Sustained rate per client, such as `"10/s"` or `"30/m"`.
        rate: Rate,
        /// Requests above the rate that are still admitted.
        burst: Int<0, 100_000> = "0",
        /// How many of the burst are admitted at once; the rest waits for the rate. Without it, the whole burst is admitted at once.
        delay: Int<0, 100_000>,
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

/// A route: the name of a service, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteKey {
    /// Who answers.
    Service(ServiceName),
    /// In detail.
    Keys(Box<RouteKeys>),
}

impl Decode for RouteKey {
    fn shape() -> Shape {
        Shape::Either(vec![ServiceName::shape(), RouteKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => {
                if node.get("service").is_none() {
                    problems.push(
                        Problem::error("a route needs a `service`").at(node.span.clone()).fix("service = \"app\""),
                    );
                }
                RouteKeys::decode(node, problems).map(|k| Self::Keys(Box::new(k)))
            }
            Value::Text(_) => ServiceName::decode(node, problems).map(Self::Service),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// `limit`: `"off"`, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitKey {
    /// None.
    Off,
    /// A leaky bucket.
    Keys(Box<LimitKeys>),
}

impl Decode for LimitKey {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Word(&["off"]), LimitKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => {
                let keys = LimitKeys::decode(node, problems)?;
                if node.get("rate").is_none() {
                    problems.push(
                        Problem::error("a limit needs a `rate`")
                            .at(node.span.clone())
                            .fix("limit = { rate = \"10/s\", burst = 20 }"),
                    );
                }
                keys.rate.is_some().then(|| Self::Keys(Box::new(keys)))
            }
            Value::Text(_) => {
                if node.plain().as_deref() == Some("off") {
                    return Some(Self::Off);
                }
                problems.push(
                    Problem::error("this is not a limit stackctl can enforce")
                        .at(node.span.clone())
                        .label("allowed: `\"off\"`, or a table with `rate` and `burst`")
                        .help(
                            "a quota such as \"100/hour\" cannot be expressed by Nginx's leaky bucket; choose the \
                             sustained rate and how many requests may come at once",
                        )
                        .fix("limit = { rate = \"10/s\", burst = 20 }"),
                );
                None
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}
