//! What `verify` found while a release ran, kept with it: what got worse is told by it later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Verdict};

/// The best verdict each question had while a release ran. What did not apply is not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Number of the release.
    pub release: u32,
    /// By check and by what was asked.
    pub best: BTreeMap<String, BTreeMap<String, Verdict>>,
}

impl Verdicts {
    /// Those of a release that nothing was asked of yet.
    pub fn of(release: u32) -> Self {
        Self { release, best: BTreeMap::new() }
    }

    /// Adds what a run found: of several answers of one run to one question the worst, of several runs the best.
    pub fn add(&mut self, findings: &[Finding]) {
        let mut run: BTreeMap<(&str, &str), Verdict> = BTreeMap::new();
        for finding in findings.iter().filter(|finding| finding.verdict != Verdict::NotApplicable) {
            let seen = run.entry((finding.id, &finding.subject)).or_insert(finding.verdict);
            *seen = finding.verdict.max(*seen);
        }
        for ((id, subject), verdict) in run {
            let best = self.best.entry(id.to_owned()).or_default().entry(subject.to_owned()).or_insert(verdict);
            *best = verdict.min(*best);
        }
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.best.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &'static str, subject: &str, verdict: Verdict) -> Finding {
        Finding {
            id,
            title: "",
            subject: subject.to_owned(),
            verdict,
            expected: String::new(),
            observed: String::new(),
            remedy: None,
            line: None,
            vantage: "",
            millis: 0,
        }
    }

    #[test]
    fn the_worst_of_a_run_and_the_best_of_all() {
        let mut kept = Verdicts::of(7);
        kept.add(&[
            finding("A-1", "x", Verdict::Warn),
            finding("A-1", "x", Verdict::Fail),
            finding("A-1", "y", Verdict::Pass),
            finding("A-2", "x", Verdict::NotApplicable),
        ]);
        kept.add(&[finding("A-1", "x", Verdict::Warn), finding("A-1", "y", Verdict::Fail)]);
        let of = |id: &str, subject: &str| kept.best.get(id).and_then(|of| of.get(subject)).copied();
        assert_eq!(of("A-1", "x"), Some(Verdict::Warn));
        assert_eq!(of("A-1", "y"), Some(Verdict::Pass));
        assert_eq!(of("A-2", "x"), None);
        let text = serde_json::to_string(&kept).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Verdicts>(&text).ok(), Some(kept));
    }
}
