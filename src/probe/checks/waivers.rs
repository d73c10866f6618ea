//! Findings that are put up with until a day.

use crate::base::date::Date;
use crate::model::checklist::Waiver;
use crate::model::finding::{Finding, Verdict};

use super::super::CATALOGUE;
use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::tls::certificate::now;

use Judged::{Fail, Pass, Warn};

pub(in crate::probe) const WVR_1: Check = Check {
    id: "WVR-1",
    family: Family::Attested,
    title: "waivers",
    question: "Does each waiver of stack.toml name a check that exists, and is it still in force?",
    pass: "it does; one that has ended, or ends within 7 days, is a warning",
    source: "stack.toml: [[waivers]]",
    severity: Severity::Medium,
    remedy: "mend what was put up with and remove the waiver, or decide anew until when",
};

/// Days before the end in which it is said that it comes.
const SOON: u64 = 7;

pub(in crate::probe) fn run(context: &Context<'_>) -> Vec<Finding> {
    let today = Date::of_seconds(now());
    let waivers = &context.stack.checklist.waivers;
    if waivers.is_empty() {
        return super::none_apply(&[&WVR_1], context.stack.project.as_str(), None, "stack.toml has no [[waivers]]");
    }
    let question = |waiver: &Waiver| WVR_1.about(&waiver.check).line(waiver.line).from("stack.toml");
    waivers.iter().map(|waiver| question(waiver).judged(judge(waiver, today))).collect()
}

fn judge(waiver: &Waiver, today: Date) -> Judged {
    if !CATALOGUE.iter().any(|check| check.is_called(&waiver.check)) {
        return Fail("there is no such check".to_owned());
    }
    let seen = format!("until {}: {}", waiver.until, waiver.reason);
    if today > waiver.until {
        return Warn(format!("over since {}", waiver.until));
    }
    if waiver.until.days_since(today) < SOON { Warn(seen) } else { Pass(seen) }
}

/// What becomes of a finding: a failure, or one without a verdict, that is put up with is a warning that says so.
pub(in crate::probe) fn apply(finding: Finding, waivers: &[Waiver], today: Date) -> Finding {
    if !matches!(finding.verdict, Verdict::Fail | Verdict::Inconclusive) {
        return finding;
    }
    let check = CATALOGUE.iter().find(|check| check.id == finding.id);
    let about = |waiver: &&Waiver| {
        check.is_some_and(|check| check.is_called(&waiver.check))
            && waiver.subject.as_ref().is_none_or(|part| finding.subject.contains(part))
    };
    let mut matching: Vec<&Waiver> = waivers.iter().filter(about).collect();
    matching.sort_by_key(|waiver| waiver.until);
    match matching.last() {
        Some(waiver) if today <= waiver.until && finding.id != WVR_1.id => Finding {
            verdict: Verdict::Warn,
            observed: format!("{} (put up with until {}: {})", finding.observed, waiver.until, waiver.reason),
            ..finding
        },
        Some(waiver) => {
            Finding { observed: format!("{} (its waiver is over since {})", finding.observed, waiver.until), ..finding }
        }
        None => finding,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn waiver(check: &str, subject: Option<&str>, until: &str) -> Waiver {
        Waiver {
            check: check.into(),
            subject: subject.map(str::to_owned),
            reason: "ordered".into(),
            until: date(until),
            line: 9,
        }
    }

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            id: "TLS-5",
            title: "",
            subject: "a.test".into(),
            verdict,
            expected: String::new(),
            observed: "self-signed".into(),
            remedy: None,
            line: None,
            vantage: "",
            millis: 0,
        }
    }

    #[test]
    fn a_waiver_turns_a_failure_into_a_warning_until_its_day() {
        let today = date("2026-11-20");
        for (waiver, verdict) in [
            (waiver("TLS-5", None, "2026-11-20"), Verdict::Warn),
            (waiver("tls", None, "2026-12-01"), Verdict::Warn),
            (waiver("TLS-5", Some("a.test"), "2026-12-01"), Verdict::Warn),
            (waiver("TLS-5", Some("b.test"), "2026-12-01"), Verdict::Fail),
            (waiver("TLS-6", None, "2026-12-01"), Verdict::Fail),
            (waiver("TLS-5", None, "2026-11-19"), Verdict::Fail),
        ] {
            let found = apply(finding(Verdict::Fail), std::slice::from_ref(&waiver), today);
            assert_eq!(found.verdict, verdict, "{waiver:?}");
            assert!(verdict == Verdict::Fail || found.observed.contains("ordered"));
        }
        let passed = apply(finding(Verdict::Pass), &[waiver("TLS-5", None, "2026-12-01")], today);
        assert_eq!(passed, finding(Verdict::Pass));
    }

    #[test]
    fn waivers_are_looked_at_themselves() {
        let today = date("2026-11-20");
        assert!(matches!(judge(&waiver("TLS-5", None, "2027-01-01"), today), Pass(_)));
        assert!(matches!(judge(&waiver("TLS-5", None, "2026-11-22"), today), Warn(_)));
        assert!(matches!(judge(&waiver("TLS-5", None, "2026-11-19"), today), Warn(_)));
        assert!(matches!(judge(&waiver("TLS-99", None, "2027-01-01"), today), Fail(_)));
    }
}
