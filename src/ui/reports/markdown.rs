//! Markdown, for job summaries and merge requests. GitHub refuses a summary of more than 1 MiB as a whole, so it is cut.

use std::fmt::Write as _;

use crate::model::finding::{Finding, Verdict};
use crate::ui::findings::Report;
use crate::ui::paint::Paint;

use super::{escaped, is_problem, verdict, worst_first};

/// Most bytes, with room to spare for what others write into the same summary.
const MOST: usize = 900 << 10;

/// The whole document: verdict and counts, problems with what to do, and the rest folded away.
pub fn markdown(report: &Report<'_>) -> String {
    let word = verdict(report.findings);
    let mut out = format!("## {}: {word}\n\n{}\n", cell(report.project), cell(&report.summary(Paint(false))));
    let sorted = worst_first(report.findings);
    let (problems, rest): (Vec<&Finding>, Vec<&Finding>) = sorted.into_iter().partition(|f| is_problem(f));
    if !problems.is_empty() {
        out.push_str("\n| | check | of | observed | expected | to do | declared |\n|---|---|---|---|---|---|---|\n");
        rows(&mut out, &problems, |f| {
            let place = f.line.map(|line| format!("{}:{line}", report.file)).unwrap_or_default();
            let remedy = f.remedy.as_deref().unwrap_or_default();
            let cells = [f.observed.as_str(), &f.expected, remedy, &place].map(cell);
            format!(
                "| {} | {} {} | {} | {} |",
                mark(f.verdict),
                f.id,
                cell(f.title),
                cell(&f.subject),
                cells.join(" | ")
            )
        });
    }
    if !rest.is_empty() {
        let _ = writeln!(out, "\n<details><summary>{} passed or do not apply</summary>\n", rest.len());
        out.push_str("| | check | of | observed |\n|---|---|---|---|\n");
        rows(&mut out, &rest, |f| {
            let cells = [f.title, &f.subject, &f.observed].map(cell);
            format!("| {} | {} {} | {} | {} |", mark(f.verdict), f.id, cells[0], cells[1], cells[2])
        });
        out.push_str("\n</details>\n");
    }
    out
}

fn rows(out: &mut String, findings: &[&Finding], row: impl Fn(&Finding) -> String) {
    for (done, finding) in findings.iter().enumerate() {
        let row = row(finding);
        if out.len() + row.len() > MOST {
            let _ = writeln!(out, "| | {} more | | |", findings.len() - done);
            return;
        }
        out.push_str(&row);
        out.push('\n');
    }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::NotApplicable => "n/a",
        Verdict::Warn => "⚠ warn",
        Verdict::Inconclusive => "❔ unsure",
        Verdict::Fail => "❌ FAIL",
    }
}

/// Text in a cell: no markup of its own, and no end of the cell.
fn cell(text: &str) -> String {
    escaped(text, |c| match c {
        '|' => Some("\\|"),
        '`' => Some("\\`"),
        '*' => Some("\\*"),
        '_' => Some("\\_"),
        '[' => Some("\\["),
        ']' => Some("\\]"),
        '\\' => Some("\\\\"),
        '~' => Some("\\~"),
        '#' => Some("\\#"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        c if c.is_control() => Some(" "),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn the_worst_comes_first_and_nothing_breaks_out() {
        let all = findings();
        let text = markdown(&report(&all));
        assert!(text.starts_with("## sum: not as declared\n\n5 checks of sum (production) in 3.2s"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| ❌") || l.starts_with("| ⚠")).collect();
        assert!(rows[0].contains("HTTP-2") && rows[0].contains("&lt;b&gt;") && rows[0].contains("stack.toml:34"));
        assert_eq!(rows.len(), 2);
        // Seven cells each, whatever stands in them.
        let columns = |row: &str| row.replace("\\|", "").matches('|').count();
        assert!(text.lines().filter(|l| l.starts_with('|')).all(|l| [5, 8].contains(&columns(l))), "{text}");
    }

    #[test]
    fn a_long_report_is_cut_below_a_mebibyte() {
        let mut one = findings().remove(2);
        one.observed = "x|".repeat(2000);
        let all = vec![one; 1000];
        let text = markdown(&report(&all));
        assert!(text.len() < 1 << 20, "{}", text.len());
        assert!(text.contains(" more | | |"));
    }
}
