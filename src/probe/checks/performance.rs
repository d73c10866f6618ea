//! Whether the front door is as fast as it was.

use std::time::Duration;

use crate::base::date::Date;
use crate::model::baseline::{Baseline, Times};
use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::tls::certificate::now;
use super::health::public_path;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const PERF_1: Check = Check {
    id: "PERF-1",
    family: Family::Performance,
    title: "as fast as before",
    question: "How long do answers take, compared with the baseline that `verify --save-baseline` has stored? 40 \
               requests one after the other, for every path without a limit that answers 2xx.",
    pass: "p50 and p95 at most twice the stored ones and 25 ms; above four times and 50 ms it fails",
    source: "stackctl's own figures: a single client on a shared machine sees twice the time by chance",
    severity: Severity::Medium,
    remedy: "find what changed since; if the new times are right, store them: `stackctl verify --only PERF --save-baseline`",
};

/// Requests for a path: the second slowest is the 95th of a hundred.
const REQUESTS: usize = 40;
/// So many paths are asked.
const PATHS: usize = 6;
/// No path is asked longer than this.
const LONGEST: Duration = Duration::from_secs(10);

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&PERF_1], context.stack.project.as_str(), None, NO_PROXY);
    };
    let url = context.url(proxy, "/");
    let none = |why: &str| none_apply(&[&PERF_1], &url, Some(proxy.line), why);
    let stored = context.known.baseline;
    if context.options.quick {
        return none("left out by --quick: it takes many requests");
    }
    if stored.is_none() && context.known.measured.is_none() {
        return none("no baseline is stored: `stackctl verify --save-baseline` stores one");
    }
    if !context.wants(&PERF_1) {
        return Vec::new();
    }
    context.awake().await;
    let mut findings = Vec::new();
    for path in paths(context, proxy) {
        let question = PERF_1.about(context.url(proxy, &path)).line(proxy.line);
        let judged = match measure(context, proxy, &path).await {
            Ok(times) => {
                if let Some(measured) = context.known.measured {
                    let mut measured = measured.borrow_mut();
                    measured.taken = now();
                    measured.paths.insert(path.clone(), times);
                }
                judge(times, stored, &path)
            }
            Err(why) => why,
        };
        findings.push(question.judged(judged));
    }
    if findings.is_empty() { none("every path has a limit") } else { findings }
}

/// Paths that may be asked often: health, and routes without a limit.
fn paths(context: &Context<'_>, proxy: &Proxy) -> Vec<String> {
    let health = context.stack.services.values().filter_map(|s| public_path(proxy, s));
    let free = proxy.routes.iter().filter(|r| r.limit.is_none() && !r.websocket).map(|r| r.path.as_str());
    let mut all: Vec<String> = health.chain(free).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all.truncate(PATHS);
    all
}

async fn measure(context: &Context<'_>, proxy: &Proxy, path: &str) -> Result<Times, Judged> {
    let door = context.front(proxy).map_err(|error| Unsure(error.to_string()))?;
    let mut times = Vec::with_capacity(REQUESTS);
    let mut total = Duration::ZERO;
    for _ in 0..REQUESTS {
        let response = context.once(&door, path).await.map_err(|error| Unsure(error.to_string()))?;
        if !(200..300).contains(&response.status) {
            return Err(Skip(format!("it answers {}: there is nothing to be fast at", response.status)));
        }
        times.push(u64::try_from(response.elapsed.as_micros()).unwrap_or(u64::MAX));
        total += response.elapsed;
        if total > LONGEST {
            break;
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
    Ok(Times { p50: at(50), p95: at(95) })
}

fn judge(now: Times, stored: Option<&Baseline>, path: &str) -> Judged {
    let milliseconds = |micros: u64| format!("{}.{} ms", micros / 1000, micros % 1000 / 100);
    let seen = format!("p50 {}, p95 {}", milliseconds(now.p50), milliseconds(now.p95));
    let Some(baseline) = stored else { return Pass(format!("{seen}, stored")) };
    let Some(before) = baseline.paths.get(path) else { return Skip(format!("{seen}; no baseline of this path")) };
    let seen = format!(
        "{seen}; on {} p50 {}, p95 {}",
        Date::of_seconds(baseline.taken),
        milliseconds(before.p50),
        milliseconds(before.p95)
    );
    let above = |times: u64, room: u64| {
        let over = |now: u64, before: u64| now > (before * times).max(before + room);
        over(now.p50, before.p50) || over(now.p95, before.p95)
    };
    match (above(4, 50_000), above(2, 25_000)) {
        (true, _) => Fail(seen),
        (false, true) => Warn(seen),
        (false, false) => Pass(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_is_relative_and_has_room() {
        let times = |p50, p95| Times { p50, p95 };
        let stored = Baseline { taken: 0, paths: [("/".to_owned(), times(40_000, 60_000))].into() };
        let of = |p50, p95| judge(times(p50, p95), Some(&stored), "/");
        assert!(matches!(of(40_000, 60_000), Pass(_)));
        assert!(matches!(of(80_000, 120_000), Pass(_)));
        assert!(matches!(of(81_000, 60_000), Warn(_)));
        assert!(matches!(of(40_000, 241_000), Fail(_)));
        let fast = Baseline { taken: 0, paths: [("/".to_owned(), times(500, 900))].into() };
        assert!(matches!(judge(times(20_000, 25_000), Some(&fast), "/"), Pass(_)), "a few milliseconds are noise");
        assert!(matches!(judge(times(500, 51_000), Some(&fast), "/"), Fail(_)));
        assert!(matches!(judge(times(1, 1), Some(&stored), "/other"), Skip(_)));
        assert!(matches!(judge(times(1, 1), None, "/"), Pass(_)));
    }
}
