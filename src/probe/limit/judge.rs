//! What a measurement says about a limit. Pure.

use super::seen::{Forged, Measured, Pace, RateRun, Volley, float, leaked, most};

/// A judgement with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    Pass(String),
    Fail(String),
    /// Disturbed, or not measured.
    Unsure(String),
    /// Does not apply.
    Skip(String),
}

use Judgement::{Fail, Pass, Skip, Unsure};

/// An instantaneous volley at an empty bucket gets exactly 1 + burst through.
pub(super) fn burst(volley: &Volley, burst: usize, rate: f64) -> Judgement {
    let admitted = volley.admitted.len();
    let seen = format!("{admitted} of {} admitted", volley.sent);
    if let Some(odd) = volley.odd.first() {
        return Unsure(format!("{seen}, {} others answered {odd}", volley.odd.len()));
    }
    if volley.spread >= 0.5 * float(burst.max(1)) / rate {
        return Unsure(format!("{seen}, but sending took {:.2} s: the bucket leaks as fast", volley.spread));
    }
    let least = 1 + burst;
    if volley.rejected.is_empty() {
        let spare = volley.sent - least;
        return if leaked(rate, most(&volley.admitted)) >= spare {
            Unsure(format!("{seen}, but answers were so slow that the bucket may have leaked"))
        } else {
            Fail(format!("{NEVER}: {seen}"))
        };
    }
    let upper = least + leaked(rate, most(&volley.rejected)) + 1;
    match admitted {
        n if n < least => Fail(format!("{seen}: tighter than declared, or others share this client's address")),
        n if n > upper => Fail(format!("{seen}: a larger burst than declared")),
        _ => Pass(seen),
    }
}

/// Whether the admitted ones were spread out.
pub(super) fn mode(volley: &Volley, burst: usize, delay: Option<usize>, rate: f64) -> Judgement {
    let slowest = most(&volley.admitted);
    let quick = 0.5 / rate + 0.2;
    let spread_out = float(burst.saturating_sub(delay.unwrap_or(0))) / rate;
    let seen = format!("slowest admitted after {slowest:.2} s");
    if burst == 0 {
        return Skip("without a burst nothing can be delayed".into());
    }
    if spread_out < 2.0 * quick {
        return Skip(format!("a delay of {spread_out:.2} s at most cannot be told from a slow answer"));
    }
    let late = volley.admitted.iter().filter(|took| **took > quick).count();
    match delay {
        None if slowest <= quick => Pass(seen),
        // Delayed ones come one by one: most of them late, the last near burst/rate.
        None if slowest > 0.5 * spread_out && late * 2 > volley.admitted.len() => Fail(format!("delayed: {seen}")),
        None => Unsure(format!("{seen}, which is neither at once nor spread out")),
        Some(_) if slowest < 0.3 * spread_out => Fail(format!("not delayed: {seen}")),
        Some(_) if (0.7 * spread_out..=spread_out + 1.0).contains(&slowest) => Pass(seen),
        Some(_) => Unsure(format!("{seen}, expected about {spread_out:.2} s")),
    }
}

/// Whether the admitted rate is the declared one.
pub(super) fn rate(run: &Result<RateRun, String>, rate: f64) -> Judgement {
    let run = match run {
        Ok(run) => run,
        Err(why) => return Unsure(why.clone()),
    };
    let measured = (float(run.admitted) - float(run.free)) / run.duration.max(0.001);
    let tolerance = 1.5 / run.duration + 0.05 * rate;
    let seen = format!("{measured:.2}/s ± {tolerance:.2} over {:.1} s", run.duration);
    if run.odd > 0 {
        return Unsure(format!("{seen}, but {} answers were neither admitted nor rejected", run.odd));
    }
    if run.latest > run.leeway {
        return Unsure(format!("{seen}, but sending was up to {:.2} s late", run.latest));
    }
    if run.rejected == 0 {
        return Fail(format!("all of {} admitted at twice the rate", run.admitted));
    }
    if (rate - run.lost - tolerance..=rate + tolerance).contains(&measured) { Pass(seen) } else { Fail(seen) }
}

/// Whether the time until the next request is admitted is that of the declared rate: somewhere between the last that was
/// refused and the one that was admitted, ± 5 %.
pub(super) fn pace(pace: Pace, rate: f64) -> Judgement {
    let wanted = 1.0 / rate;
    let Some(admitted) = pace.admitted else {
        return Fail(format!("still refused {:.1} s after the burst, instead of {wanted:.1} s", pace.rejected));
    };
    let seen = format!("one more admitted between {:.1} s and {admitted:.1} s after the burst", pace.rejected);
    if pace.rejected <= wanted * 1.05 && admitted >= wanted * 0.95 {
        if admitted - pace.rejected > wanted * 0.2 {
            return Unsure(format!("{seen}, which is too wide a gap: the answers were slow"));
        }
        return Pass(seen);
    }
    Fail(format!("{seen}, instead of {wanted:.1} s"))
}

