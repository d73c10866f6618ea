//! GitLab's Code Quality report: problems in the widget of a merge request and at their line in the diff. GitLab keeps one
//! of those with the same fingerprint, so each has its own, and it stays the same from run to run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::hash;
use crate::model::finding::{Finding, Verdict};
use crate::probe::Severity;
use crate::ui::findings::Report;

use super::{is_problem, sentence, severity, worst_first};

/// The whole document, the worst first. What passed is left out: the report tells problems.
pub fn gitlab(report: &Report<'_>) -> Value {
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let problems = worst_first(report.findings).into_iter().filter(|f| is_problem(f));
    let entries = problems.map(|finding| {
        let count = seen.entry((finding.id, &finding.subject)).or_default();
        *count += 1;
        entry(report, finding, *count)
    });
    Value::Array(entries.collect())
}

fn entry(report: &Report<'_>, finding: &Finding, count: usize) -> Value {
    // What was seen changes from run to run; what was asked does not.
    let count = count.to_string();
    let same = [finding.id, report.project, report.stage, &finding.subject, &count].map(str::as_bytes);
    let mut text = format!("{}: {}", finding.title, sentence(finding));
    if finding.verdict == Verdict::Inconclusive {
        text.insert_str(0, "could not be judged: ");
    }
    if let Some(remedy) = &finding.remedy {
        text.extend([" To do: ", remedy, "."]);
    }
    json!({
        "description": text,
        "check_name": finding.id,
        "fingerprint": hash::sha256_parts(same),
        "severity": level(finding),
        // A path below the repository, without `./`.
        "location": {
            "path": report.file.trim_start_matches("./"),
            "lines": { "begin": finding.line.unwrap_or(1).max(1) },
        },
    })
}

/// One of GitLab's five; what only warns, or has no verdict, is below what fails.
fn level(finding: &Finding) -> &'static str {
    match (finding.verdict, severity(finding.id)) {
        (Verdict::Fail, Severity::Critical) => "blocker",
        (Verdict::Fail, Severity::High) => "critical",
        (Verdict::Fail, Severity::Medium | Severity::Low) => "major",
        (Verdict::Warn, _) => "minor",
        _ => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn problems_stand_at_their_line_and_keep_their_fingerprint() {
        let mut all = findings();
        let value = gitlab(&report(&all));
        let entries = value.as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(entries.len(), 3, "what passed or does not apply is no problem");
        assert_eq!(entries[0]["location"], json!({ "path": "stack.toml", "lines": { "begin": 34 } }));
        let severities: Vec<&Value> = entries.iter().map(|entry| &entry["severity"]).collect();
        assert_eq!(severities, ["major", "info", "minor"]);
        all[2].observed = "something else".into();
        assert_eq!(gitlab(&report(&all))[0]["fingerprint"], entries[0]["fingerprint"]);
        let twice = [all[2].clone(), all[2].clone()];
        let value = gitlab(&report(&twice));
        assert_ne!(value[0]["fingerprint"], value[1]["fingerprint"], "GitLab drops the second of a kind");
    }
}
