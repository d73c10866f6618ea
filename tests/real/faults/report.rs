//! What is worse in a report than in that of the healthy stack.

use std::collections::BTreeMap;

use serde_json::Value;

/// The worst verdict of each check.
pub(super) type Verdicts = BTreeMap<String, String>;

/// A check that is worse than it was, with its worst finding.
pub(super) struct Worse {
    pub(super) id: String,
    pub(super) verdict: String,
    /// Its place in the report, from 1.
    pub(super) rank: u64,
    /// Line of stack.toml that it names, from 1.
    pub(super) line: Option<usize>,
    pub(super) observed: String,
}

impl Worse {
    pub(super) fn words(&self) -> String {
        format!("{} {}: {}", self.id, self.verdict, self.observed)
    }
}

/// From good to bad; what does not apply is as good as what passes.
fn badness(verdict: &str) -> usize {
    ["warn", "inconclusive", "fail"].iter().position(|v| *v == verdict).map_or(0, |at| at + 1)
}

fn findings(report: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let all = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().map(|finding| (finding["id"].as_str().unwrap(), finding["verdict"].as_str().unwrap(), finding))
}

pub(super) fn verdicts(report: &Value) -> Verdicts {
    let mut out = Verdicts::new();
    for (id, verdict, _) in findings(report) {
        let seen = out.entry(id.to_owned()).or_insert_with(|| verdict.to_owned());
        if badness(verdict) > badness(seen) {
            verdict.clone_into(seen);
        }
    }
    out
}

/// Without verdicts of before, whatever failed or could not be judged.
pub(super) fn worse(report: &Value, before: Option<&Verdicts>) -> Vec<Worse> {
    let mut out: Vec<Worse> = Vec::new();
    for (id, verdict, finding) in findings(report) {
        let was = before.map_or(1, |before| before.get(id).map_or(0, |verdict| badness(verdict)));
        if badness(verdict) <= was {
            continue;
        }
        let worse = Worse {
            id: id.to_owned(),
            verdict: verdict.to_owned(),
            rank: finding["rank"].as_u64().unwrap(),
            line: finding["place"]["line"].as_u64().map(|line| usize::try_from(line).unwrap()),
            observed: format!("{} ({})", finding["observed"].as_str().unwrap(), finding["subject"].as_str().unwrap()),
        };
        match out.iter_mut().find(|known| known.id == id) {
            Some(known) if badness(&known.verdict) >= badness(verdict) => {}
            Some(known) => *known = worse,
            None => out.push(worse),
        }
    }
    out.sort_by_key(|worse| worse.rank);
    out
}
