//! The front door.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::base::name::{DomainName, SecretName, ServiceName};
use crate::base::net::Network;
use crate::base::problem::{Problem, Problems};
use crate::base::units::{ByteSize, Span};
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::proxy::{ModuleKey, ProxyKeys};
use crate::model::nginx::NginxFacts;
use crate::model::proxy::{Connections, Proxy, Route, TlsProfile};
use crate::model::secrets::SecretSpec;
use crate::model::service::Service;

use super::{Input, cors, limit, pages, route, snippets, tls};

/// Sent with every response unless `headers` says otherwise. By OWASP's Secure Headers project, but for what breaks
/// ordinary sites (a Content-Security-Policy fits one application only; COEP must be opted into).
const SAFE_HEADERS: &[(&str, &str)] = &[
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
];

type Secrets = BTreeMap<SecretName, SecretSpec>;
type Services = BTreeMap<ServiceName, Service>;

pub(super) fn lower(
    file: &File,
    services: &Services,
    secrets: &mut Secrets,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Proxy> {
    let keys = file.proxy.as_ref().map(|p| &p.value);
    let max_body = keys.and_then(|k| k.max_body.as_ref()).map_or(ByteSize(10 << 20), |m| m.value);
    let inherited = route::Inherited {
        limit: keys.and_then(|k| k.limit.as_ref()).and_then(|l| limit::lower(l, "proxy", input)),
        connections: keys
            .and_then(|k| k.connections.as_ref())
            .map(|c| Connections { most: c.value.get(), declared: "proxy".to_owned() }),
        cors: keys.and_then(|k| k.cors.as_ref()).and_then(|c| cors::lower(c, input, problems)),
        max_body,
    };
    let routes = route::lower(file, services, &inherited, input, problems);
    if routes.is_empty() {
        // With errors elsewhere, the service that would have answered may only have been misunderstood.
        if let Some(proxy) = file.proxy.as_ref().filter(|_| !problems.has_errors()) {
            let first = services.values().find(|s| s.preset.is_none() && s.port.is_some());
            let first = first.map_or("app", |s| s.name.as_str());
            problems.push(
                Problem::error("there is a proxy, but no route leads anywhere")
                    .rule("route-to-nowhere")
                    .at(proxy.span.clone())
                    .fix(format!("[routes]\n\"/\" = \"{first}\"")),
            );
        }
        return None;
    }
    let span = file.proxy.as_ref().map(|p| &p.span).or(file.routes.as_ref().map(|r| &r.span)).cloned().unwrap_or(0..0);
    let line = input.line(&span);
    let at = |span: Option<&std::ops::Range<usize>>| span.map_or(line, |s| input.line(s));

    let domains_key = keys.and_then(|k| k.domains.as_ref());
    let domains = domains(domains_key, problems);
    let tls_key = keys.and_then(|k| k.tls.as_ref());
    let tls_line = at(tls_key.map(|t| &t.span));
    let ports = ports(keys, problems);
    let tls = tls::Lowering { domains: &domains, line: tls_line, http_port: ports.0, secrets, input, problems };
    let tls = tls.lower(tls_key);
    let image_key = keys.and_then(|k| k.image.as_ref());
    let image = image_key.map_or_else(|| "nginx:1.30".to_owned(), |i| i.value.0.clone());
    let nginx = facts(&image, keys);
    limit::needs_of_quotas(&routes, &nginx, &image, image_key.map_or(span, |i| i.span.clone()), problems);
    let headers_key = keys.and_then(|k| k.headers.as_ref());

    Some(Proxy {
        line,
        image,
        nginx,
        domains_line: at(domains_key.map(|d| &d.span)),
        domains,
        address: address(keys, problems),
        http_port: ports.0,
        https_port: ports.1,
        tls,
        tls_line,
        tls_profile: keys.and_then(|k| k.tls_profile.as_ref()).map_or(TlsProfile::Intermediate, |p| p.value.0),
        closed: closed(keys, problems),
        trusted_proxies: trusted_proxies(keys, problems),
        real_ip_header: keys
            .and_then(|k| k.real_ip_header.as_ref())
            .map_or_else(|| "X-Forwarded-For".to_owned(), |h| h.value.0.clone()),
        hsts: Some(keys.and_then(|k| k.hsts.as_ref()).map_or(Span::seconds(2 * 31_536_000), |h| h.value))
            .filter(|h| !h.0.is_zero()),
        headers: headers(keys, &routes, problems),
        headers_line: at(headers_key.map(|h| &h.span)),
        snippets: snippets::lower(keys, input, problems),
        pages: pages::lower(keys, input, problems),
        max_body,
        routes,
        memory: keys.and_then(|k| k.memory.as_ref()).map_or(ByteSize(256 << 20), |m| m.value),
        cpus: keys.and_then(|k| k.cpus.as_ref()).map(|c| c.value.0),
    })
}

/// What the image's tag tells, and what the file adds to it.
fn facts(image: &str, keys: Option<&ProxyKeys>) -> NginxFacts {
    let declared =
        |module| keys.and_then(|k| k.modules.as_ref()).is_some_and(|list| list.value.iter().any(|m| m.value == module));
    let known = NginxFacts::from_tag(image);
    NginxFacts {
        njs: known.njs || declared(ModuleKey::Njs),
        brotli: known.brotli || declared(ModuleKey::Brotli),
        ..known
    }
}

/// Closed paths, without a slash at the end.
fn closed(keys: Option<&ProxyKeys>, problems: &mut Problems) -> Vec<String> {
    let Some(list) = keys.and_then(|k| k.closed.as_ref()) else {
        return vec!["/metrics".to_owned(), "/debug".to_owned()];
    };
    let mut out = Vec::new();
    for path in &list.value {
        let bare = path.value.0.trim_end_matches('/');
        if bare.is_empty() {
            problems.push(Problem::error("this closes the whole site").at(path.span.clone()));
        } else if !out.iter().any(|known| known == bare) {
            out.push(bare.to_owned());
        }
    }
    out
}

fn trusted_proxies(keys: Option<&ProxyKeys>, problems: &mut Problems) -> Vec<Network> {
    let list = keys.and_then(|k| k.trusted_proxies.as_ref());
    if let (None, Some(header)) = (list, keys.and_then(|k| k.real_ip_header.as_ref())) {
        problems.push(
            Problem::error("nobody is believed: `real_ip_header` needs `trusted_proxies`")
                .at(header.span.clone())
                .fix("trusted_proxies = [\"10.0.0.0/8\"]"),
        );
    }
    let entries = list.into_iter().flat_map(|list| &list.value);
    for everything in entries.clone().filter(|n| n.value.is_everything()) {
        problems.push(
            Problem::error("this believes everybody: clients could name any address they like")
                .at(everything.span.clone())
                .help("write the ranges of the CDN or load balancer"),
        );
    }
    entries.map(|network| network.value).collect::<BTreeSet<_>>().into_iter().collect()
}

fn ports(keys: Option<&ProxyKeys>, problems: &mut Problems) -> (u16, u16) {
    let http = keys.and_then(|k| k.http_port.as_ref());
    let https = keys.and_then(|k| k.https_port.as_ref());
    let port = |key: Option<i64>, default| key.and_then(|p| u16::try_from(p).ok()).unwrap_or(default);
    let pair = (port(http.map(|p| p.value.0), 80), port(https.map(|p| p.value.0), 443));
    if pair.0 == pair.1 {
        let span = https.or(http).map_or(0..0, |p| p.span.clone());
        problems.push(Problem::error("HTTP and HTTPS cannot share a port").at(span));
    }
    pair
}

fn address(keys: Option<&ProxyKeys>, problems: &mut Problems) -> Ipv4Addr {
    let Some(key) = keys.and_then(|k| k.address.as_ref()) else { return Ipv4Addr::UNSPECIFIED };
    key.value.0.parse().unwrap_or_else(|_| {
        problems.push(
            Problem::error(format!("`{}` is not an IPv4 address", key.value.0))
                .at(key.span.clone())
                .fix("\"127.0.0.1\""),
        );
        Ipv4Addr::LOCALHOST
    })
}

fn domains(key: Option<&At<Vec<At<DomainName>>>>, problems: &mut Problems) -> Vec<DomainName> {
    let mut out: Vec<DomainName> = Vec::new();
    for domain in key.into_iter().flat_map(|d| &d.value) {
        if out.contains(&domain.value) {
            problems.push(Problem::error(format!("`{}` is listed twice", domain.value)).at(domain.span.clone()));
        } else {
            out.push(domain.value.clone());
        }
    }
    if out.is_empty() {
        out.extend(DomainName::parse("localhost"));
    }
    out
}

fn headers(keys: Option<&ProxyKeys>, routes: &[Route], problems: &mut Problems) -> BTreeMap<String, String> {
    let files = routes.iter().any(|route| route.folder().is_some());
    let mut out: BTreeMap<String, String> =
        SAFE_HEADERS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    for (name, value) in keys.and_then(|k| k.headers.as_ref()).iter().flat_map(|m| &m.value.0) {
        out.retain(|k, _| !k.eq_ignore_ascii_case(&name.value.0));
        if name.value.0.eq_ignore_ascii_case("strict-transport-security") {
            problems.push(
                Problem::error("this header comes from `hsts`")
                    .at(name.span.clone())
                    .help("leave it out here, and write `hsts = \"2y\"` in [proxy]"),
            );
        } else if files && name.value.0.eq_ignore_ascii_case("cache-control") {
            problems.push(
                Problem::error("this header comes from `cache` of routes to files, and from services")
                    .at(name.span.clone())
                    .help("leave it out here: one value for all would keep pages as long as files"),
            );
        } else if value.value.0.chars().any(char::is_control) || value.value.0.contains('$') {
            problems.push(
                Problem::error("a header's value cannot hold control characters or `$`")
                    .at(value.span.clone())
                    .help("Nginx has no way to write a literal `$`"),
            );
        } else if !value.value.0.is_empty() {
            out.insert(name.value.0.clone(), value.value.0.clone());
        }
    }
    out
}
