//! The questions about a limit.

use crate::model::limit::Bucket;

use super::super::check::{Check, Family, Severity};

const SOURCE: &str = "nginx ngx_http_limit_req_module.c; figures measured against nginx 1.22";

pub(in crate::probe) const RL_1: Check = Check {
    id: "RL-1",
    family: Family::Limits,
    title: "limit: burst",
    question: "How many of 1 + burst + max(3, burst/5) requests sent at once are admitted?",
    pass: "1 + burst, and what leaks while they are answered: at most ⌊rate × slowest rejection⌋ + 1 more",
    source: SOURCE,
    severity: Severity::High,
    remedy: "if none was rejected, the route has no limit in effect; if too few were admitted, other clients share the \
             address of this one",
};

pub(in crate::probe) const RL_2: Check = Check {
    id: "RL-2",
    family: Family::Limits,
    title: "limit: mode",
    question: "Are requests of the burst answered at once or spread out?",
    pass: "without delay: all within 0.5/rate + 0.2 s; with delay: the slowest after about (burst − delay)/rate",
    source: SOURCE,
    severity: Severity::Medium,
    remedy: "declare `delay`, or leave it out, as the limit should behave",
};

pub(in crate::probe) const RL_3: Check = Check {
    id: "RL-3",
    family: Family::Limits,
    title: "limit: rate",
    question: "How many requests a second are admitted while twice the rate is offered, for max(5 s, 5/rate)? Where that is \
               longer than 30 s: when is the next request after the burst admitted?",
    pass: "the declared rate ± (1.5/duration + 5 %); the next one after 1/rate ± 5 %",
    source: SOURCE,
    severity: Severity::High,
    remedy: "run `stackctl up`; several proxies each count for themselves, and an app may limit by a window of its own",
};

pub(in crate::probe) const RL_4: Check = Check {
    id: "RL-4",
    family: Family::Limits,
    title: "limit: status of rejections",
    question: "What status do rejected requests get?",
    pass: "429, all of them",
    source: "RFC 6585 §4",
    severity: Severity::Medium,
    remedy: "set `limit_req_status 429;`",
};

pub(in crate::probe) const RL_5: Check = Check {
    id: "RL-5",
    family: Family::Limits,
    title: "limit: Retry-After",
    question: "Does a rejection say when to come back, and is a request admitted then?",
    pass: "an integer from 1 to 2 × ⌈1/rate⌉ seconds; after that long, one request is admitted",
    source: "RFC 6585 §4, RFC 9110 §10.2.3",
    severity: Severity::Low,
    remedy: "send Retry-After with rejections: ⌈1/rate⌉ seconds",
};

pub(in crate::probe) const RL_6: Check = Check {
    id: "RL-6",
    family: Family::Limits,
    title: "limit: key",
    question: "While the bucket is full, is a request with a forged X-Forwarded-For, Forwarded or X-Real-IP, or with \
               another Authorization, rejected too?",
    pass: "yes, whatever the header says",
    source: "nginx limit_req_zone, real_ip",
    severity: Severity::High,
    remedy: "key the limit by `$binary_remote_addr`, and trust forwarded addresses of known proxies only",
};

pub(in crate::probe) const RL_7: Check = Check {
    id: "RL-7",
    family: Family::Limits,
    title: "limit: scope",
    question: "While the bucket is full, does a path without a limit still answer?",
    pass: "it is not rejected",
    source: "stack.toml: health paths and routes with `limit = \"off\"` are not limited",
    severity: Severity::Medium,
    remedy: "give the limit to its route only",
};

/// All of them, the burst first: nothing can be said about a limit that never trips.
pub(super) const ALL: [&Check; 7] = [&RL_1, &RL_2, &RL_3, &RL_4, &RL_5, &RL_6, &RL_7];

/// What passes for this limit.
pub(super) fn expected(check: &Check, limit: &Bucket) -> String {
    match (check.id, limit.delay) {
        ("RL-1", _) => format!("1 + {} admitted at once", limit.burst),
        ("RL-2", None) => "no delay".into(),
        ("RL-2", Some(delay)) => format!("delayed after {delay} of {}", limit.burst),
        ("RL-3", _) => limit.rate.to_string(),
        ("RL-5", _) => format!("an integer from 1 to {}", limit.rate.retry_after() * 2),
        _ => check.pass.to_owned(),
    }
}
