//! Kinds of values that keys of the front door take.

use crate::base::name::{DomainName, ServiceName};
use crate::base::net::Network;
use crate::base::problem::Problems;

use super::decode::{Decode, MapKey};
use super::shape::Shape;
use super::tree::Node;
use super::values::parsed;

/// The name of an HTTP header that Nginx can look at: letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(pub String);

impl Decode for HeaderName {
    fn shape() -> Shape {
        Shape::Text { what: "the name of a header", pattern: "^[A-Za-z0-9-]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let sane = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let refuse = || format!("`{text}` is not the name of a header; allowed: letters, digits and `-`");
            sane.then(|| Self(text.to_owned())).ok_or_else(refuse)
        })
    }
}

/// A status with which the front door itself answers, and can be given a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageStatus(pub u16);

impl MapKey for PageStatus {
    const WHAT: &'static str = "status";
    const RULE: &'static str = "403, 404, 413, 429, 500, 502, 503 and 504, which the front door itself answers";
    fn parse(text: &str) -> Option<Self> {
        ["403", "404", "413", "429", "500", "502", "503", "504"].contains(&text).then(|| text.parse().ok().map(Self))?
    }
}

/// An HTTP method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(pub String);

impl Decode for Method {
    fn shape() -> Shape {
        Shape::Text { what: "an HTTP method such as \"GET\"", pattern: "^[A-Z]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let sane = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase());
            let refuse = || format!("`{text}` is not an HTTP method; they are written in capitals, such as `GET`");
            sane.then(|| Self(text.to_owned())).ok_or_else(refuse)
        })
    }
}

/// The origin of a site: scheme, host and port, as browsers send it; or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub String);

impl Decode for Origin {
    fn shape() -> Shape {
        Shape::Text { what: "an origin such as \"https://app.example.com\"", pattern: "^(\\*|https?://[^/]+)$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let refuse = || {
                format!(
                    "`{text}` is not an origin; write scheme, host and port if it is not the usual one, such as `https://app.example.com`"
                )
            };
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let (host, port) = host.map_or((None, None), |rest| match rest.rsplit_once(':') {
                Some((host, port)) => (Some(host), Some(port)),
                None => (Some(rest), None),
            });
            let sane = host.is_some_and(|host| DomainName::parse(host).is_some())
                && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|n| n.to_string() == port));
            (sane || text == "*").then(|| Self(text.to_owned())).ok_or_else(refuse)
        })
    }
}

/// A host name or IPv4 address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub String);

impl Decode for Address {
    fn shape() -> Shape {
        Shape::Text { what: "an address such as \"10.0.0.11:8000\"", pattern: "^[a-z0-9.-]+:[0-9]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let refuse = || format!("`{text}` is not an address; write host and port, such as `10.0.0.11:8000`");
            let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
            let sane = DomainName::parse(host).is_some() && port.parse::<u16>().is_ok_and(|n| n > 0);
            sane.then(|| Self(text.to_owned())).ok_or_else(refuse)
        })
    }
}

/// A folder of a service's image: the service, and an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFolder {
    /// Whose image.
    pub service: ServiceName,
    /// Where it is there, without a slash at the end.
    pub path: String,
}

impl Decode for ImageFolder {
    fn shape() -> Shape {
        Shape::Text {
            what: "a service and a folder of its image such as \"app:/app/static\"",
            pattern: "^[a-z][a-z0-9-]*:/.+$",
        }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let refuse = |why: &str| format!("`{text}` is not a folder of an image: {why}");
            let (service, path) = text
                .split_once(':')
                .ok_or_else(|| refuse("write the service and the folder, such as `app:/app/static`"))?;
            let service = ServiceName::parse(service)
                .ok_or_else(|| refuse("before the colon is the name of a service, such as `app:/app/static`"))?;
            let path = path.trim_end_matches('/');
            if !path.starts_with('/') {
                return Err(refuse("the path begins with `/`; it is one of the image, not of the project"));
            }
            // Also what Nginx's configuration and an archive could not hold.
            if path.split('/').skip(1).any(|part| ["", ".", ".."].contains(&part))
                || path.chars().any(|c| c.is_control() || c == '$')
            {
                return Err(refuse("it has no empty parts, no `.` or `..`, no `$` and no control characters"));
            }
            Ok(Self { service, path: path.to_owned() })
        })
    }
}

impl Decode for Network {
    fn shape() -> Shape {
        Shape::Text { what: "an address or a range such as \"10.0.0.0/8\"", pattern: "^[0-9a-fA-F.:]+(/[0-9]+)?$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, str::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree;

    fn origin(text: &str) -> bool {
        let mut problems = Problems::default();
        let root = tree::parse(&format!("origin = \"{text}\""), &mut problems);
        root.get("origin").is_some_and(|entry| Origin::decode(&entry.node, &mut problems).is_some())
    }

    #[test]
    fn origins() {
        for good in ["*", "https://a.example", "http://localhost:3000", "https://10.0.0.1:8443"] {
            assert!(origin(good), "{good}");
        }
        for bad in [
            "",
            "null",
            "a.example",
            "https://",
            "https://a/",
            "https://*.a.example",
            "https://A.example",
            "ftp://a",
            "https://a:b",
            "https://a:080",
        ] {
            assert!(!origin(bad), "{bad}");
        }
    }
}
