//! Does it answer?

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use futures_util::future::join_all;

use crate::model::finding::Finding;
use crate::model::observed::{Observed, ObservedContainer};
use crate::model::proxy::{Backend, Proxy};
use crate::model::service::{Ask, Health, Service};

use super::super::check::{Check, Family, Judged, Question, Severity};
use super::super::context::Context;
use super::super::net::client::Door;
use super::super::net::http::Response;
use super::super::ready::{body_holds, ready};
use super::{NO_PROXY, none_apply};

/// Time between two tries: goss's and hurl's default.
const INTERVAL: Duration = Duration::from_secs(1);
/// Slower than this is worth a warning (awesome-prometheus-alerts, blackbox `probe_duration_seconds > 1`).
const SLOW: Duration = Duration::from_secs(1);

pub(in crate::probe) const HLT_1: Check = Check {
    id: "HLT-1",
    family: Family::Health,
    title: "public health",
    question: "Does each routed service answer its health path through the front door? GET, retried every second until \
               the deadline; a service without a health path, and servers elsewhere, are asked for their route.",
    pass: "2xx, or 3xx that stays on the host (below 500 without a health path), within 1 s",
    source: "goss --retry-timeout, hurl --retry-interval, awesome-prometheus-alerts (blackbox)",
    severity: Severity::Critical,
    remedy: "look at `stackctl logs` of the service",
};

pub(in crate::probe) const HLT_3: Check = Check {
    id: "HLT-3",
    family: Family::Health,
    title: "containers running",
    question: "Does the engine run as many containers of each service, and of the front door, as declared, none of them \
               restarting or unhealthy?",
    pass: "running = replicas, none restarting, none unhealthy",
    source: "CIS Docker 1.6 (docker-bench-security 4.6, 5.27)",
    severity: Severity::Critical,
    remedy: "`stackctl status` shows the containers, `stackctl up` brings back what is missing",
};

pub(in crate::probe) const HLT_4: Check = Check {
    id: "HLT-4",
    family: Family::Health,
    title: "dependencies answer",
    question: "Does each database and store answer in its own protocol at its own address?",
    pass: "PostgreSQL accepts a start-up message, Redis answers PING; others as their health check says",
    source: "postgresql.org protocol-flow (57P03), redis.io PING",
    severity: Severity::Critical,
    remedy: "look at `stackctl logs` of the service",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let public = async {
        let findings = match &context.stack.proxy {
            // Trying until the deadline takes long; only who asked for it waits for it.
            _ if !context.wants(&HLT_1) => Vec::new(),
            Some(proxy) => through_the_door(context, proxy).await,
            None => none_apply(&[&HLT_1], context.stack.project.as_str(), None, NO_PROXY),
        };
        context.settle();
        findings
    };
    let presets = async { if context.wants(&HLT_4) { presets(context).await } else { Vec::new() } };
    let (mut findings, presets) = tokio::join!(public, presets);
    findings.extend(containers(context));
    findings.extend(presets);
    findings
}

/// The path a service's health is asked at through the front door, if it leads there.
pub(in crate::probe) fn public_path<'a>(proxy: &Proxy, service: &'a Service) -> Option<&'a str> {
    match &service.health {
        Some(Health { ask: Ask::Http(path), .. }) => {
            proxy.route_of(path).filter(|route| route.leads_to(&service.name)).map(|_| path.as_str())
        }
        _ => None,
    }
}

async fn through_the_door(context: &Context<'_>, proxy: &Proxy) -> Vec<Finding> {
    let services = context.stack.services.values().filter(|s| proxy.routes.iter().any(|r| r.leads_to(&s.name)));
    let asked = services.map(|service| async move {
        let route = proxy.routes.iter().filter(|r| r.leads_to(&service.name)).min_by_key(|r| r.path.len());
        let line = service.health.as_ref().map(|h| h.line).or(route.map(|r| r.line)).unwrap_or(service.line);
        let declared = public_path(proxy, service);
        let health = service.health.as_ref().filter(|_| declared.is_some());
        let path = declared.or(route.map(|r| r.path.as_str())).unwrap_or("/");
        let question = HLT_1.about(context.url(proxy, path)).line(line);
        match context.front(proxy) {
            Ok(door) => until_healthy(context, question, &door, path, health).await,
            Err(error) => question.unsure(error.to_string()),
        }
    });
    let elsewhere =
        proxy.routes.iter().filter(|route| matches!(route.backend, Backend::Servers(_)) && !route.websocket);
    let elsewhere = elsewhere.map(|route| async move {
        let question = HLT_1.about(context.url(proxy, &route.path)).line(route.line);
        match context.front(proxy) {
            Ok(door) => until_healthy(context, question, &door, &route.path, None).await,
            Err(error) => question.unsure(error.to_string()),
        }
    });
    let (mut findings, elsewhere) = tokio::join!(join_all(asked), join_all(elsewhere));
    findings.extend(elsewhere);
    findings
}

