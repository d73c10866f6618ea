//! An earlier report of `verify`, to tell what got worse since.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::finding::{Finding, Verdict};
use crate::model::verdicts::Verdicts;

/// The verdicts of a report that was printed with `--json`, or of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The file as the user named it, or the release.
    name: String,
    /// The worst verdict, by check and by what was asked.
    verdicts: BTreeMap<(String, String), Verdict>,
}

impl Earlier {
    /// Reads the report in a file. The error says what is wrong with it.
    pub fn read(file: &str, text: &str) -> Result<Self, String> {
        let report: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        match report["schema"].as_str() {
            Some("stackctl.verify/1") => {}
            Some(other) => return Err(format!("its schema is `{other}`, not `stackctl.verify/1`")),
            None => return Err("it is no report of `stackctl verify --json`".to_owned()),
        }
        let mut verdicts: BTreeMap<(String, String), Verdict> = BTreeMap::new();
        for finding in report["findings"].as_array().map_or(&[][..], Vec::as_slice) {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            let verdict = verdict(&text("verdict"))
                .ok_or_else(|| format!("`{}` is no verdict (of {})", text("verdict"), text("id")))?;
            let seen = verdicts.entry((text("id"), text("subject"))).or_insert(verdict);
            *seen = verdict.max(*seen);
        }
        if verdicts.is_empty() {
            return Err("there is no finding in it".to_owned());
        }
        Ok(Self { name: file.to_owned(), verdicts })
    }

    /// What was found of a release while it ran.
    pub fn of(kept: &Verdicts) -> Self {
        let of_check = |(id, subjects): (&String, &BTreeMap<String, Verdict>)| {
            let id = id.clone();
            let each = subjects.iter().map(move |(subject, verdict)| ((id.clone(), subject.clone()), *verdict));
            each.collect::<Vec<_>>()
        };
        Self { name: format!("release {}", kept.release), verdicts: kept.best.iter().flat_map(of_check).collect() }
    }

    /// The file as the user named it, or the release.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verdict of the same question then; `None` if it was not asked.
    pub fn was(&self, finding: &Finding) -> Option<Verdict> {
        self.verdicts.get(&(finding.id.to_owned(), finding.subject.clone())).copied()
    }

    /// Whether it is worse now. What was not asked then counts as having been right.
    pub fn is_worse(&self, finding: &Finding) -> bool {
        // What does not apply is as good as what passes.
        let rank = |verdict: Verdict| verdict.max(Verdict::NotApplicable);
        rank(finding.verdict) > rank(self.was(finding).unwrap_or(Verdict::Pass))
    }
}

fn verdict(word: &str) -> Option<Verdict> {
    match word {
        "pass" => Some(Verdict::Pass),
        "not-applicable" => Some(Verdict::NotApplicable),
        "warn" => Some(Verdict::Warn),
        "inconclusive" => Some(Verdict::Inconclusive),
        "fail" => Some(Verdict::Fail),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn what_is_worse_is_told_from_what_was_so_before() {
        let before = findings();
        let earlier = Earlier::read("before.json", &report(&before).json().to_string());
        let worse = |finding: &Finding| earlier.as_ref().is_ok_and(|earlier| earlier.is_worse(finding));
        assert!(before.iter().all(|finding| !worse(finding)), "{earlier:?}");
        let now = |at: usize, verdict| worse(&Finding { verdict, ..before[at].clone() });
        // Passed, did not apply, failed, could not be judged, warned.
        assert!(now(0, Verdict::Warn) && now(0, Verdict::Fail) && !now(0, Verdict::NotApplicable));
        assert!(now(1, Verdict::Inconclusive) && !now(1, Verdict::Pass));
        assert!(!now(2, Verdict::Fail) && !now(2, Verdict::Inconclusive));
        assert!(now(3, Verdict::Fail) && !now(3, Verdict::Warn));
        assert!(now(4, Verdict::Inconclusive) && !now(4, Verdict::Pass));
        let elsewhere = |verdict| worse(&Finding { subject: "elsewhere".into(), verdict, ..before[2].clone() });
        assert!(elsewhere(Verdict::Fail), "the same check of something else was not asked then");
        assert!(!elsewhere(Verdict::Pass));
    }

    #[test]
    fn what_is_no_report_is_refused_in_words() {
        for (text, why) in [
            ("", "no JSON"),
            ("[]", "no report"),
            ("{\"schema\":\"stackctl.verify/9\"}", "`stackctl.verify/9`"),
            ("{\"schema\":\"stackctl.verify/1\",\"findings\":[]}", "no finding"),
            ("{\"schema\":\"stackctl.verify/1\",\"findings\":[{\"id\":\"A\",\"verdict\":\"odd\"}]}", "`odd`"),
        ] {
            assert!(Earlier::read("x", text).is_err_and(|error| error.contains(why)), "{text}");
        }
    }
}
