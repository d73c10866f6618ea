//! A quota, measured by using it up.
//!
//! What is used up stays so until the window is over, for whoever has the address `verify` asks from: large quotas of
//! long windows are left alone, and say so.

use std::time::{Duration, Instant};

use crate::base::units::{Quota, Span};
use crate::model::finding::Finding;
use crate::model::limit::Limit;
use crate::model::proxy::Proxy;

use super::super::Check;
use super::super::checks::headers;
use super::super::context::Context;
use super::super::net::client::{Door, Request};
use super::super::{REQUESTS_PER_LIMIT, TIME_PER_LIMIT};
use super::checks::{ALL, RL_1, RL_2, RL_3, RL_4, RL_5, RL_6, RL_7};
use super::judge::Judgement::{self, Fail, Pass, Skip, Unsure};
use super::judge::{NO_REJECT, seconds, status};
use super::measure::{FORGED, forge};
use super::seen::{TOO_MANY, Volley};
use super::volley::{fire, load};

/// Requests above the quota.
const SPARE: usize = 2;
/// The largest quota that is used up where that locks somebody out for longer than a minute.
const SMALL: u32 = 20;

/// What is to be measured.
pub(super) struct Subject<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) limit: &'a Limit,
    pub(super) quota: Quota,
    /// Path to ask.
    pub(super) path: &'a str,
    /// What it is called in reports.
    pub(super) url: &'a str,
    /// A path the quota does not hold for.
    pub(super) unlimited: Option<String>,
}

/// Asks all questions about it.
pub(super) async fn measure(context: &Context<'_>, door: &Door, subject: &Subject<'_>) -> Vec<Finding> {
    let (quota, started) = (subject.quota, Instant::now());
    let count = quota.requests as usize + SPARE;
    let judgements = if count > REQUESTS_PER_LIMIT || (quota.requests > SMALL && quota.window > Span::seconds(60)) {
        let why = format!("verify does not use up {quota}: this address would be locked out");
        ALL.iter().map(|check| (*check, Skip(why.clone()))).collect()
    } else {
        ask(context, door, subject, count).await
    };
    let mut out: Vec<Finding> = judgements
        .into_iter()
        .map(|(check, judgement)| {
            let question = check.about(subject.url).line(subject.limit.line).since(started);
            let question = question.expect(expected(check, quota));
            match judgement {
                Pass(seen) => question.pass(seen),
                Fail(seen) => question.fail(seen),
                Unsure(why) => question.unsure(why),
                Skip(why) => question.not_applicable(why),
            }
        })
        .collect();
    // The rejection itself: it must carry every header, too.
    if out.first().is_some_and(|f| f.verdict == crate::model::finding::Verdict::Pass) {
        let response = context.once(door, subject.path).await;
        let url = super::refused(subject.url);
        out.push(headers::hsts(context, subject.proxy, &url, &response));
        out.push(headers::everywhere(subject.proxy, &url, &response));
    }
    out
}

fn expected(check: &Check, quota: Quota) -> String {
    match check.id {
        "RL-1" => format!("{} admitted", quota.requests),
        "RL-5" => format!("an integer from 1 to {}", quota.window.ceil_seconds()),
        _ => check.pass.to_owned(),
    }
}

async fn ask(
    context: &Context<'_>,
    door: &Door,
    subject: &Subject<'_>,
    count: usize,
) -> Vec<(&'static Check, Judgement)> {
    let unsure = |why: String| -> Vec<(&'static Check, Judgement)> {
        ALL.iter().map(|check| (*check, Unsure(why.clone()))).collect()
    };
    let before = context.sent(subject.limit);
    // Who names another key is another client, as declared.
    let own = subject.limit.key.as_deref().unwrap_or_default();
    let names: Vec<&'static str> = FORGED.iter().copied().filter(|name| !name.eq_ignore_ascii_case(own)).collect();
    let forged: Vec<[(&str, String); 1]> = names.iter().map(|name| [(*name, forge(name))]).collect();
    let forged: Vec<[(&str, &str); 1]> = forged.iter().map(|[(n, v)]| [(*n, v.as_str())]).collect();
    let mut tail: Vec<Request<'_>> =
        forged.iter().map(|headers| Request { headers, ..Request::path(subject.path) }).collect();
    tail.push(Request::path(subject.path));
    tail.extend(subject.unlimited.as_deref().map(Request::path));
    let volley = vec![Request::path(subject.path); count];
    let (volley, tail) = match tokio::try_join!(load(door, &volley), load(door, &tail)) {
        Ok(shells) => shells,
        Err(error) => return unsure(error.to_string()),
    };
    context.count(subject.path, count + tail.len());
    let now = |shells: Vec<_>| shells.into_iter().map(|shell| (shell, Duration::ZERO)).collect();
    let (_, shots) = fire(now(volley), Duration::from_secs(30)).await;
    let (_, tail) = fire(now(tail), Duration::from_secs(30)).await;
    let seen = Volley::of(&shots, TOO_MANY, 0);
    let statuses: Vec<Option<u16>> = tail.iter().map(super::volley::Shot::status).collect();
    let control = statuses.get(names.len()).copied().flatten() == Some(TOO_MANY);
    let rejection = shots.iter().filter_map(|s| s.answer.as_ref().ok()).find(|r| r.status == TOO_MANY);
    let wait = rejection.and_then(|r| r.header("retry-after")).map(str::to_owned);
    let no_reject = || Unsure(NO_REJECT.into());
    let scope = match (&subject.unlimited, statuses.get(names.len() + 1).copied().flatten()) {
        (None, _) => Skip("there is no path without a limit to compare with".into()),
        (Some(path), Some(TOO_MANY)) => Fail(format!("{path} is rejected too ({TOO_MANY})")),
        (Some(path), Some(status)) => Pass(format!("{path} answers {status}")),
        (Some(path), None) => Unsure(format!("{path} does not answer")),
    };
    let came_back = come_back(context, door, subject, wait.as_deref()).await;
    vec![
        (&RL_1, amount(&seen, subject.quota.requests as usize, before)),
        (&RL_2, Skip("a quota delays nothing".into())),
        (&RL_3, Skip("a quota has no rate".into())),
        (&RL_4, status(vec![TOO_MANY; seen.rejected()])),
        (&RL_5, if rejection.is_some() { retry_after(wait.as_deref(), subject.quota, came_back) } else { no_reject() }),
        (&RL_6, if control { key(&names, statuses.get(..names.len()).unwrap_or_default()) } else { no_reject() }),
        (&RL_7, if control { scope } else { no_reject() }),
    ]
}