/// Whether all rejections have status 429.
pub(super) fn status(mut statuses: Vec<u16>) -> Judgement {
    let count = statuses.len();
    statuses.sort_unstable();
    statuses.dedup();
    match statuses.as_slice() {
        [] => Unsure(NO_REJECT.into()),
        [429] => Pass(format!("429, {count} times")),
        other => Fail(other.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Retry-After as a number of seconds; a date is not what an API client wants to parse.
pub(super) fn seconds(value: &str) -> Option<u64> {
    let value = value.trim();
    (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())).then(|| value.parse().ok()).flatten()
}

/// Whether Retry-After is there, sensible and true.
pub(super) fn retry_after(measured: &Measured, least: u64) -> Judgement {
    let Some(rejected) = &measured.rejected else {
        return Unsure(NO_REJECT.into());
    };
    let Some(value) = rejected.header("retry-after") else {
        return Fail("no Retry-After".into());
    };
    match seconds(value) {
        Some(wait) if (1..=least * 2).contains(&wait) => match &measured.after {
            Some(Ok(true)) => Pass(format!("{wait} s, then admitted")),
            Some(Ok(false)) => Fail(format!("{wait} s, and still rejected after it")),
            Some(Err(why)) => Unsure(format!("{wait} s, then: {why}")),
            None => Unsure(format!("{wait} s, too long to wait for")),
        },
        _ => Fail(format!("`{value}`")),
    }
}

/// Whether a forged header frees a client.
pub(super) fn key(forged: &Result<Forged, String>, rate: f64) -> Judgement {
    let forged = match forged {
        Ok(forged) => forged,
        Err(why) => return Unsure(why.clone()),
    };
    // Fresh addresses would all be admitted; a leak frees as many as it frees.
    let freed: Vec<&str> =
        forged.admitted.iter().filter(|(_, admitted)| *admitted == forged.each).map(|(header, _)| *header).collect();
    if !forged.control_rejected {
        return Unsure("the bucket was not full when it was asked".into());
    }
    if freed.is_empty() {
        return Pass("rejected with each of the forged headers".into());
    }
    let seen = format!("freed by {}", freed.join(", "));
    if leaked(rate, forged.window) + 1 >= forged.each {
        return Unsure(format!("{seen}, or the bucket leaked: answers took {:.2} s", forged.window));
    }
    Fail(seen)
}

/// Whether what is not limited still answers.
pub(super) fn scope(measured: &Measured) -> Judgement {
    match (&measured.forged, &measured.sibling) {
        (_, None) => Skip("there is no path without a limit to compare with".into()),
        (Ok(forged), Some((path, status))) if forged.control_rejected => match status {
            Ok(status) if *status == measured.reject => Fail(format!("{path} is rejected too ({status})")),
            Ok(status) => Pass(format!("{path} answers {status}")),
            Err(why) => Unsure(format!("{path}: {why}")),
        },
        (Ok(_), Some(_)) => Unsure("the bucket was not full when it was asked".into()),
        (Err(why), Some(_)) => Unsure(why.clone()),
    }
}

/// Whether a second measurement could judge better: the first was disturbed, or a neighbour may have been counted in.
/// What cannot be measured within the bounds, and a limit that never trips, stay so.
pub(super) fn worth_repeating(judgements: &[(&'static super::super::Check, Judgement)]) -> bool {
    judgements.iter().any(|(check, judgement)| match judgement {
        Unsure(why) => !why.starts_with(NOT_MEASURED) && why != NO_REJECT,
        Fail(why) => matches!(check.id, "RL-1" | "RL-2" | "RL-3" | "RL-5") && !why.starts_with(NEVER),
        Pass(_) | Skip(_) => false,
    })
}

/// Start of the reason for what does not fit the bounds.
pub(super) const NOT_MEASURED: &str = "not measured";
/// Reason for what needs a rejection.
pub(super) const NO_REJECT: &str = "no request was rejected";
/// Start of what is seen without a limit.
const NEVER: &str = "never tripped";

#[cfg(test)]
mod tests {
    use super::*;

    fn volley(admitted: &[f64], rejected: usize) -> Volley {
        Volley {
            sent: admitted.len() + rejected,
            admitted: admitted.to_vec(),
            rejected: vec![0.02; rejected],
            ..Volley::default()
        }
    }

    #[test]
    fn bursts() {
        assert!(matches!(burst(&volley(&[0.01; 21], 4), 20, 10.0), Pass(_)));
        assert!(matches!(burst(&volley(&[0.01; 11], 14), 20, 10.0), Fail(_)));
        assert!(matches!(burst(&volley(&[0.01; 24], 1), 20, 10.0), Fail(_)));
        assert!(matches!(burst(&volley(&[0.01; 25], 0), 20, 10.0), Fail(_)));
        let slow = Volley { spread: 1.0, ..volley(&[0.01; 21], 4) };
        assert!(matches!(burst(&slow, 20, 10.0), Unsure(_)));
        let odd = Volley { odd: vec!["502".into()], ..volley(&[0.01; 21], 3) };
        assert!(matches!(burst(&odd, 20, 10.0), Unsure(_)));
    }

    #[test]
    fn modes() {
        let spread_out: Vec<f64> = (0..21).map(|n| f64::from(n) / 10.0).collect();
        assert!(matches!(mode(&volley(&[0.01; 21], 4), 20, None, 10.0), Pass(_)));
        assert!(matches!(mode(&volley(&spread_out, 4), 20, None, 10.0), Fail(_)));
        assert!(matches!(mode(&volley(&spread_out, 4), 20, Some(0), 10.0), Pass(_)));
        assert!(matches!(mode(&volley(&[0.01; 21], 4), 20, Some(0), 10.0), Fail(_)));
        assert!(matches!(mode(&volley(&[0.01; 21], 4), 20, Some(8), 10.0), Fail(_)));
        assert!(matches!(mode(&volley(&[0.01; 1], 4), 0, None, 10.0), Skip(_)));
        assert!(matches!(mode(&volley(&[0.01; 6], 4), 5, None, 100.0), Skip(_)));
        let mut one_slow = vec![0.01; 20];
        one_slow.push(1.2);
        assert!(matches!(mode(&volley(&one_slow, 4), 20, None, 10.0), Unsure(_)));
    }

    #[test]
    fn rates() {
        let run = |admitted, free, latest| {
            Ok(RateRun { admitted, rejected: 50, odd: 0, free, lost: 0.0, duration: 5.0, latest, leeway: 1.0 })
        };
        assert!(matches!(rate(&run(51, 1, 0.0), 10.0), Pass(_)));
        // Delayed: the bucket was empty again when the run began.
        assert!(matches!(rate(&run(70, 20, 0.0), 10.0), Pass(_)));
        assert!(matches!(rate(&run(70, 0, 0.0), 10.0), Fail(_)));
        assert!(matches!(rate(&run(25, 0, 0.0), 10.0), Fail(_)));
        assert!(matches!(rate(&run(51, 1, 2.0), 10.0), Unsure(_)));
        assert!(matches!(rate(&Err("not measured".into()), 10.0), Unsure(_)));
    }

    #[test]
    fn paces() {
        // Five a minute: twelve seconds.
        let of = |rejected, admitted| pace(Pace { rejected, admitted }, 5.0 / 60.0);
        assert!(matches!(of(11.4, Some(12.1)), Pass(_)));
        assert!(matches!(of(12.1, Some(12.7)), Pass(_)), "Nginx rounds down");
        for (rejected, admitted) in [(5.9, 6.1), (0.3, 3.1), (13.8, 14.4), (10.2, 10.9)] {
            assert!(matches!(of(rejected, Some(admitted)), Fail(_)), "{rejected} {admitted}");
        }
        assert!(matches!(of(14.4, None), Fail(_)));
        assert!(matches!(of(3.0, Some(12.1)), Unsure(_)));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        assert_eq!(seconds(" 13 "), Some(13));
        for bad in ["", "-1", "1.5", "Fri, 20 Nov 2026 12:00:00 GMT", "+1", "99999999999999999999999"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys() {
        let forged = |xff, control_rejected, window| {
            Ok(Forged { admitted: vec![("X-Forwarded-For", xff), ("Forwarded", 0)], each: 3, control_rejected, window })
        };
        assert!(matches!(key(&forged(0, true, 0.02), 10.0), Pass(_)));
        assert!(matches!(key(&forged(1, true, 0.02), 10.0), Pass(_)));
        assert!(matches!(key(&forged(3, true, 0.02), 10.0), Fail(_)));
        assert!(matches!(key(&forged(3, true, 0.50), 10.0), Unsure(_)));
        assert!(matches!(key(&forged(0, false, 0.02), 10.0), Unsure(_)));
    }

    #[test]
    fn statuses() {
        assert!(matches!(status(vec![429, 429]), Pass(_)));
        assert!(matches!(status(vec![503]), Fail(_)));
        assert!(matches!(status(vec![]), Unsure(_)));
    }
}
