//! The report of `verify` in the formats that other programs read. A new one is its file, and one line in
//! [`crate::cli::args::Format`].

pub mod earlier;
pub mod github;
pub mod gitlab;
pub mod html;
pub mod markdown;
pub mod prometheus;
pub mod sarif;
pub mod tap;

use std::cmp::Reverse;

use crate::model::finding::{Finding, Verdict};
use crate::probe::{CATALOGUE, Severity, follows};

/// How much a failure of this check matters; medium for one that is not in the catalogue.
pub fn severity(id: &str) -> Severity {
    CATALOGUE.iter().find(|check| check.id == id).map_or(Severity::Medium, |check| check.severity)
}

/// The worst first: by verdict; of one verdict causes before what may follow from them (the fewer may be behind one, the
/// earlier), then by how much it matters, then
/// in the order it was asked.
pub(super) fn worst_first(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_cached_key(|f| (Reverse(f.verdict), behind(f, findings).len(), Reverse(severity(f.id))));
    sorted
}

/// Checks whose failure may be behind this one's, in the order they were asked: as bad as it at least.
pub(super) fn behind(finding: &Finding, findings: &[Finding]) -> Vec<&'static str> {
    if !is_problem(finding) {
        return Vec::new();
    }
    let mut found: Vec<&'static str> =
        findings.iter().filter(|f| f.verdict >= finding.verdict && follows(finding.id, f.id)).map(|f| f.id).collect();
    found.dedup();
    found
}

/// The whole report in a few words.
pub(super) fn verdict(findings: &[Finding]) -> &'static str {
    match findings.iter().map(|f| f.verdict).max() {
        None => "nothing was asked",
        Some(Verdict::Fail) => "not as declared",
        Some(Verdict::Inconclusive) => "not everything could be judged",
        Some(Verdict::Warn) => "as declared, with warnings",
        Some(Verdict::Pass | Verdict::NotApplicable) => "as declared",
    }
}

/// What somebody has to look at.
pub(super) fn is_problem(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Inconclusive | Verdict::Warn)
}

/// What there is to say of a finding, by name, in the order of every report; what is empty is left out.
pub(super) fn details(finding: &Finding, file: &str) -> Vec<(&'static str, String)> {
    let place = finding.line.map(|line| format!("{file}:{line}"));
    let all = [
        ("expected", Some(finding.expected.clone())),
        ("observed", Some(finding.observed.clone())),
        ("asked", Some(finding.vantage.to_owned())),
        ("remedy", finding.remedy.clone()),
        ("declared", place),
    ];
    all.into_iter().filter_map(|(name, text)| Some((name, text.filter(|text| !text.is_empty())?))).collect()
}

/// Text with some characters replaced: those that mean something where it goes.
pub(super) fn escaped(text: &str, instead: impl Fn(char) -> Option<&'static str>) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match instead(c) {
            Some(other) => out.push_str(other),
            None => out.push(c),
        }
        out
    })
}

/// What was expected and what was seen, in a line.
pub(super) fn sentence(finding: &Finding) -> String {
    let expected =
        if finding.expected.is_empty() { String::new() } else { format!(" Expected: {}.", finding.expected) };
    format!("{}: {}.{expected}", finding.subject, finding.observed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::findings;

    #[test]
    fn causes_come_before_what_may_follow_from_them() {
        let one = findings().remove(2);
        let of = |id, verdict| Finding { id, verdict, ..one.clone() };
        let all = [
            of("HLT-1", Verdict::Fail),
            of("HLT-3", Verdict::Fail),
            of("TLS-7", Verdict::Warn),
            of("TLS-12", Verdict::Warn),
            of("DRF-1", Verdict::Fail),
            of("CTR-4", Verdict::Fail),
            of("HDR-6", Verdict::Pass),
        ];
        let order: Vec<&str> = worst_first(&all).iter().map(|f| f.id).collect();
        assert_eq!(order, ["HLT-3", "CTR-4", "HLT-1", "DRF-1", "TLS-12", "TLS-7", "HDR-6"]);
        assert_eq!(behind(&all[0], &all), ["HLT-3"]);
        assert_eq!(behind(&all[2], &all), ["HLT-3", "TLS-12"], "a warning follows from a warning, too");
        assert_eq!(behind(&all[3], &all), ["HLT-3"], "and not from its own consequence");
        assert_eq!(behind(&all[5], &all), Vec::<&str>::new());
        assert_eq!(behind(&all[6], &all), Vec::<&str>::new(), "what passes follows from nothing");
    }
}
