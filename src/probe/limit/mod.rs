//! Rate limits, measured as a client sees them.
//!
//! A leaky bucket has a burst, a rate, a mode and a key, and no server tells them: they are measured by a volley on
//! connections that are already open, then by offering twice the rate for a while, then, while the bucket is full, by
//! asking with forged addresses and at a path that is not limited. What disturbs a measurement makes it inconclusive,
//! never a pass; [`judge`] is pure, [`measure`] sends.

mod checks;
mod judge;
mod measure;
mod quota;
mod seen;
mod volley;

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::model::finding::Finding;
use crate::model::limit::{Allows, Bucket, Limit};
use crate::model::proxy::{Proxy, Route};

use super::checks::{NO_PROXY, headers, health, none_apply};
use super::context::Context;
use super::text;
use judge::Judgement;
use measure::Plan;
use seen::Measured;

pub(super) use checks::{RL_1, RL_2, RL_3, RL_4, RL_5, RL_6, RL_7};

/// Measures every declared limit: side by side, since each has a bucket of its own and most of measuring is waiting; only
/// volleys take turns.
pub(super) async fn run(context: &Context<'_>, emit: &mut dyn FnMut(Vec<Finding>)) {
    let Some(proxy) = &context.stack.proxy else {
        emit(none_apply(&checks::ALL, context.stack.project.as_str(), None, NO_PROXY));
        return;
    };
    let limits = one_route_each(proxy);
    if limits.is_empty() {
        emit(none_apply(&checks::ALL, proxy.canonical(), Some(proxy.line), "no limit is declared"));
    }
    if context.options.quick {
        let why = "left out by --quick: measuring a limit needs a volley";
        for (route, limit) in limits {
            emit(none_apply(&checks::ALL, &context.url(proxy, &route.path), Some(limit.line), why));
        }
        return;
    }
    let mut measured: FuturesUnordered<_> = limits
        .into_iter()
        .map(|(route, limit)| async move {
            let began = Instant::now();
            (one(context, proxy, route, limit).await, began.elapsed())
        })
        .collect();
    while let Some((findings, took)) = measured.next().await {
        context.took(&findings, took);
        emit(findings);
    }
}

/// A limit that several routes inherit is one declaration, and measured once: on its shortest route, and rather not on
/// one for `WebSocket`s.
fn one_route_each(proxy: &Proxy) -> Vec<(&Route, &Limit)> {
    let mut found: Vec<(&Route, &Limit)> = Vec::new();
    let mut routes: Vec<&Route> = proxy.routes.iter().collect();
    routes.sort_by_key(|route| (route.websocket, route.path.len()));
    for route in routes {
        if let Some(limit) = &route.limit
            && !found.iter().any(|(_, l)| l.line == limit.line)
        {
            found.push((route, limit));
        }
    }
    found.sort_by_key(|(_, limit)| limit.line);
    found
}

/// A path at the front door that this limit does not hold for: a route without one, or a health path.
fn unlimited(context: &Context<'_>, proxy: &Proxy) -> Option<String> {
    let route = proxy.routes.iter().find(|r| r.limit.is_none() && !r.websocket);
    let health = || context.stack.services.values().find_map(|s| health::public_path(proxy, s)).map(str::to_owned);
    route.map(|r| r.path.clone()).or_else(health)
}

async fn one(context: &Context<'_>, proxy: &Proxy, route: &Route, limit: &Limit) -> Vec<Finding> {
    let separator = if route.path.ends_with('/') { "" } else { "/" };
    let path = format!("{}{separator}{}", route.path, text::nonce());
    // Reports of two runs are compared: what was asked has one name, whatever the path's last part is this time.
    let url = context.url(proxy, &route.path);
    let started = Instant::now();
    let door = match context.front(proxy) {
        Ok(door) => door,
        Err(error) => {
            let unsure = |check: &&'static super::Check| check.about(&url).line(limit.line).unsure(error.to_string());
            return checks::ALL.iter().map(unsure).collect();
        }
    };
    let unlimited = unlimited(context, proxy);
    let bucket = match &limit.allows {
        Allows::Bucket(bucket) => bucket,
        Allows::Quota(quota) => {
            let (path, url) = (path.as_str(), url.as_str());
            let subject = quota::Subject { proxy, limit, quota: *quota, path, url, unlimited };
            return quota::measure(context, &door, &subject).await;
        }
    };
    let plan = Plan {
        door: &door,
        limit,
        route: &route.path,
        path: &path,
        rate: bucket.rate.per_second(),
        burst: bucket.burst as usize,
        delayed: bucket.delay.is_some(),
        unlimited,
    };
    // One second chance: neighbours, a busy machine or the run before may have disturbed the first.
    let mut measured = measure::measure(context, &plan, false).await;
    if measured.worth_repeating && judge::worth_repeating(&judgements(bucket, &measured)) {
        measured = measure::measure(context, &plan, true).await;
    }
    // Who names another key is another client, as declared.
    if let (Ok(forged), Some(key)) = (&mut measured.forged, &limit.key) {
        forged.admitted.retain(|(header, _)| !header.eq_ignore_ascii_case(key));
    }
    let mut findings: Vec<Finding> = judgements(bucket, &measured)
        .into_iter()
        .map(|(check, judgement)| {
            let question = check.about(&url).line(limit.line).since(started).expect(checks::expected(check, bucket));
            match judgement {
                Judgement::Pass(seen) => question.pass(seen),
                Judgement::Fail(seen) => question.fail(seen),
                Judgement::Unsure(why) => question.unsure(why),
                Judgement::Skip(why) => question.not_applicable(why),
            }
        })
        .collect();
    if let Some(rejected) = measured.rejected {
        let response = Ok(rejected);
        let url = refused(&url);
        findings.push(headers::hsts(context, proxy, &url, &response));
        findings.push(headers::everywhere(proxy, &url, &response));
    }
    findings
}

/// What a response to a refused request is called.
fn refused(url: &str) -> String {
    format!("{url} (refused)")
}

fn judgements(limit: &Bucket, measured: &Measured) -> Vec<(&'static super::Check, Judgement)> {
    let rate = limit.rate.per_second();
    let Some(volley) = &measured.volley else {
        let why = measured.trouble.clone().unwrap_or_default();
        return checks::ALL.iter().map(|check| (*check, Judgement::Unsure(why.clone()))).collect();
    };
    let burst = judge::burst(volley, limit.burst as usize, rate);
    if volley.rejected() == 0 {
        let rest = checks::ALL.iter().skip(1).map(|check| (*check, Judgement::Unsure(judge::NO_REJECT.into())));
        return std::iter::once((&RL_1, burst)).chain(rest).collect();
    }
    vec![
        (&RL_1, burst),
        (&RL_2, judge::mode(volley, limit.burst as usize, limit.delay.map(|d| d as usize), rate)),
        (&RL_3, measured.pace.map_or_else(|| judge::rate(&measured.rate, rate), |pace| judge::pace(pace, rate))),
        (&RL_4, judge::status(measured.all_rejects())),
        (&RL_5, judge::retry_after(measured, limit.rate.retry_after())),
        (&RL_6, judge::key(&measured.forged, rate)),
        (&RL_7, judge::scope(measured)),
    ]
}
