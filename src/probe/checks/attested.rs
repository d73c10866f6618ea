//! What no machine can judge: somebody vouches for it in stack.toml, for a while.

use crate::base::date::Date;
use crate::model::checklist::Attestation;
use crate::model::finding::Finding;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::tls::certificate::now;

use Judged::{Fail, Pass, Skip, Warn};

const fn vouched(id: &'static str, title: &'static str, question: &'static str) -> Check {
    Check {
        id,
        family: Family::Attested,
        title,
        question,
        pass: "attested in stack.toml, and the last day is not over; the last 7 days are a warning. Not attested: not \
               applicable",
        source: "the deployment guides' checklists",
        severity: Severity::Medium,
        remedy: "look again, then write who and when: NAME = { by = \"ops@example.com\", on = \"2026-11-20\" } below \
                 [attestations]",
    }
}

pub(in crate::probe) const ATT_1: Check =
    vouched("ATT-1", "alerts", "Does an alert reach those who are on duty? Nobody but they can tell that it arrived.");
pub(in crate::probe) const ATT_2: Check =
    vouched("ATT-2", "backups", "Are backups made daily, kept elsewhere, and thrown away in time?");
pub(in crate::probe) const ATT_3: Check = vouched("ATT-3", "costs", "Does somebody look at what paid services cost?");
pub(in crate::probe) const ATT_4: Check =
    vouched("ATT-4", "documentation", "Does the documentation describe what is deployed?");
pub(in crate::probe) const ATT_5: Check =
    vouched("ATT-5", "encryption", "Are the disks below databases and backups encrypted?");
pub(in crate::probe) const ATT_6: Check =
    vouched("ATT-6", "firewall", "Does a firewall that cannot be asked (the provider's) let in only 22, 80 and 443?");
pub(in crate::probe) const ATT_7: Check =
    vouched("ATT-7", "images", "Were the images searched for known holes (trivy, grype, the registry's own scanner)?");
pub(in crate::probe) const ATT_8: Check =
    vouched("ATT-8", "load_test", "Was a load test run that resembles the users' busiest hour?");
pub(in crate::probe) const ATT_9: Check =
    vouched("ATT-9", "restore", "Was a backup restored, and did what came back work?");
pub(in crate::probe) const ATT_10: Check =
    vouched("ATT-10", "sessions", "Do sessions of the app end by themselves, and are sandboxes as narrow as can be?");
pub(in crate::probe) const ATT_11: Check =
    vouched("ATT-11", "tests", "Did the app's tests and migrations pass on the version that is deployed?");
pub(in crate::probe) const ATT_12: Check =
    vouched("ATT-12", "updates", "Are updates of images and dependencies planned, and done?");

/// All of them; the title of each is its key in stack.toml.
const ALL: [&Check; 12] =
    [&ATT_1, &ATT_2, &ATT_3, &ATT_4, &ATT_5, &ATT_6, &ATT_7, &ATT_8, &ATT_9, &ATT_10, &ATT_11, &ATT_12];

/// Days before the end in which it is said that it comes.
const SOON: u64 = 7;

pub(in crate::probe) fn run(context: &Context<'_>) -> Vec<Finding> {
    let today = Date::of_seconds(now());
    let attested = &context.stack.checklist.attested;
    ALL.iter()
        .map(|check| {
            let question = check.about(context.stack.project.as_str()).from("stack.toml");
            match attested.get(check.title) {
                Some(word) => question.line(word.line).judged(judge(word, today)),
                None => question.judged(Skip(format!("not attested: `{}` below [attestations]", check.title))),
            }
        })
        .collect()
}

fn judge(word: &Attestation, today: Date) -> Judged {
    let seen = format!("by {} on {}, until {}", word.by, word.on, word.until);
    if today > word.until {
        return Fail(format!("{seen}: over for {} days", today.days_since(word.until)));
    }
    if word.on > today {
        return Fail(format!("{seen}: that day is still to come"));
    }
    if word.until.days_since(today) < SOON { Warn(seen) } else { Pass(seen) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::model::checklist::ATTESTABLE;

    #[test]
    fn everything_that_can_be_attested_has_its_check() {
        let keys: Vec<&str> = ATTESTABLE.iter().map(|(key, _)| *key).collect();
        assert_eq!(ALL.map(|check| check.title).to_vec(), keys);
    }

    #[test]
    fn a_word_ends() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let word = Attestation { by: "ann".into(), on: date("2026-11-01"), until: date("2026-12-01"), line: 1 };
        for (today, passes) in [("2026-11-01", true), ("2026-11-24", true)] {
            assert_eq!(matches!(judge(&word, date(today)), Pass(_)), passes, "{today}");
        }
        assert!(matches!(judge(&word, date("2026-11-25")), Warn(_)));
        assert!(matches!(judge(&word, date("2026-12-01")), Warn(_)));
        assert!(matches!(judge(&word, date("2026-12-02")), Fail(_)));
        assert!(matches!(judge(&word, date("2026-10-31")), Fail(_)));
    }
}
