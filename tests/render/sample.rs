//! Stacks to render.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use stackctl::base::name::{DomainName, ProjectName, SecretName, ServiceName};
use stackctl::base::units::{ByteSize, Span};
use stackctl::model::limit::{Allows, Bucket, Enforcer, Limit};
use stackctl::model::nginx::NginxFacts;
use stackctl::model::proxy::{Acme, Backend, Folder, Proxy, Route, Tls, TlsProfile};
use stackctl::model::service::{Ask, Health, Image, Kind, Service};
use stackctl::model::stack::{Pool, Stack};
use stackctl::render::{Banks, Upstream};

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).expect("a service name")
}

pub(crate) fn secret(text: &str) -> SecretName {
    SecretName::parse(text).expect("a secret name")
}

pub(crate) fn service(text: &str, port: Option<u16>) -> Service {
    Service {
        kind: Kind::Web,
        port,
        pids: 200,
        stop_grace_period: Span::seconds(10),
        ..Service::new(name(text), 3, Image::Pull(format!("registry.example/{text}:1")))
    }
}

pub(crate) fn health(ask: Ask) -> Health {
    Health {
        ask,
        body: None,
        interval: Span::seconds(5),
        timeout: Span::seconds(3),
        retries: 3,
        start_period: Span::seconds(60),
        line: 5,
    }
}

pub(crate) fn route(path: &str, service: &str) -> Route {
    Route::new(path, 20, Backend::Service(name(service)))
}

pub(crate) fn limit(line: u32, rate: &str, burst: u32, delay: Option<u32>) -> Limit {
    let bucket = Bucket { rate: rate.parse().expect("a rate"), burst, delay };
    Limit { line, declared: format!("line {line}"), allows: Allows::Bucket(bucket), key: None, by: Enforcer::Proxy }
}

pub(crate) fn quota(line: u32, quota: &str) -> Limit {
    Limit { allows: Allows::Quota(quota.parse().expect("a quota")), ..limit(line, "1/s", 0, None) }
}

pub(crate) fn proxy(domains: &[&str], routes: Vec<Route>) -> Proxy {
    Proxy {
        line: 10,
        image: "nginx:1.30".to_owned(),
        nginx: NginxFacts::from_tag("nginx:1.30"),
        domains: domains.iter().map(|d| DomainName::parse(d).expect("a domain")).collect(),
        domains_line: 11,
        address: Ipv4Addr::UNSPECIFIED,
        http_port: 80,
        https_port: 443,
        tls: Tls::SelfSigned(secret("tls")),
        tls_line: 12,
        tls_profile: TlsProfile::Intermediate,
        closed: Vec::new(),
        trusted_proxies: Vec::new(),
        real_ip_header: "X-Forwarded-For".to_owned(),
        hsts: Some(Span::seconds(63_072_000)),
        headers: [
            ("Content-Security-Policy", "default-src 'self'; object-src 'none'; frame-ancestors 'none'"),
            ("Referrer-Policy", "strict-origin-when-cross-origin"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into(),
        headers_line: 13,
        snippets: stackctl::model::proxy::Snippets::default(),
        pages: BTreeMap::new(),
        max_body: ByteSize(10 << 20),
        routes,
        memory: ByteSize(128 << 20),
        cpus: None,
    }
}

pub(crate) fn acme() -> Tls {
    Tls::Acme(Box::new(Acme {
        issued: secret("certificate"),
        trial: secret("tls"),
        directory: "https://authority.example/dir".to_owned(),
        staging: None,
        email: None,
        names: vec!["sum.example.com".to_owned()],
        dns: Vec::new(),
        dns_timeout: Span::seconds(300),
        external: None,
        trust: None,
    }))
}

pub(crate) fn stack(services: Vec<Service>, proxy: Option<Proxy>) -> Stack {
    Stack {
        project: ProjectName::parse("sum").expect("a project name"),
        stage: None,
        host: None,
        elsewhere: BTreeMap::new(),
        services: services.into_iter().map(|s| (s.name.clone(), s)).collect(),
        secrets: BTreeMap::new(),
        proxy,
        hold_images: 0,
        pool: Pool::default(),
        checklist: stackctl::model::checklist::Checklist::default(),
        monitoring: stackctl::model::monitoring::Monitoring::default(),
        notify: stackctl::model::notify::Notify::default(),
    }
}

/// Services with one bank.
pub(crate) fn upstreams(entries: &[(&str, &[&str])]) -> BTreeMap<ServiceName, Banks> {
    entries
        .iter()
        .map(|(service, targets)| (name(service), Banks { a: replicas(service, targets), b: Vec::new() }))
        .collect()
}

/// Services with two.
pub(crate) fn banks(entries: &[(&str, &[&str], &[&str])]) -> BTreeMap<ServiceName, Banks> {
    entries
        .iter()
        .map(|(service, a, b)| (name(service), Banks { a: replicas(service, a), b: replicas(service, b) }))
        .collect()
}

fn replicas(service: &str, targets: &[&str]) -> Vec<Upstream> {
    let comment = |number| format!("{service}-{number}");
    let replica = |(target, number): (&&str, u32)| Upstream { target: (*target).to_owned(), comment: comment(number) };
    targets.iter().zip(1..).map(replica).collect()
}

/// A web application with everything the front door knows.
pub(crate) fn full() -> Stack {
    let mut app = service("app", Some(8000));
    app.health = Some(health(Ask::Http("/health/ready".to_owned())));
    app.metrics = Some("/metrics".to_owned());
    app.replicas = 2;
    app.depends_on = [name("postgres")].into();
    let mut api = service("api", Some(9000));
    api.drain = Span::seconds(30);
    let inherited = limit(14, "100/m", 20, None);
    let mut root = route("/", "app");
    root.limit = Some(inherited.clone());
    let mut calls = route("/api/", "api");
    calls.limit = Some(limit(22, "10/s", 20, Some(8)));
    calls.max_body = ByteSize(64 << 20);
    let mut stream = route("/api/stream", "api");
    stream.websocket = true;
    stream.buffering = false;
    stream.timeout = Span::seconds(3600);
    let mut login = route("/login", "app");
    login.limit = Some(limit(24, "5/m", 0, None));
    let mut pages = route("/pages/", "app");
    pages.limit = Some(inherited);
    let later = route("/later/", "later");
    let folder =
        Folder { service: name("app"), path: "/app/static".to_owned(), cache: Some(Span::seconds(31_536_000)) };
    let files = Route::new("/static/", 26, Backend::Files(folder));
    let proxy =
        proxy(&["sum.example.com", "www.sum.example.com"], vec![stream, later, files, pages, login, calls, root]);
    stack(vec![app, api, service("later", Some(7000)), service("postgres", Some(5432))], Some(proxy))
}
