//! The front door.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::base::hash;
use crate::base::name::{DomainName, SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::base::units::{ByteSize, Span};
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::proxy::{LimitKey, LimitKeys, ProxyKeys, RouteKey, TlsKey};
use crate::model::proxy::{Limit, Proxy, Route, Tls};
use crate::model::secrets::{Recipe, SecretSource, SecretSpec};
use crate::model::service::Service;

use super::Input;

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
    let limit = keys.and_then(|k| k.limit.as_ref()).and_then(|l| limit_of(l, input));
    let max_body = keys.and_then(|k| k.max_body.as_ref()).map_or(ByteSize(10 << 20), |m| m.value);
    let routes = routes(file, services, limit.as_ref(), max_body, input, problems);
    if routes.is_empty() {
        // With errors elsewhere, the service that would have answered may only have been misunderstood.
        if let Some(proxy) = file.proxy.as_ref().filter(|_| !problems.has_errors()) {
            problems.push(
                Problem::error("there is a proxy, but no route leads anywhere")
                    .at(proxy.span.clone())
                    .fix("[routes]\n\"/\" = \"app\""),
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
    let tls = tls(tls_key, &domains, tls_line, secrets, problems);
    let ports = ports(keys, problems);
    let headers_key = keys.and_then(|k| k.headers.as_ref());

    Some(Proxy {
        line,
        image: keys.and_then(|k| k.image.as_ref()).map_or_else(|| "nginx:1.30".to_owned(), |i| i.value.0.clone()),
        domains_line: at(domains_key.map(|d| &d.span)),
        domains,
        address: address(keys, problems),
        http_port: ports.0,
        https_port: ports.1,
        tls,
        tls_line,
        hsts: Some(keys.and_then(|k| k.hsts.as_ref()).map_or(Span::seconds(2 * 31_536_000), |h| h.value))
            .filter(|h| !h.0.is_zero()),
        headers: headers(keys, problems),
        headers_line: at(headers_key.map(|h| &h.span)),
        max_body,
        routes,
        memory: keys.and_then(|k| k.memory.as_ref()).map_or(ByteSize(256 << 20), |m| m.value),
        cpus: keys.and_then(|k| k.cpus.as_ref()).map(|c| c.value.0),
    })
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

fn tls(
    key: Option<&At<TlsKey>>,
    domains: &[DomainName],
    line: u32,
    secrets: &mut Secrets,
    problems: &mut Problems,
) -> Tls {
    let mut secret = |name: &str, source| {
        let name = SecretName::parse(name)?;
        secrets.insert(name.clone(), SecretSpec { line, source, optional: false });
        Some(name)
    };
    match key.map(|k| &k.value) {
        Some(TlsKey::Off) => Tls::Off,
        None | Some(TlsKey::SelfSigned) => {
            let names: Vec<String> = domains.iter().map(ToString::to_string).collect();
            // The names are part of the secret's own name: other domains are another certificate.
            let mut id = hash::sha256(names.join(",").as_bytes());
            id.truncate(8);
            let recipe = SecretSource::Generate(Recipe::SelfSigned(names));
            secret(&format!("proxy.tls.{id}"), recipe).map_or(Tls::Off, Tls::SelfSigned)
        }
        Some(TlsKey::Files(files)) => {
            let (Some(cert), Some(tls_key)) = (&files.cert, &files.key) else {
                problems.push(
                    Problem::error("own certificates need both `cert` and `key`")
                        .at(key.map_or(0..0, |k| k.span.clone()))
                        .fix("tls = { files = { cert = \"certs/site.pem\", key = \"certs/site.key\" } }"),
                );
                return Tls::Off;
            };
            let cert = secret("proxy.cert", SecretSource::File(cert.value.0.clone()));
            let tls_key = secret("proxy.key", SecretSource::File(tls_key.value.0.clone()));
            match (cert, tls_key) {
                (Some(cert), Some(key)) => Tls::Files { cert, key },
                _ => Tls::Off,
            }
        }
    }
}

fn headers(keys: Option<&ProxyKeys>, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> =
        SAFE_HEADERS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    for (name, value) in keys.and_then(|k| k.headers.as_ref()).iter().flat_map(|m| &m.value.0) {
        out.retain(|k, _| !k.eq_ignore_ascii_case(&name.value.0));
        if name.value.0.eq_ignore_ascii_case("strict-transport-security") {
            problems.push(Problem::error("this header comes from `hsts`").at(name.span.clone()).fix("hsts = \"2y\""));
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

fn limit_of(key: &At<LimitKey>, input: &Input<'_>) -> Option<Limit> {
    match &key.value {
        LimitKey::Off => None,
        LimitKey::Keys(keys) => limit(keys, input.line(&key.span)),
    }
}

fn limit(keys: &LimitKeys, line: u32) -> Option<Limit> {
    let rate = keys.rate.as_ref()?.value;
    let burst = keys.burst.as_ref().map_or(0, |b| b.value.get());
    Some(Limit { line, rate, burst, delay: keys.delay.as_ref().map(|d| d.value.get()) })
}

fn routes(
    file: &File,
    services: &Services,
    inherited: Option<&Limit>,
    max_body: ByteSize,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Vec<Route> {
    let route = |path: &str, line, service: &ServiceName| Route {
        path: path.to_owned(),
        line,
        service: service.clone(),
        limit: inherited.cloned(),
        websocket: false,
        timeout: Span::seconds(60),
        max_body,
        buffering: true,
    };
    let Some(declared) = &file.routes else {
        // The smallest file has no routes: its only service with a port answers everything.
        let mut candidates = services.values().filter(|s| s.preset.is_none() && s.port.is_some());
        return match (candidates.next(), candidates.next()) {
            (Some(only), None) => vec![route("/", only.line, &only.name)],
            _ => Vec::new(),
        };
    };
    let mut out = Vec::new();
    for (path, key) in &declared.value.0 {
        let line = input.line(&path.span);
        let (service, span) = match &key.value {
            RouteKey::Service(name) => (Some(name), key.span.clone()),
            RouteKey::Keys(keys) => match &keys.service {
                Some(service) => (Some(&service.value), service.span.clone()),
                None => (None, key.span.clone()),
            },
        };
        // A route without a service has been reported when it was decoded.
        let Some(service) = service else { continue };
        match services.get(service) {
            Some(found) if found.port.is_none() => problems.push(
                Problem::error(format!("`{service}` has no port to route to"))
                    .at(span)
                    .help(format!("give it one in [services.{service}]"))
                    .fix("port = 8000"),
            ),
            None if !file.services.iter().flat_map(|m| &m.value.0).any(|(n, _)| n.value == *service) => {
                let mut problem =
                    Problem::error(format!("the route leads to `{service}`, which is not a service")).at(span);
                let names = || services.keys().map(ServiceName::as_str);
                problem = match nearest(service.as_str(), names()) {
                    Some(near) => problem.fix(format!("\"{near}\"")),
                    None => problem.help(format!("services of this stack: {}", names().collect::<Vec<_>>().join(", "))),
                };
                problems.push(problem);
            }
            _ => {}
        }
        let mut lowered = route(&path.value.0, line, service);
        if let RouteKey::Keys(keys) = &key.value {
            if let Some(limit) = &keys.limit {
                lowered.limit = limit_of(limit, input);
            }
            lowered.websocket = keys.websocket.as_ref().is_some_and(|w| w.value);
            lowered.timeout = keys.timeout.as_ref().map_or(lowered.timeout, |t| t.value);
            lowered.max_body = keys.max_body.as_ref().map_or(lowered.max_body, |m| m.value);
            lowered.buffering = keys.buffering.as_ref().is_none_or(|b| b.value);
        }
        out.push(lowered);
    }
    out.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    out
}