/// How many of a volley a quota admits: all of it, less what was asked before in the same window.
fn amount(seen: &Volley, quota: usize, before: usize) -> Judgement {
    let admitted = seen.admitted.len();
    let text = format!("{admitted} of {} admitted", seen.sent);
    match seen.odd.first() {
        Some(odd) => Unsure(format!("{text}, {} others answered {odd}", seen.odd.len())),
        None if seen.rejected.is_empty() => Fail(format!("never tripped: {text}")),
        None if admitted > quota => Fail(format!("{text}: more than declared")),
        None if admitted == quota => Pass(text),
        None if admitted + before >= quota => Pass(format!("{text}, after {before} requests of this run")),
        None => Unsure(format!("{text}: part of the quota was used up before")),
    }
}

fn retry_after(value: Option<&str>, quota: Quota, came_back: Option<Result<bool, String>>) -> Judgement {
    let Some(value) = value else { return Fail("no Retry-After".into()) };
    match seconds(value) {
        Some(wait) if (1..=quota.window.ceil_seconds()).contains(&wait) => match came_back {
            Some(Ok(true)) => Pass(format!("{wait} s, then admitted")),
            Some(Ok(false)) => Fail(format!("{wait} s, and still rejected after it")),
            Some(Err(why)) => Unsure(format!("{wait} s, then: {why}")),
            None => Pass(format!("{wait} s, not waited for")),
        },
        _ => Fail(format!("`{value}`")),
    }
}

fn key(names: &[&'static str], forged: &[Option<u16>]) -> Judgement {
    let freed: Vec<&str> =
        names.iter().zip(forged).filter(|(_, s)| **s != Some(TOO_MANY)).map(|(name, _)| *name).collect();
    if freed.is_empty() {
        Pass("rejected with each forged header".into())
    } else {
        Fail(format!("freed by {}", freed.join(", ")))
    }
}

/// Waits as long as Retry-After says, if that is not long, and asks once more.
async fn come_back(
    context: &Context<'_>,
    door: &Door,
    subject: &Subject<'_>,
    wait: Option<&str>,
) -> Option<Result<bool, String>> {
    let wait = Duration::from_secs(wait.and_then(seconds)?);
    if wait > TIME_PER_LIMIT {
        return None;
    }
    let what = format!("the quota of {}", subject.url);
    context.waits.sleep(&what, wait + Duration::from_millis(100)).await;
    let answer = context.once(door, subject.path).await;
    Some(answer.map(|response| response.status != TOO_MANY).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volley(admitted: usize, rejected: usize) -> Volley {
        Volley {
            sent: admitted + rejected,
            admitted: vec![0.01; admitted],
            rejected: vec![0.01; rejected],
            ..Volley::default()
        }
    }

    #[test]
    fn amounts() {
        assert!(matches!(amount(&volley(5, 2), 5, 3), Pass(_)));
        assert!(matches!(amount(&volley(3, 4), 5, 2), Pass(_)));
        assert!(matches!(amount(&volley(1, 6), 5, 2), Unsure(_)));
        assert!(matches!(amount(&volley(6, 1), 5, 0), Fail(_)));
        assert!(matches!(amount(&volley(7, 0), 5, 0), Fail(_)));
    }

    #[test]
    fn waits() {
        let quota = Quota { requests: 5, window: Span::seconds(3600) };
        assert!(matches!(retry_after(Some("3600"), quota, None), Pass(_)));
        for wrong in [None, Some("0"), Some("3601"), Some("soon")] {
            assert!(matches!(retry_after(wrong, quota, None), Fail(_)), "{wrong:?}");
        }
        assert!(matches!(retry_after(Some("3"), quota, Some(Ok(false))), Fail(_)));
    }

    #[test]
    fn keys() {
        let names = ["X-Forwarded-For", "Forwarded"];
        assert!(matches!(key(&names, &[Some(429); 2]), Pass(_)));
        assert!(matches!(key(&names, &[Some(429), Some(200)]), Fail(_)));
        assert!(matches!(key(&names, &[Some(429), None]), Fail(_)));
    }
}
