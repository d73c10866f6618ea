//! The checks, a group a file. A group answers with all its findings; what has no front door to ask says so instead of
//! saying nothing.

pub(super) mod alertmanager;
pub(super) mod attested;
pub(super) mod body;
pub(super) mod certificate;
pub(super) mod compression;
pub(super) mod containers;
pub(super) mod containers_general;
pub(super) mod cookies;
pub(super) mod cors;
pub(super) mod database_tls;
pub(super) mod databases;
pub(super) mod dns;
pub(super) mod drift;
pub(super) mod exchange;
pub(super) mod exposure;
pub(super) mod files;
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
pub(super) mod prometheus;
mod promql;
pub(super) mod protocol;
pub(super) mod redirect;
pub(super) mod replicas;
pub(super) mod restarts;
pub(super) mod rules;
pub(super) mod secrets;
mod stores;
pub(super) mod tracking;
pub(super) mod validity;
pub(super) mod waivers;
pub(super) mod websocket;

pub(super) use policy::HSTS_FLOOR;

use crate::model::finding::Finding;
use crate::model::inspected::Inspected;

use super::check::{Check, Judged};
use super::context::Context;

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

/// One question about several containers: the worst answer, at the line of the first service that gave it.
pub(super) fn of_containers<'a>(
    context: &Context<'_>,
    check: &'static Check,
    seen: impl Iterator<Item = &'a Inspected>,
    judge: impl Fn(&Inspected) -> Judged,
) -> Finding {
    let answers: Vec<(&Inspected, Judged)> = seen.map(|container| (container, judge(container))).collect();
    // Of equals the last is taken: asked from the end, that is the first.
    let culprit = answers.iter().rev().max_by_key(|(_, judged)| judged.rank()).map(|(container, _)| *container);
    let judged = Judged::worst(answers.iter().map(|(container, judged)| (container.name.as_str(), judged.clone())));
    let question = check.about(context.stack.project.as_str()).from("engine");
    match (judged, culprit) {
        (Some(judged @ (Judged::Warn(_) | Judged::Unsure(_) | Judged::Fail(_))), Some(culprit)) => {
            question.line(context.line_of(&culprit.service)).judged(judged)
        }
        (Some(judged), _) => question.judged(judged),
        (None, _) => question.not_applicable("there is no container"),
    }
}

/// Why nothing can be asked at a front door that is not there.
pub(super) const NO_PROXY: &str = "the stack has no routes, so it has no front door";
