//! Metrics as text, for node_exporter's textfile collector: `stackctl verify --format prometheus > verify.prom.$$ && mv …`.

#![allow(clippy::doc_markdown, reason = "a program's name")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::finding::Verdict;
use crate::ui::findings::Report;

/// All verdicts, so that a series of zeroes is there before the first failure.
const VERDICTS: [(Verdict, &str); 5] = [
    (Verdict::Pass, "pass"),
    (Verdict::NotApplicable, "not-applicable"),
    (Verdict::Warn, "warn"),
    (Verdict::Inconclusive, "inconclusive"),
    (Verdict::Fail, "fail"),
];

/// The whole text.
pub fn prometheus(report: &Report<'_>) -> String {
    let stack = format!("project={},stage={}", label(report.project), label(report.stage));
    let mut out = String::from(
        "# HELP stackctl_verify_findings Findings of the last run, by verdict.\n\
         # TYPE stackctl_verify_findings gauge\n",
    );
    for (verdict, word) in VERDICTS {
        let _ = writeln!(out, "stackctl_verify_findings{{{stack},verdict=\"{word}\"}} {}", report.number(verdict));
    }
    out.push_str(
        "# HELP stackctl_verify_check Worst verdict of a check: 0 pass or not applicable, 1 warn, 2 inconclusive, 3 fail.\n\
         # TYPE stackctl_verify_check gauge\n",
    );
    let mut worst: BTreeMap<&str, Verdict> = BTreeMap::new();
    for finding in report.findings {
        let verdict = worst.entry(finding.id).or_insert(finding.verdict);
        *verdict = (*verdict).max(finding.verdict);
    }
    for (id, verdict) in worst {
        let number = match verdict {
            Verdict::Pass | Verdict::NotApplicable => 0,
            Verdict::Warn => 1,
            Verdict::Inconclusive => 2,
            Verdict::Fail => 3,
        };
        let _ = writeln!(out, "stackctl_verify_check{{{stack},check={}}} {number}", label(id));
    }
    for (name, help, value) in [
        (
            "duration_seconds",
            "How long the last run took.",
            format!("{}.{:03}", report.millis / 1000, report.millis % 1000),
        ),
        ("timestamp_seconds", "When the last run began.", report.started.to_string()),
    ] {
        let _ = writeln!(out, "# HELP stackctl_verify_{name} {help}\n# TYPE stackctl_verify_{name} gauge");
        let _ = writeln!(out, "stackctl_verify_{name}{{{stack}}} {value}");
    }
    out
}

/// A label's value: `\`, `"` and line breaks escaped.
fn label(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn every_line_is_a_sample_or_a_comment() {
        let all = findings();
        let text = prometheus(&report(&all));
        assert!(text.contains("stackctl_verify_findings{project=\"sum\",stage=\"production\",verdict=\"fail\"} 1\n"));
        assert!(text.contains("stackctl_verify_check{project=\"sum\",stage=\"production\",check=\"HTTP-2\"} 3\n"));
        assert!(text.contains("stackctl_verify_duration_seconds{project=\"sum\",stage=\"production\"} 3.210\n"));
        for line in text.lines().filter(|l| !l.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap_or_default();
            assert!(name.ends_with('}') && value.parse::<f64>().is_ok(), "{line}");
        }
        assert_eq!(label("a\"b\\\n"), "\"a\\\"b\\\\\\n\"");
    }
}
