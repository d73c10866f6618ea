//! Whether requests reach every replica: asked at the front door, read in its log.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Route};
use crate::model::service::Service;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::text;
use super::health::public_path;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const HLT_6: Check = Check {
    id: "HLT-6",
    family: Family::Traffic,
    title: "every replica is reached",
    question: "Do requests at the front door reach every replica of a service? Six for each replica are sent, at most \
               60, and looked up in the front door's log.",
    pass: "the log names as many addresses as there are replicas",
    source: "stack.toml: `replicas`",
    severity: Severity::High,
    remedy: "`stackctl status` shows which replica is missing; the front door leaves one out that does not answer",
};

/// Requests for each replica: with any even choice, all are hit for certain.
const EACH: u32 = 6;
/// Most requests for a service.
const MOST: u32 = 60;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&HLT_6], context.stack.project.as_str(), None, NO_PROXY);
    };
    if !context.wants(&HLT_6) {
        return Vec::new();
    }
    context.awake().await;
    let mut findings = Vec::new();
    for service in context.stack.services.values().filter(|s| s.replicas > 1) {
        let routes = proxy.routes.iter().filter(|r| r.leads_to(&service.name) && !r.websocket);
        // A limit would answer instead of the service.
        let Some(route) = routes.min_by_key(|r| (r.limit.is_some(), r.path.len())) else { continue };
        let question = HLT_6.about(service.name.as_str()).line(service.line).from("front door's log");
        findings.push(question.judged(ask(context, proxy, service, route).await));
    }
    if findings.is_empty() {
        findings =
            none_apply(&[&HLT_6], proxy.canonical(), Some(proxy.line), "no routed service has more than one replica");
    }
    findings
}

async fn ask(context: &Context<'_>, proxy: &Proxy, service: &Service, route: &Route) -> Judged {
    let (seen, inside) = match (context.containers().await, context.inside()) {
        (Ok(seen), Ok(inside)) => (seen, inside),
        (Err(why), _) | (_, Err(why)) => return why.into(),
    };
    let Some(door) = seen.iter().find(|c| c.service == "proxy" && c.number > 0) else {
        return Unsure("the front door's container is not there".to_owned());
    };
    let front = match context.front(proxy) {
        Ok(front) => front,
        Err(error) => return Unsure(error.to_string()),
    };
    // Health is exempt from limits.
    let path = public_path(proxy, service).unwrap_or(&route.path);
    let mark = text::nonce();
    let path = format!("{path}?{mark}");
    let number = (service.replicas * EACH).min(MOST);
    for _ in 0..number {
        if let Err(error) = context.once(&front, &path).await {
            return Unsure(error.to_string());
        }
    }
    // The engine writes logs a moment later.
    for pause in [50, 200, 500] {
        sleep(Duration::from_millis(pause)).await;
        match inside.log(&door.name, 4 * number as usize + 50).await {
            Ok(lines) => {
                let judged = judge(&lines, &mark, number as usize, service.replicas as usize);
                if !matches!(judged, Unsure(_)) {
                    return judged;
                }
            }
            Err(why) => return Unsure(why),
        }
    }
    Unsure("the requests are not in the front door's log".to_owned())
}

fn judge(lines: &[String], mark: &str, sent: usize, replicas: usize) -> Judged {
    let mut logged = 0;
    let mut reached = BTreeSet::new();
    let mut repeated = 0;
    for line in lines.iter().filter(|line| line.contains(mark)) {
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let Some(upstream) = entry.get("upstream").and_then(serde_json::Value::as_str) else { continue };
        logged += 1;
        // `a, b`: a did not answer, b did.
        let tried: Vec<&str> = upstream.split([',', ':']).map(str::trim).filter(|t| t.contains('.')).collect();
        repeated += usize::from(tried.len() > 1);
        reached.extend(tried.last().map(|address| (*address).to_owned()));
    }
    let seen = format!("{} of {replicas} answered {logged} requests", reached.len());
    match reached.len() {
        _ if logged < sent => Unsure(format!("{logged} of {sent} requests are in the log")),
        0 => Skip("requests are answered by the front door itself".to_owned()),
        n if n < replicas => Fail(seen),
        _ if repeated > 0 => Warn(format!("{seen}, {repeated} of them only at the second try")),
        n if n > replicas => Warn(format!("{n} addresses answered, of {replicas} replicas")),
        _ => Pass(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(upstream: &str) -> String {
        format!("{{\"uri\":\"/?mark\",\"upstream\":\"{upstream}\"}}")
    }

    #[test]
    fn addresses_in_the_log_are_counted() {
        let even = [line("10.83.0.2:80"), line("10.83.0.3:80"), "other".into(), line("10.83.0.2:80")];
        assert!(matches!(judge(&even, "mark", 3, 2), Pass(_)));
        assert!(matches!(judge(&even, "mark", 3, 3), Fail(_)));
        assert!(matches!(judge(&even, "mark", 3, 1), Warn(_)));
        assert!(matches!(judge(&even, "mark", 4, 2), Unsure(_)));
        let dead = [line("10.83.0.9:80, 10.83.0.2:80"), line("10.83.0.3:80")];
        assert!(matches!(judge(&dead, "mark", 2, 2), Warn(_)));
        assert!(matches!(judge(&[line("")], "mark", 1, 2), Skip(_)));
    }
}
