//! SARIF 2.1.0, for code scanning: each finding points at the line of stack.toml that declares what was asked. Kept
//! within GitHub's limits: one run, far fewer than 25 000 results, stable rule IDs and fingerprints.

use serde_json::{Value, json};

use crate::base::hash;
use crate::model::finding::{Finding, Verdict};
use crate::probe::{CATALOGUE, Severity};
use crate::ui::findings::Report;
use crate::ui::text::uri;

use super::{is_problem, sentence, severity};

/// The whole document. What passed is left out: SARIF tells problems.
pub fn sarif(report: &Report<'_>) -> Value {
    let problems: Vec<&Finding> = report.findings.iter().filter(|f| is_problem(f)).collect();
    let rules: Vec<Value> = CATALOGUE
        .iter()
        .filter(|check| problems.iter().any(|f| f.id == check.id))
        .map(|check| {
            json!({
                "id": check.id,
                "name": check.title,
                "shortDescription": { "text": check.title },
                "fullDescription": { "text": check.question },
                "help": { "text": format!("Passes: {}. {} Source: {}.", check.pass, check.remedy, check.source) },
                "defaultConfiguration": { "level": level(Verdict::Fail) },
                "properties": { "security-severity": score(check.severity), "tags": ["deployment"] },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "stackctl verify",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "automationDetails": { "id": format!("stackctl/{}/{}", report.project, report.stage) },
            "columnKind": "unicodeCodePoints",
            "results": problems.iter().map(|finding| result(report, finding)).collect::<Vec<_>>(),
        }],
    })
}

fn result(report: &Report<'_>, finding: &Finding) -> Value {
    // What was seen changes from run to run; what was asked does not.
    let same = [finding.id, report.project, report.stage, &finding.subject].map(str::as_bytes);
    let mut text = sentence(finding);
    if let Some(remedy) = &finding.remedy {
        text.extend([" To do: ", remedy, "."]);
    }
    json!({
        "ruleId": finding.id,
        "level": level(finding.verdict),
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": artifact(report.file),
            "region": { "startLine": finding.line.unwrap_or(1).max(1) },
        }}],
        "partialFingerprints": { "stackctlFinding/v1": hash::sha256_parts(same) },
        "properties": { "verdict": finding.verdict, "vantage": finding.vantage, "severity": severity(finding.id) },
    })
}

/// Where the findings belong: a file of the repository, one elsewhere, or a site that no file declares. Only the first
/// is relative to something.
fn artifact(file: &str) -> Value {
    if file.contains("://") {
        json!({ "uri": file })
    } else if file.starts_with('/') {
        json!({ "uri": uri(file) })
    } else {
        json!({ "uri": uri(file), "uriBaseId": "%SRCROOT%" })
    }
}

fn level(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "error",
        Verdict::Warn => "warning",
        Verdict::Inconclusive => "note",
        Verdict::Pass | Verdict::NotApplicable => "none",
    }
}

/// GitHub sorts by this number: over 9.0 critical, over 7.0 high, over 4.0 medium.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "3.0",
        Severity::Medium => "5.0",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn problems_point_at_their_lines() {
        let mut all = findings();
        all[2].id = "TLS-1";
        let value = sarif(&report(&all));
        let run = &value["runs"][0];
        let results = run["results"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(results.len(), 3, "what passed or does not apply is no result");
        assert_eq!(results[0]["level"], "error");
        assert_eq!(results[0]["locations"][0]["physicalLocation"]["region"]["startLine"], 34);
        assert_eq!(results[1]["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
        let rules: Vec<&Value> = run["tool"]["driver"]["rules"].as_array().into_iter().flatten().collect();
        assert!(rules.iter().any(|rule| rule["id"] == "TLS-1"));
        // Every key that the schema requires, and no result without a rule of the catalogue that it could not name.
        for result in results {
            for key in ["ruleId", "level", "message", "locations", "partialFingerprints"] {
                assert!(result.get(key).is_some(), "{key}");
            }
            assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
            let print = result["partialFingerprints"]["stackctlFinding/v1"].as_str().unwrap_or_default();
            assert_eq!(print.len(), 64);
        }
    }

    #[test]
    fn a_fingerprint_does_not_follow_what_was_seen() {
        let (mut before, mut after) = (findings(), findings());
        after[2].observed = "something else".into();
        let print = |all: &[Finding]| {
            sarif(&report(all))["runs"][0]["results"][0]["partialFingerprints"]["stackctlFinding/v1"].clone()
        };
        assert_eq!(print(&before), print(&after));
        before[2].subject = "elsewhere".into();
        assert_ne!(print(&before), print(&after));
    }
}
