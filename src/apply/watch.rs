//! Watching new containers after traffic has moved to them: what the front door's log says of them, beside what it
//! said of those before.

use std::net::SocketAddrV4;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::engine::logs::Wanted;

/// How far back the log is read for what was before.
const LINES_BEFORE: usize = 5000;

/// Fewer errors than this may be anybody's bad luck.
const FEWEST_ERRORS: usize = 3;

/// A smaller share of errors is not a reason to go back.
const SHARE: f64 = 0.01;

/// Fewer answers than this say nothing about how long they take.
const FEWEST_TIMES: usize = 50;

/// A smaller difference of the 95th percentiles is noise, seconds.
const SLOWER: f64 = 0.05;

/// Times are compared this often.
const COMPARED: Duration = Duration::from_millis(250);

/// How the checks of stackctl introduce themselves: they are not visitors.
const OURS: &str = "stackctl-verify/";

/// What the log says of some containers.
#[derive(Debug, Clone, Default, PartialEq)]
struct Tally {
    errors: usize,
    /// Seconds each answer took.
    times: Vec<f64>,
}

impl Tally {
    fn add(&mut self, line: &Line) {
        self.errors += usize::from(line.status >= 500);
        self.times.push(line.seconds);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of requests within a minute or so")]
    fn share(&self) -> f64 {
        if self.times.is_empty() { 0.0 } else { self.errors as f64 / self.times.len() as f64 }
    }

    /// The time that 95 of 100 answers keep to.
    fn p95(&self) -> Option<f64> {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times.get((times.len() * 95).div_ceil(100).saturating_sub(1)).copied().filter(|_| times.len() >= FEWEST_TIMES)
    }
}

/// How the new ones fail more often, if they do.
fn fail(old: &Tally, new: &Tally) -> Option<String> {
    (new.errors >= FEWEST_ERRORS && new.share() > SHARE && new.share() > 2.0 * old.share()).then(|| {
        format!(
            "{} of {} requests to the new containers failed (500 and above); before, {} of {}",
            new.errors,
            new.times.len(),
            old.errors,
            old.times.len()
        )
    })
}

/// How the new ones are slower, if they are. `before` is what 95 of 100 answers of the old ones keep to.
fn slow(before: Option<f64>, new: &Tally) -> Option<String> {
    let (before, now) = (before?, new.p95()?);
    (now > 2.0 * before && now - before > SLOWER).then(|| {
        format!(
            "95 of 100 answers of the new containers take up to {:.0} ms; before, {:.0} ms",
            now * 1000.0,
            before * 1000.0
        )
    })
}

/// A line of the front door's log, as far as it matters here.
struct Line {
    upstream: SocketAddrV4,
    status: u16,
    seconds: f64,
}

fn parse(text: &str) -> Option<Line> {
    let line: serde_json::Value = serde_json::from_str(text).ok()?;
    if line["agent"].as_str().is_some_and(|a| a.starts_with(OURS)) {
        return None;
    }
    Some(Line {
        // Of several that were tried, the last one has answered.
        upstream: line["upstream"].as_str()?.rsplit(", ").next()?.parse().ok()?,
        status: line["status"].as_str()?.parse().ok()?,
        seconds: line["seconds"].as_f64()?,
    })
}

/// Watches for `time`. Fails as soon as the new ones are worse.
pub(super) async fn watch(
    engine: &Engine,
    door: &str,
    new: &[SocketAddrV4],
    old: &[SocketAddrV4],
    time: Duration,
    tell: &dyn Fn(String),
) -> Result<(), String> {
    let (mut before, mut now) = (Tally::default(), Tally::default());
    let mut history = engine.log(door, Wanted { tail: Some(LINES_BEFORE), ..Wanted::default() });
    while let Some(Ok(line)) = history.next().await {
        // Only of the old: the addresses of the new were those of an earlier generation, or of one that failed.
        if let Some(line) = parse(&line.text).filter(|l| old.contains(&l.upstream)) {
            before.add(&line);
        }
    }
    let usual = before.p95();
    let mut lines = engine.follow(door, Wanted { tail: Some(0), ..Wanted::default() });
    let began = Instant::now();
    let mut compared = began;
    while began.elapsed() < time {
        match tokio::time::timeout(time.saturating_sub(began.elapsed()), lines.next()).await {
            Ok(Some(Ok(line))) => {
                if let Some(line) = parse(&line.text).filter(|l| new.contains(&l.upstream)) {
                    now.add(&line);
                }
            }
            Ok(Some(Err(error))) => return Err(format!("the front door's log cannot be read: {}", error.message)),
            Ok(None) => return Err("the front door's log has ended".to_owned()),
            Err(_) => break,
        }
        let mut worse = fail(&before, &now);
        // All times are sorted for that: done for each line, a busy front door would be read slower than it writes.
        if worse.is_none() && compared.elapsed() >= COMPARED {
            compared = Instant::now();
            worse = slow(usual, &now);
        }
        if let Some(why) = worse {
            return Err(why);
        }
    }
    if let Some(why) = slow(usual, &now) {
        return Err(why);
    }
    tell(format!("{} requests, {} failed", now.times.len(), now.errors));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(errors: usize, times: &[f64]) -> Tally {
        Tally { errors, times: times.to_vec() }
    }

    #[test]
    fn worse_is_more_errors_or_twice_the_time() {
        let steady = [0.02; 100];
        for (old, new, is_worse) in [
            (tally(0, &steady), tally(0, &steady), false),
            (tally(0, &steady), tally(2, &steady), false),
            (tally(0, &steady), tally(3, &steady), true),
            (tally(5, &steady), tally(9, &steady), false),
            (tally(5, &steady), tally(11, &steady), true),
            (tally(0, &[]), tally(3, &steady), true),
            (tally(0, &steady), tally(0, &[0.2; 100]), true),
            (tally(0, &steady), tally(0, &[0.2; 20]), false),
            (tally(0, &[0.001; 100]), tally(0, &[0.01; 100]), false),
            (tally(0, &[]), tally(0, &[]), false),
        ] {
            let worse = fail(&old, &new).or_else(|| slow(old.p95(), &new));
            assert_eq!(worse.is_some(), is_worse, "{} {}", old.errors, new.errors);
        }
    }

    #[test]
    fn lines_are_told_apart_by_who_answered() {
        let line = |upstream: &str, agent: &str| {
            format!(r#"{{"status":"502","seconds":0.125,"upstream":"{upstream}","agent":"{agent}"}}"#)
        };
        let seen = parse(&line("10.83.0.2:8000, 10.83.0.96:8000", "curl"));
        assert_eq!(seen.map(|l| (l.upstream.to_string(), l.status)), Some(("10.83.0.96:8000".to_owned(), 502)));
        assert!(parse(&line("10.83.0.2:8000", "stackctl-verify/0.1.0")).is_none(), "our own questions");
        assert!(parse(&line("", "curl")).is_none(), "answered by the front door itself");
        assert!(parse("not JSON").is_none());
    }
}
