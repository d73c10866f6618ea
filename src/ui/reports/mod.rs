//! The report of `verify` in the formats that other programs read. A new one is its file, and one line in
//! [`crate::cli::args::Format`].

pub mod github;
pub mod html;
pub mod markdown;
pub mod prometheus;
pub mod sarif;
pub mod tap;

use crate::model::finding::{Finding, Verdict};
use crate::probe::{CATALOGUE, Severity};

/// How much a failure of this check matters; medium for one that is not in the catalogue.
pub fn severity(id: &str) -> Severity {
    CATALOGUE.iter().find(|check| check.id == id).map_or(Severity::Medium, |check| check.severity)
}

/// The worst first: by verdict, then by how much it matters, then in the order it was asked.
pub(super) fn worst_first(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| (std::cmp::Reverse(f.verdict), std::cmp::Reverse(severity(f.id))));
    sorted
}

/// What somebody has to look at.
pub(super) fn is_problem(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Inconclusive | Verdict::Warn)
}

/// What was expected and what was seen, in a line.
pub(super) fn sentence(finding: &Finding) -> String {
    let expected =
        if finding.expected.is_empty() { String::new() } else { format!(" Expected: {}.", finding.expected) };
    format!("{}: {}.{expected}", finding.subject, finding.observed)
}
