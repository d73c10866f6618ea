//! Ports that should not be open.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::model::container::label;
use crate::model::finding::Finding;
use crate::model::observed::Observed;

use super::super::check::{Check, Family, Severity};
use super::super::context::Context;

pub(in crate::probe) const NET_1: Check = Check {
    id: "NET-1",
    family: Family::Exposure,
    title: "published ports",
    question: "Which containers of the stack publish ports on the host?",
    pass: "only the front door, and only its two ports",
    source: "CIS Docker 1.6 (docker-bench-security 5.9, 5.14); docs.docker.com packet filtering",
    severity: Severity::Critical,
    remedy: "remove the container, or bind its port to 127.0.0.1; a firewall on the host does not close published ports",
};

pub(in crate::probe) const NET_2: Check = Check {
    id: "NET-2",
    family: Family::Exposure,
    title: "data ports closed",
    question: "Do ports of databases, queues, metrics and the engine accept connections at the host's address?",
    pass: "refused, or no answer in 3 s, twice; from the host itself it is no proof",
    source: "docs.docker.com packet filtering: published ports accept all sources, ufw does not see them",
    severity: Severity::Critical,
    remedy: "find what listens (`ss -ltnp` on the host) and bind it to 127.0.0.1 or to a private network",
};

/// `PostgreSQL`, Redis, Qdrant (HTTP, gRPC), `RabbitMQ` (AMQP, management), Prometheus, Alertmanager, Grafana, node,
/// postgres and redis exporters, the engine without and with TLS.
const DATA_PORTS: [u16; 14] = [5432, 6379, 6333, 6334, 5672, 15672, 9090, 9093, 3000, 9100, 9187, 9121, 2375, 2376];

/// Long enough for a handshake across the world, short enough for fourteen ports.
const PATIENCE: Duration = Duration::from_secs(3);

/// The name under which the front door runs.
const PROXY: &str = "proxy";

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = vec![published(context)];
    if context.wants(&NET_2) {
        findings.push(open(context).await);
    }
    findings
}

fn published(context: &Context<'_>) -> Finding {
    let question = NET_1.about(context.stack.project.as_str()).from("engine");
    let Some(observed) = context.observed else {
        return question.not_applicable("not visible from here: it needs the engine");
    };
    let door: Vec<u16> = context.stack.proxy.iter().flat_map(|p| [p.http_port, p.https_port]).collect();
    let mut worst = Vec::new();
    let mut local = Vec::new();
    for (container, address, port) in ports(observed) {
        if is_proxy(container) && door.contains(&port) {
            continue;
        }
        let loopback = address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
        let open = if loopback { &mut local } else { &mut worst };
        open.push((container.service(), format!("{} publishes {address}:{port}", container.name)));
    }
    let list = |open: &[(&str, String)]| open.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; ");
    match (worst.first(), local.first()) {
        (None, None) => question.pass("only the front door"),
        (None, Some((service, _))) => question.line(context.line_of(service)).warn(list(&local)),
        (Some((service, _)), _) => question.line(context.line_of(service)).fail(list(&worst)),
    }
}

fn ports(observed: &Observed) -> impl Iterator<Item = (&crate::model::observed::ObservedContainer, &str, u16)> {
    observed.containers.iter().flat_map(|container| {
        container.ports.iter().map(move |(address, port, _)| (container, address.as_str(), *port))
    })
}

fn is_proxy(container: &crate::model::observed::ObservedContainer) -> bool {
    container.service() == PROXY || container.label(label::ROLE) == PROXY
}

async fn open(context: &Context<'_>) -> Finding {
    let Some(host) = context.host().map(|address| address.ip()) else {
        let why = "the stack has no front door, so nothing tells at which address others reach the host";
        return NET_2.about("the host").not_applicable(why);
    };
    let question = NET_2.about(host.to_string());
    let door = [context.target.http_port, context.target.https_port];
    let asked = DATA_PORTS.iter().filter(|port| !door.contains(port)).map(|port| async move {
        let address = SocketAddr::new(host, *port);
        let tries = if context.options.quick { 1 } else { 2 };
        for _ in 0..tries {
            if let Ok(Ok(stream)) = timeout(PATIENCE, TcpStream::connect(address)).await {
                return Some((*port, greet(stream, *port).await));
            }
        }
        None
    });
    let open: Vec<(u16, String)> = join_all(asked).await.into_iter().flatten().collect();
    let ours = |port: u16| context.observed.is_some_and(|o| ports(o).any(|(_, _, p)| p == port));
    let list = |which: &dyn Fn(u16) -> bool| {
        let open = open.iter().filter(|(port, _)| which(*port));
        open.map(|(port, who)| if who.is_empty() { port.to_string() } else { format!("{port} ({who})") })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let everything = list(&|_| true);
    let published = list(&ours);
    if context.target.vantage == "outside" && !host.is_loopback() {
        return match (everything.is_empty(), context.observed.is_some() && published.is_empty()) {
            (true, _) => question.pass("all closed"),
            (false, true) => question.warn(format!("open, but not published by this stack: {everything}")),
            (false, false) => question.fail(format!("open: {everything}")),
        };
    }
    // Asked from the host itself, a closed port may still be open to others and the other way round.
    if !published.is_empty() {
        return question
            .warn(format!("published by this stack and open: {published} (asked from the host: not proof)"));
    }
    let seen =
        if everything.is_empty() { "all closed".into() } else { format!("open, not by this stack: {everything}") };
    question
        .remedy("run `stackctl verify --outside` from another machine")
        .not_applicable(format!("not proof, asked from the host itself; {seen}"))
}

/// What answers there, where a harmless word tells.
async fn greet(mut stream: TcpStream, port: u16) -> String {
    let (word, mark, name): (&[u8], &[u8], &str) = match port {
        // SSLRequest; the answer is one byte.
        5432 => (&[0, 0, 0, 8, 4, 210, 22, 47], b"", "PostgreSQL"),
        6379 => (b"PING\r\n", b"+-", "Redis"),
        _ => return String::new(),
    };
    let mut answer = [0; 1];
    let asked = timeout(Duration::from_secs(1), async {
        stream.write_all(word).await?;
        stream.read_exact(&mut answer).await
    });
    let marks: &[u8] = if mark.is_empty() { b"SN" } else { mark };
    if matches!(asked.await, Ok(Ok(_))) && marks.contains(&answer[0]) { name.into() } else { String::new() }
}
