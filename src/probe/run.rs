//! The checklist, run: groups side by side, limits after those that ask the front door for pages.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::base::date::Date;
use crate::model::finding::{Finding, Verdict};

use super::CATALOGUE;
use super::check::Family;
use super::checks::{
    alertmanager, attested, body, certificate, compression, containers, containers_general, cookies, cors, databases,
    dns, drift, exchange, exposure, files, headers, health, host, host_access, http2, images, logs, monitoring, own,
    performance, ports, protocol, redirect, replicas, restarts, rules, secrets, tracking, validity, waivers, websocket,
};
use super::context::Context;
use super::limit;
use super::net::error::ProbeError;
use super::tls::certificate::now;

type Group<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + 'a>>;

/// Those whose requests are in the buckets of limits: measuring waits for them. A new family is its file, and one line
/// here or in [`beside`].
fn at_the_door<'a>(context: &'a Context<'_>) -> Vec<(Family, Group<'a>)> {
    vec![
        (Family::Health, Box::pin(health::run(context))),
        (Family::Headers, Box::pin(redirect::run(context))),
        (Family::Headers, Box::pin(headers::run(context))),
        (Family::Headers, Box::pin(cookies::run(context))),
        (Family::Exposure, Box::pin(exposure::run(context))),
        (Family::Websocket, Box::pin(websocket::run(context))),
        (Family::Traffic, Box::pin(cors::run(context))),
        (Family::Traffic, Box::pin(body::run(context))),
        (Family::Traffic, Box::pin(compression::run(context))),
        (Family::Traffic, Box::pin(files::run(context))),
        (Family::Traffic, Box::pin(http2::run(context))),
        (Family::Traffic, Box::pin(replicas::run(context))),
        (Family::Performance, Box::pin(performance::run(context))),
        (Family::Own, Box::pin(own::run(context))),
    ]
}

/// Those that send no request to the front door.
fn beside<'a>(context: &'a Context<'_>) -> Vec<(Family, Group<'a>)> {
    vec![
        (Family::Tls, Box::pin(protocol::run(context))),
        (Family::Tls, Box::pin(certificate::run(context))),
        (Family::Tls, Box::pin(exchange::run(context))),
        (Family::Tls, Box::pin(validity::run(context))),
        (Family::Exposure, Box::pin(ports::run(context))),
        (Family::Exposure, Box::pin(host_access::run(context))),
        (Family::Containers, of_containers(context)),
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
        (Family::Attested, Box::pin(async { attested::run(context) })),
        (Family::Attested, Box::pin(async { waivers::run(context) })),
        // Waiting is all it does, so it waits beside everything else.
        (Family::Health, Box::pin(restarts::run(context))),
    ]
}

/// Compared with what stack.toml wants of them, or by general rules where there is none.
fn of_containers<'a>(context: &'a Context<'_>) -> Group<'a> {
    if context.options.composed {
        return Box::pin(containers_general::run(context));
    }
    Box::pin(containers::run(context))
}

/// Runs everything that was asked for.
pub(super) async fn run(context: &Context<'_>, sink: &mut dyn FnMut(Finding)) {
    let today = Date::of_seconds(now());
    let emit = RefCell::new(|findings: Vec<Finding>| {
        for mut finding in sorted(findings) {
            if finding.vantage.is_empty() {
                finding.vantage = context.target.vantage;
            }
            // A site has no line; services of a compose file have.
            if context.options.site && (!context.options.composed || finding.line == Some(0)) {
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
    });
    let wanted = |family: Family| {
        (family.gate() || !context.options.gate)
            && CATALOGUE.iter().any(|check| check.family == family && context.wants(check))
    };
    if !wanted(Family::Health) {
        context.settle();
    }
    // As they come: what one waits for must not keep the others' answers until the deadline takes them.
    let answers = async |groups: Vec<(Family, Group<'_>)>| {
        let timed = groups.into_iter().filter(|(family, _)| wanted(*family)).map(|(_, group)| async {
            let began = Instant::now();
            (group.await, began.elapsed())
        });
        let mut running: FuturesUnordered<_> = timed.collect();
        while let Some((findings, took)) = running.next().await {
            context.took(&findings, took);
            (emit.borrow_mut())(findings);
        }
    };
    let asked = async {
        answers(at_the_door(context)).await;
        if wanted(Family::Limits) {
            limit::run(context, &mut |findings| (emit.borrow_mut())(findings)).await;
        }
    };
    tokio::join!(asked, answers(beside(context)));
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
