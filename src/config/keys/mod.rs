//! The keys of stack.toml, one table a file. Each key stands once: decoder, docs and schema are made from it.

pub mod access;
pub mod checklist;
pub mod cors;
pub mod limit;
pub mod monitoring;
pub mod native;
pub mod notify;
pub mod preset;
pub mod proxy;
pub mod route;
pub mod runtime;
pub mod secret;
pub mod service;
pub mod tls;

use crate::base::name::{ProjectName, SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};

use super::decode::{At, Decode, Map, table};
use super::shape::Shape;
use super::tree::Node;
use super::values::{Int, Text, UrlPath};

table! {
    /// One stack: everything a small team runs together.
    File as "stack.toml" {
        /// Name of the stack, and prefix of everything it owns on the engine. A stage other than the default adds `-STAGE`.
        name: StackName => r#""shop""#,
        /// Where the Docker engine is: `unix:///var/run/docker.sock`, `ssh://deploy@203.0.113.7` (by your own ssh configuration), `tcp://host:2376` (certificates in `DOCKER_CERT_PATH`). Without it: `DOCKER_HOST`, then the current Docker context.
        host: Text => r#""ssh://deploy@203.0.113.7""#,
        /// Private IPv4 range the stack's networks are cut from, a /24 each.
        pool: PoolRange = "\"10.83.0.0/16\"" => r#""10.90.0.0/16""#,
        /// How many releases back images that were built here are held by a running container each, so that not even `docker system prune -a` takes them: some 5 MB of memory apiece. Without it they are held by tags, which `docker image prune` respects. Images that were pulled are pulled again.
        hold_images: Int<0, 10> = "0" => "2",
        /// What runs, by name.
        services: Map<ServiceName, service::ServiceKeys>,
        /// Values that must not be seen, by name.
        secrets: Map<SecretName, secret::SecretKey>,
        /// The front door: Nginx with TLS. It is there as soon as there is a route.
        proxy: proxy::ProxyKeys,
        /// Paths of the front door, and who answers them.
        routes: Map<UrlPath, route::RouteKey>,
        /// Who is told when something is wrong.
        monitoring: monitoring::MonitoringKeys,
        /// Who is told when a deploy has ended.
        notify: notify::NotifyKeys,
        /// Checks of your own for `verify`, by name.
        checks: Map<Text, checklist::OwnKeys>,
        /// Findings that you put up with until a day.
        waivers: Vec<At<checklist::WaiverKeys>>,
        /// What no machine can judge and you vouch for.
        attestations: Map<checklist::Attestable, checklist::AttestationKeys>,
    }
}

/// The name of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackName(pub ProjectName);

impl Decode for StackName {
    fn shape() -> Shape {
        Shape::Text { what: "the name of a stack", pattern: "^[a-z0-9][a-z0-9_-]{0,31}$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = Text::decode(node, problems)?.0;
        let name = ProjectName::parse(&text);
        if name.is_none() {
            problems.push(
                Problem::error(format!("`{text}` cannot be the name of a stack"))
                    .at(node.span.clone())
                    .label(format!("allowed: {}", ProjectName::RULE)),
            );
        }
        name.map(Self)
    }
}

/// An IPv4 range as `address/prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRange(pub crate::model::stack::Pool);

impl Decode for PoolRange {
    fn shape() -> Shape {
        Shape::Text {
            what: "a private IPv4 range such as \"10.83.0.0/16\"",
            pattern: "^(10|192[.]168|172[.](1[6-9]|2[0-9]|3[01]))[.][0-9.]+/(8|9|1[0-9]|2[0-4])$",
        }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = Text::decode(node, problems)?.0;
        let pool = text.split_once('/').and_then(|(base, prefix)| {
            let base: std::net::Ipv4Addr = base.parse().ok()?;
            let prefix: u8 = prefix.parse().ok()?;
            ((8..=24).contains(&prefix) && base.is_private()).then_some(crate::model::stack::Pool { base, prefix })
        });
        if pool.is_none() {
            problems.push(
                Problem::error(format!("`{text}` is not a private IPv4 range"))
                    .at(node.span.clone())
                    .label("allowed: a range of RFC 1918 from /8 to /24, such as `10.83.0.0/16`"),
            );
        }
        pool.map(Self)
    }
}
