//! Stacks to declare and servers to probe.

pub(crate) mod certs;
pub(crate) mod nginx;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use stackctl::base::name::{DomainName, ProjectName, SecretName, ServiceName};
use stackctl::base::units::{ByteSize, Rate, RateUnit, Span};
use stackctl::model::finding::{Finding, Verdict};
use stackctl::model::limit::{Allows, Bucket, Enforcer, Limit};
use stackctl::model::nginx::NginxFacts;
use stackctl::model::proxy::{Backend, Proxy, Route, Tls, TlsProfile};
use stackctl::model::service::{Ask, Health, Image, Kind, Service};
use stackctl::model::stack::{Pool, Stack};
use stackctl::probe::{Known, Options, Target, verify};

/// The first domain of every stack here; it is never resolved.
pub(crate) const DOMAIN: &str = "sum.test";

pub(crate) fn service(name: &str) -> Service {
    Service {
        kind: Kind::Web,
        port: Some(8000),
        health: Some(health(Ask::Http("/health".into()))),
        drain: Span::seconds(5),
        ..Service::new(ServiceName::parse(name).unwrap(), 3, Image::Pull("x".into()))
    }
}

pub(crate) fn health(ask: Ask) -> Health {
    Health {
        ask,
        body: None,
        interval: Span::seconds(5),
        timeout: Span::seconds(2),
        retries: 3,
        start_period: Span::seconds(10),
        line: 5,
    }
}

/// Ten requests a second.
pub(crate) fn ten_a_second(burst: u32, delay: Option<u32>) -> Limit {
    let bucket = Bucket { rate: Rate { requests: 10, per: RateUnit::Second }, burst, delay };
    Limit { line: 21, declared: "/".to_owned(), allows: Allows::Bucket(bucket), key: None, by: Enforcer::Proxy }
}

pub(crate) fn route(path: &str, limit: Option<Limit>) -> Route {
    Route {
        limit,
        max_body: ByteSize(1 << 20),
        ..Route::new(path, 20, Backend::Service(ServiceName::parse("app").unwrap()))
    }
}

pub(crate) fn files() -> Tls {
    Tls::Files { cert: SecretName::parse("cert").unwrap(), key: SecretName::parse("key").unwrap() }
}

/// The headers that the servers of the tests send, as a stack declares them.
pub(crate) fn headers() -> BTreeMap<String, String> {
    [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Content-Security-Policy", "default-src 'self'; object-src 'none'"),
        ("Referrer-Policy", "no-referrer"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

pub(crate) fn stack(tls: Tls, routes: Vec<Route>) -> Stack {
    let proxy = Proxy {
        line: 10,
        image: "nginx".into(),
        nginx: NginxFacts::OLDEST,
        domains: vec![DomainName::parse(DOMAIN).unwrap()],
        domains_line: 11,
        address: Ipv4Addr::LOCALHOST,
        http_port: 80,
        https_port: 443,
        hsts: (tls != Tls::Off).then(|| Span::seconds(63_072_000)),
        tls,
        tls_line: 12,
        tls_profile: TlsProfile::Intermediate,
        closed: Vec::new(),
        trusted_proxies: Vec::new(),
        real_ip_header: "X-Forwarded-For".to_owned(),
        headers: headers(),
        headers_line: 13,
        snippets: stackctl::model::proxy::Snippets::default(),
        pages: BTreeMap::new(),
        max_body: ByteSize(1 << 20),
        routes,
        memory: ByteSize(1 << 28),
        cpus: None,
    };
    Stack {
        project: ProjectName::parse("sum").unwrap(),
        stage: None,
        host: None,
        elsewhere: BTreeMap::new(),
        services: [("app", service("app"))].map(|(n, s)| (ServiceName::parse(n).unwrap(), s)).into(),
        secrets: BTreeMap::new(),
        proxy: Some(proxy),
        hold_images: 0,
        pool: Pool::default(),
        checklist: stackctl::model::checklist::Checklist::default(),
        monitoring: stackctl::model::monitoring::Monitoring::default(),
        notify: stackctl::model::notify::Notify::default(),
    }
}

/// A front door on loopback.
pub(crate) fn target(http: u16, https: Option<u16>) -> Target {
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    Target {
        http: Some(at(http)),
        https: https.map(at),
        vantage: "host",
        http_port: http,
        https_port: https.unwrap_or(443),
    }
}

pub(crate) fn options(only: &[&str]) -> Options {
    Options {
        deadline: Duration::from_secs(15),
        only: only.iter().map(|s| (*s).to_owned()).collect(),
        ..Options::default()
    }
}

/// All findings of a run.
pub(crate) async fn ask(stack: &Stack, target: &Target, pem: Option<&str>, options: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = Known { certificate: pem, ..Known::default() };
    verify(stack, &known, target, options, &mut |finding| findings.push(finding)).await;
    findings
}

/// Identifiers of the findings with this verdict.
pub(crate) fn ids(findings: &[Finding], verdict: Verdict) -> BTreeSet<&'static str> {
    findings.iter().filter(|f| f.verdict == verdict).map(|f| f.id).collect()
}

/// Findings as lines, for a failing test's message and for the report.
pub(crate) fn lines(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|f| format!("  {:6} {:6} {} — {} [{} ms]\n", f.id, f.verdict.word(), f.subject, f.observed, f.millis))
        .collect()
}
