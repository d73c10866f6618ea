//! The checks, in groups that run side by side. A group answers with all its findings; what has no front door to ask
//! says so instead of saying nothing.

pub(super) mod attested;
pub(super) mod body;
pub(super) mod certificate;
pub(super) mod compression;
pub(super) mod containers;
pub(super) mod cookies;
pub(super) mod cors;
pub(super) mod databases;
pub(super) mod dns;
pub(super) mod drift;
pub(super) mod exchange;
pub(super) mod exposure;
pub(super) mod headers;
pub(super) mod health;
pub(super) mod host;
pub(super) mod host_access;
pub(super) mod http2;
pub(super) mod images;
pub(super) mod logs;
pub(super) mod monitoring;
pub(super) mod own;
pub(super) mod performance;
pub(super) mod policy;
pub(super) mod ports;
pub(super) mod protocol;
pub(super) mod redirect;
pub(super) mod replicas;
pub(super) mod restarts;
pub(super) mod secrets;
pub(super) mod validity;
pub(super) mod waivers;
pub(super) mod websocket;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

use crate::base::date::Date;
use crate::model::finding::Finding;

use super::CATALOGUE;
use super::check::{Check, Family, Judged};
use super::context::Context;
use super::limit;
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
    let in_order = async {
        let mut running: FuturesOrdered<Group<'_>> =
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
    let ((), watched) = tokio::join!(in_order, watched);
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

/// All these checks do not apply, for one reason.
pub(super) fn none_apply(checks: &[&'static Check], subject: &str, line: Option<u32>, why: &str) -> Vec<Finding> {
    all_are(checks, subject, line, &Judged::Skip(why.to_owned()))
}

/// All these checks get one answer.
pub(super) fn all_are(checks: &[&'static Check], subject: &str, line: Option<u32>, judged: &Judged) -> Vec<Finding> {
    checks
        .iter()
        .map(|check| {
            let question = check.about(subject);
            let question = if let Some(line) = line { question.line(line) } else { question };
            question.judged(judged.clone())
        })
        .collect()
}

/// Why nothing can be asked at a front door that is not there.
pub(super) const NO_PROXY: &str = "the stack has no routes, so it has no front door";
