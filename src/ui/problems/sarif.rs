//! Problems as SARIF 2.1.0 (OASIS), which code hosts and editors show beside the lines they are about.

use serde_json::{Value, json};

use crate::base::fix;
use crate::base::problem::{Origin, Problem, Severity, line_column};

use super::super::text::uri;
use super::{Report, Source};

/// The whole log. Equal reports are equal to the byte.
pub fn sarif(report: &Report<'_>) -> Value {
    let mut rules: Vec<&str> = report.problems.iter().map(|p| p.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> = report.problems.iter().map(|p| result(report, p, &rules)).collect();
    let rules: Vec<Value> = rules.iter().map(|id| json!({ "id": id, "name": name(id) })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "stackctl", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(report: &Report<'_>, problem: &Problem, rules: &[&str]) -> Value {
    let source = report.source(&problem.origin);
    let artifact = json!({ "uri": uri(&source.name) });
    let text = [Some(&problem.message), problem.label.as_ref(), problem.help.as_ref()];
    let text: Vec<&str> = text.into_iter().flatten().map(String::as_str).collect();
    let mut location = json!({ "artifactLocation": artifact });
    if let Some(span) = &problem.span {
        location["region"] = region(&source, span);
    }
    let mut result = json!({
        "ruleId": problem.rule,
        "ruleIndex": rules.iter().position(|r| *r == problem.rule),
        "level": match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": { "text": text.join(". ") },
        "locations": [{ "physicalLocation": location }],
    });
    if let Some(edit) = fix::edit(report.stack.text, problem).filter(|_| problem.origin == Origin::Stack) {
        result["fixes"] = json!([{
            "description": { "text": "Write what the message asks for" },
            "artifactChanges": [{
                "artifactLocation": artifact,
                "replacements": [{
                    "deletedRegion": region(&report.stack, &edit.range),
                    "insertedContent": { "text": edit.text },
                }],
            }],
        }]);
    }
    result
}

fn region(source: &Source<'_>, span: &std::ops::Range<usize>) -> Value {
    let (line, column) = line_column(source.text, span.start);
    let (end_line, end_column) = line_column(source.text, span.end);
    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
}

/// `unknown-key` as `UnknownKey`: SARIF's names are written so.
fn name(id: &str) -> String {
    id.split('-')
        .map(|word| word.split_at_checked(1).map_or(String::new(), |(first, rest)| first.to_uppercase() + rest))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_result_with_its_place_and_its_fix() {
        let text = "é = 1\nreplcas = 2\n";
        let problem = Problem::error("unknown key").rule("unknown-key").at(7..14).fix("replicas");
        let stack = Source { name: "my stack.toml".into(), text };
        let none = |name: &'static str| Source { name: name.into(), text: "" };
        let log = sarif(&Report { stack, env: none(".env"), lock: none("stack.lock"), problems: &[problem] });
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "my%20stack.toml");
        let region = json!({ "startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 8 });
        assert_eq!(result["locations"][0]["physicalLocation"]["region"], region);
        let replacement = &result["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!(replacement, &json!({ "deletedRegion": region, "insertedContent": { "text": "replicas" } }));
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0], json!({ "id": "unknown-key", "name": "UnknownKey" }));
    }
}
