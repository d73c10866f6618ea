//! The checks, in groups that run side by side. A group answers with all its findings; what has no front door to ask
//! says so instead of saying nothing.

pub(super) mod certificate;
pub(super) mod exposure;
pub(super) mod headers;
pub(super) mod health;
pub(super) mod policy;
pub(super) mod ports;
pub(super) mod protocol;
pub(super) mod redirect;
pub(super) mod websocket;

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

use crate::model::finding::Finding;

use super::CATALOGUE;
use super::check::{Check, Family};
use super::context::Context;
use super::limit;

type Group<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + 'a>>;

/// Runs everything that was asked for.
pub(super) async fn run(context: &Context<'_>, sink: &mut dyn FnMut(Finding)) {
    let mut emit = |findings: Vec<Finding>| {
        for mut finding in sorted(findings) {
            if finding.vantage.is_empty() {
                finding.vantage = context.target.vantage;
            }
            if CATALOGUE.iter().any(|check| check.id == finding.id && context.wants(check)) {
                sink(finding);
            }
        }
    };
    let wanted = |family| CATALOGUE.iter().any(|check| check.family == family && context.wants(check));
    let mut groups: FuturesOrdered<Group<'_>> = FuturesOrdered::new();
    if wanted(Family::Health) {
        groups.push_back(Box::pin(health::run(context)));
    } else {
        context.settle();
    }
    if wanted(Family::Tls) {
        groups.push_back(Box::pin(protocol::run(context)));
        groups.push_back(Box::pin(certificate::run(context)));
    }
    if wanted(Family::Headers) {
        groups.push_back(Box::pin(redirect::run(context)));
        groups.push_back(Box::pin(headers::run(context)));
    }
    if wanted(Family::Exposure) {
        groups.push_back(Box::pin(ports::run(context)));
        groups.push_back(Box::pin(exposure::run(context)));
    }
    if wanted(Family::Websocket) && !context.options.gate {
        groups.push_back(Box::pin(websocket::run(context)));
    }
    while let Some(findings) = groups.next().await {
        emit(findings);
    }
    drop(groups);
    if wanted(Family::Limits) && !context.options.gate {
        limit::run(context, &mut emit).await;
    }
}

/// In the order of the catalogue; findings of one check stay in theirs.
fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| CATALOGUE.iter().position(|check| check.id == finding.id));
    findings
}

/// All these checks do not apply, for one reason.
pub(super) fn none_apply(checks: &[&'static Check], subject: &str, line: Option<u32>, why: &str) -> Vec<Finding> {
    checks
        .iter()
        .map(|check| {
            let question = check.about(subject);
            let question = if let Some(line) = line { question.line(line) } else { question };
            question.not_applicable(why)
        })
        .collect()
}

/// Why nothing can be asked at a front door that is not there.
pub(super) const NO_PROXY: &str = "the stack has no routes, so it has no front door";