async fn until_healthy(
    context: &Context<'_>,
    question: Question,
    door: &Door,
    path: &str,
    declared: Option<&Health>,
) -> Finding {
    let question = if declared.is_some() {
        question
    } else {
        question.expect("any status below 500: no health path is declared here")
    };
    let mut slow = 0;
    loop {
        let answer = context.get(door, path).await;
        let problem = match &answer {
            Ok(response) => match judge(response, &door.host, declared) {
                // One slow answer may be a cold start; three in a row are the service.
                Ok(seen) if response.elapsed > SLOW && slow < 2 => {
                    slow += 1;
                    format!("{seen}, slow")
                }
                Ok(seen) if response.elapsed > SLOW => {
                    let seen =
                        format!("{seen} in {:.1} s, three times in a row over 1 s", response.elapsed.as_secs_f64());
                    return question.remedy("find out what the health path waits for").warn(seen);
                }
                Ok(seen) => return question.pass(format!("{seen} in {} ms", response.elapsed.as_millis())),
                Err(seen) => seen,
            },
            Err(error) => error.to_string(),
        };
        if context.started.elapsed() + INTERVAL > context.options.deadline {
            return match answer.as_ref().map(|r| judge(r, &door.host, declared)) {
                Ok(Ok(seen)) => question.warn(format!("{seen}, over 1 s")),
                _ => question.fail(format!("{problem} (tried for {} s)", context.started.elapsed().as_secs())),
            };
        }
        if !problem.ends_with("slow") {
            context.waits.sleep("the front door, until it is healthy (HLT-1)", INTERVAL).await;
        }
    }
}

/// `declared` is the health check that asks this path; without one, any answer of a living program will do.
fn judge(response: &Response, host: &str, declared: Option<&Health>) -> Result<String, String> {
    let seen = response.status.to_string();
    match response.status {
        200..=299 => match body_holds(declared.and_then(|health| health.body.as_deref()), &response.body) {
            Ok(()) => Ok(seen),
            Err(why) => Err(format!("{seen}, but {why}")),
        },
        300..=399 => {
            let location = response.header("location").unwrap_or("");
            let away = location
                .split_once("://")
                .is_some_and(|(_, rest)| rest.split(['/', '?', ':']).next() != host.split(':').next());
            if away && declared.is_some() { Err(format!("{seen} to another host: {location}")) } else { Ok(seen) }
        }
        100..=499 if declared.is_none() => Ok(seen),
        _ => Err(seen),
    }
}

/// From what the engine told.
fn containers(context: &Context<'_>) -> Vec<Finding> {
    let services = context.stack.services.values().map(|s| (s.name.as_str(), s.line, s.replicas));
    let door = context.stack.proxy.as_ref().map(|proxy| (FRONT_DOOR, proxy.line, 1));
    services
        .chain(door)
        .map(|(name, line, replicas)| {
            let question = HLT_3
                .about(name)
                .line(line)
                .from("engine")
                .expect(format!("{replicas} running, none restarting or unhealthy"));
            match context.observed {
                Some(observed) => question.judged(running(observed, name, replicas as usize)),
                None => question.not_applicable("not visible from here: it needs the engine"),
            }
        })
        .collect()
}

/// The name under which the front door runs.
const FRONT_DOOR: &str = "proxy";

fn running(observed: &Observed, name: &str, wanted: usize) -> Judged {
    let found: Vec<_> = containers_of(observed, name).collect();
    let count = |state: &str| found.iter().filter(|c| c.state == state).count();
    let running = count("running");
    let sick = found.iter().filter(|c| c.status.contains("(unhealthy)")).count();
    let mut seen = format!("{running} running");
    for (number, what) in [(count("restarting"), "restarting"), (sick, "unhealthy"), (count("dead"), "dead")] {
        if number > 0 {
            seen = format!("{seen}, {number} {what}");
        }
    }
    if sick > 0 || count("restarting") > 0 || count("dead") > 0 || running < wanted {
        Judged::Fail(seen)
    } else if running > wanted {
        Judged::Warn(seen)
    } else {
        Judged::Pass(seen)
    }
}

/// The replicas of a service; jobs and helpers have no number.
pub(super) fn containers_of<'a>(
    observed: &'a Observed,
    service: &'a str,
) -> impl Iterator<Item = &'a ObservedContainer> {
    observed.containers.iter().filter(move |c| c.service() == service && c.number() > 0)
}

async fn presets(context: &Context<'_>) -> Vec<Finding> {
    let services = context.stack.services.values().filter(|s| s.preset.is_some() && s.replicas > 0);
    let asked = services.map(|service| async move {
        let subject = service.name.as_str();
        let from_here = |question: Question| question.line(service.line).from("engine network");
        let nothing = |why: &str| vec![from_here(HLT_4.about(subject)).not_applicable(why)];
        let (Some(health), Some(port)) = (&service.health, service.port) else {
            return nothing("it has no health check that can be asked over the network");
        };
        let Some(observed) = context.observed.filter(|o| o.engine.local) else {
            return nothing("the containers' addresses cannot be reached from here");
        };
        if matches!(health.ask, Ask::Command(_)) {
            return nothing("its health check is a command, which only the engine can run");
        }
        let found = containers_of(observed, subject).filter(|c| c.running());
        let asked = found.map(|container| async move {
            let question = from_here(HLT_4.about(format!("{subject} ({})", container.name)));
            match address(container) {
                None => question.unsure("it has no address"),
                Some(address) => match ready(health, SocketAddrV4::new(address, port)).await {
                    Ok(()) => question.pass("it answers"),
                    Err(why) => question.fail(why.to_string()),
                },
            }
        });
        let findings = join_all(asked).await;
        if findings.is_empty() {
            vec![from_here(HLT_4.about(subject)).fail("no container of it runs")]
        } else {
            findings
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Where to ask a container: its static address, else the one it has now.
pub(super) fn address(container: &ObservedContainer) -> Option<Ipv4Addr> {
    container.addresses().values().next().copied().or_else(|| container.networks.values().flatten().next().copied())
}
