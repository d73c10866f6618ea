//! A site that no stack.toml declares, as a stack: one route, nothing promised.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use crate::base::name::{DomainName, ProjectName, SecretName};
use crate::base::units::{ByteSize, Span};
use crate::model::checklist::Checklist;
use crate::model::monitoring::Monitoring;
use crate::model::nginx::NginxFacts;
use crate::model::notify::Notify;
use crate::model::proxy::{Backend, Proxy, Route, Snippets, Tls, TlsProfile};
use crate::model::stack::{Pool, Stack};

use super::checks::HSTS_FLOOR;

/// Where a site is: `https://example.com:8443/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// HTTPS, or plain HTTP.
    pub https: bool,
    /// Name or address, as it was written.
    pub host: String,
    /// The port, if one was written.
    pub port: Option<u16>,
    /// The path, from its `/` on.
    pub path: String,
}

impl Place {
    /// Reads a URL; the error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (https, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some((scheme, _)) => return Err(format!("`{scheme}` is not asked here, only http and https")),
            None => return Err("it does not begin with https:// or http://".to_owned()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it holds a name or password".to_owned());
        }
        // A colon inside of brackets belongs to an IPv6 address.
        let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (host, port) = match colon {
            None => (authority, None),
            Some(at) => match authority[at + 1..].parse::<u16>() {
                Ok(port) if port > 0 => (&authority[..at], Some(port)),
                _ => return Err(format!("`{}` is no port", &authority[at + 1..])),
            },
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("it names no host".to_owned());
        }
        let path = path.split('#').next().unwrap_or_default();
        if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("there is a blank in its path".to_owned());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, host: host.to_ascii_lowercase(), port, path })
    }

    /// The port, the scheme's own if none was written.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// The stack that a site is judged as. The error says why it cannot be.
pub fn site(place: &Place) -> Result<Stack, String> {
    let domain = DomainName::parse(&place.host)
        .ok_or_else(|| format!("`{}` is no name that a certificate can be made out to", place.host))?;
    let internal = |name: &str| SecretName::parse(name).ok_or_else(|| format!("`{name}` is no name"));
    let tls = if place.https { Tls::Files { cert: internal("cert")?, key: internal("key")? } } else { Tls::Off };
    let project: String = place.host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let project = ProjectName::parse(project.trim_matches('-')).ok_or_else(|| format!("`{project}` is no name"))?;
    let route = Route { max_body: ByteSize(0), ..Route::new(&place.path, 0, Backend::Servers(Vec::new())) };
    let proxy = Proxy {
        line: 0,
        image: String::new(),
        nginx: NginxFacts::OLDEST,
        domains: vec![domain],
        domains_line: 0,
        address: Ipv4Addr::UNSPECIFIED,
        http_port: if place.https { 80 } else { place.port() },
        https_port: place.port(),
        tls,
        tls_line: 0,
        tls_profile: TlsProfile::Intermediate,
        hsts: place.https.then(|| Span::seconds(HSTS_FLOOR)),
        headers: BTreeMap::new(),
        headers_line: 0,
        closed: Vec::new(),
        trusted_proxies: Vec::new(),
        real_ip_header: "X-Forwarded-For".to_owned(),
        snippets: Snippets::default(),
        pages: BTreeMap::new(),
        max_body: ByteSize(0),
        routes: vec![route],
        memory: ByteSize(0),
        cpus: None,
    };
    Ok(Stack { proxy: Some(proxy), ..bare(project) })
}

/// A stack without anything in it.
pub(super) fn bare(project: ProjectName) -> Stack {
    Stack {
        project,
        stage: None,
        host: None,
        services: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        secrets: BTreeMap::new(),
        proxy: None,
        hold_images: 0,
        pool: Pool::default(),
        checklist: Checklist::default(),
        monitoring: Monitoring::default(),
        notify: Notify::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused_in_words() {
        let place = |https, host: &str, port, path: &str| Place { https, host: host.into(), port, path: path.into() };
        for (url, wanted) in [
            ("https://example.com", place(true, "example.com", None, "/")),
            ("http://Example.com:8080/a?b#c", place(false, "example.com", Some(8080), "/a?b")),
            ("https://[::1]:8443", place(true, "[::1]", Some(8443), "/")),
            ("https://[::1]", place(true, "[::1]", None, "/")),
            ("https://example.com?q", place(true, "example.com", None, "/?q")),
        ] {
            assert_eq!(Place::parse(url), Ok(wanted), "{url}");
        }
        for (url, why) in [
            ("example.com", "does not begin"),
            ("ftp://example.com", "`ftp`"),
            ("https://", "no host"),
            ("https://a:b@example.com", "password"),
            ("https://example.com:99999", "no port"),
            ("https://example.com:0", "no port"),
            ("https://example.com/a b", "blank"),
        ] {
            assert!(Place::parse(url).is_err_and(|text| text.contains(why)), "{url}");
        }
    }

    #[test]
    fn nothing_is_promised_of_a_site() {
        let stack = Place::parse("https://shop.example.com/health").and_then(|place| site(&place));
        let proxy = stack.as_ref().ok().and_then(|stack| stack.proxy.as_ref());
        assert!(proxy.is_some_and(|p| p.https() && p.headers.is_empty() && p.routes.iter().all(|r| r.limit.is_none())));
        assert_eq!(stack.as_ref().map(|stack| stack.project.as_str()), Ok("shop-example-com"));
        assert!(Place::parse("https://a_b").and_then(|place| site(&place)).is_err());
    }
}
