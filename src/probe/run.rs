//! The checklist, run: groups side by side, limits last.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::base::date::Date;
use crate::model::finding::{Finding, Verdict};

use super::CATALOGUE;
use super::check::Family;
use super::checks::{
    alertmanager, attested, body, certificate, compression, containers, cookies, cors, databases, dns, drift, exchange,
    exposure, headers, health, host, host_access, http2, images, logs, monitoring, own, performance, ports, protocol,
    redirect, replicas, restarts, rules, secrets, tracking, validity, waivers, websocket,
};
use super::context::Context;
use super::limit;
use super::net::error::ProbeError;
use super::tls::certificate::now;

type Group<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + 'a>>;

/// The families, in the order of the report. A new one is its file, and one line here.
fn groups<'a>(context: &'a Context<'_>) -> Vec<(Family, Group<'a>)> {
    vec![
        (Family::Health, Box::pin(health::run(context))),
        (Family::Tls, Box::pin(protocol::run(context))),
        (Family::Tls, Box::pin(certificate::run(context))),
        (Family::Tls, Box::pin(exchange::run(context))),
        (Family::Tls, Box::pin(validity::run(context))),
        (Family::Headers, Box::pin(redirect::run(context))),
        (Family::Headers, Box::pin(headers::run(context))),
        (Family::Headers, Box::pin(cookies::run(context))),
        (Family::Exposure, Box::pin(ports::run(context))),
        (Family::Exposure, Box::pin(host_access::run(context))),
        (Family::Exposure, Box::pin(exposure::run(context))),
        (Family::Websocket, Box::pin(websocket::run(context))),
        (Family::Traffic, Box::pin(cors::run(context))),
        (Family::Traffic, Box::pin(body::run(context))),
        (Family::Traffic, Box::pin(compression::run(context))),
        (Family::Traffic, Box::pin(http2::run(context))),
        (Family::Traffic, Box::pin(replicas::run(context))),
        (Family::Containers, Box::pin(containers::run(context))),
        (Family::Images, Box::pin(images::run(context))),
        (Family::Secrets, Box::pin(secrets::run(context))),
        (Family::Databases, Box::pin(databases::run(context))),
        (Family::Logs, Box::pin(logs::run(context))),
        (Family::Monitoring, Box::pin(monitoring::run(context))),
        (Family::Monitoring, Box::pin(alertmanager::run(context))),
        (Family::Monitoring, Box::pin(rules::run(context))),
        (Family::Monitoring, Box::pin(async { tracking::run(context) })),
        (Family::Host, Box::pin(host::run(context))),
        (Family::Dns, Box::pin(dns::run(context))),
        (Family::Drift, Box::pin(async { drift::run(context) })),
        (Family::Performance, Box::pin(performance::run(context))),
        (Family::Own, Box::pin(own::run(context))),
        (Family::Attested, Box::pin(async { attested::run(context) })),
        (Family::Attested, Box::pin(async { waivers::run(context) })),
    ]
}

/// Runs everything that was asked for.
pub(super) async fn run(context: &Context<'_>, sink: &mut dyn FnMut(Finding)) {
    let today = Date::of_seconds(now());
    let mut emit = |findings: Vec<Finding>| {
        for mut finding in sorted(findings) {
            if finding.vantage.is_empty() {
                finding.vantage = context.target.vantage;
            }
            if context.options.site {
                finding.line = None;
            }
            // It would have to wait, and has no answer for that reason alone.
            if context.options.quick
                && finding.verdict == Verdict::Inconclusive
                && finding.observed.contains(&ProbeError::Limited.to_string())
            {
                finding.verdict = Verdict::NotApplicable;
                finding.observed = format!("left out by --quick, which does not wait: {}", finding.observed);
            }
            if CATALOGUE.iter().any(|check| check.id == finding.id && context.wants(check)) {
                sink(waivers::apply(finding, &context.stack.checklist.waivers, today));
            }
        }
    };
    let wanted = |family: Family| {
        (family.gate() || !context.options.gate)
            && CATALOGUE.iter().any(|check| check.family == family && context.wants(check))
    };
    if !wanted(Family::Health) {
        context.settle();
    }
    // As they come: what one waits for must not keep the others' answers until the deadline takes them.
    let all = async {
        let mut running: FuturesUnordered<Group<'_>> =
            groups(context).into_iter().filter(|(family, _)| wanted(*family)).map(|(_, group)| group).collect();
        while let Some(findings) = running.next().await {
            emit(findings);
        }
        drop(running);
        if wanted(Family::Limits) {
            limit::run(context, &mut emit).await;
        }
    };
    // Waiting is all it does, so it waits beside everything else.
    let watched = async { if wanted(Family::Health) { restarts::run(context).await } else { Vec::new() } };
    let ((), watched) = tokio::join!(all, watched);
    emit(watched);
}

/// What was asked for and has no answer when the time is over.
pub(super) fn unanswered(context: &Context<'_>, answered: &BTreeSet<&str>, limit: Duration) -> Vec<Finding> {
    let left = CATALOGUE.iter().filter(|check| {
        context.wants(check) && (check.family.gate() || !context.options.gate) && !answered.contains(check.id)
    });
    let why = format!("no answer within the deadline of {} s", limit.as_secs());
    left.map(|check| check.about(context.stack.project.as_str()).unsure(&why)).collect()
}

/// In the order of the catalogue; findings of one check stay in theirs.
fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| CATALOGUE.iter().position(|check| check.id == finding.id));
    findings
}
