//! TAP version 14 (testanything.org): one test point for each finding, details as YAML.

use std::fmt::Write as _;

use crate::model::finding::{Finding, Verdict};
use crate::ui::findings::Report;

use super::details;

/// The whole stream.
pub fn tap(report: &Report<'_>) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", report.findings.len());
    for (number, finding) in report.findings.iter().enumerate() {
        point(&mut out, number + 1, finding, report.file);
    }
    out
}

fn point(out: &mut String, number: usize, finding: &Finding, file: &str) {
    let ok = match finding.verdict {
        Verdict::Fail | Verdict::Inconclusive => "not ok",
        Verdict::Pass | Verdict::Warn | Verdict::NotApplicable => "ok",
    };
    let skip = match finding.verdict {
        Verdict::NotApplicable => format!(" # SKIP {}", description(&finding.observed)),
        _ => String::new(),
    };
    let what = format!("{} {}: {}", finding.id, finding.title, finding.subject);
    let _ = writeln!(out, "{ok} {number} - {}{skip}", description(&what));
    if matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable) {
        return;
    }
    out.push_str("  ---\n");
    let _ = writeln!(out, "  verdict: {}", quoted(finding.verdict.word()));
    for (key, value) in details(finding, file) {
        let _ = writeln!(out, "  {key}: {}", quoted(&value));
    }
    out.push_str("  ...\n");
}

/// One line; `#` would begin a directive, and `\` escapes it.
fn description(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    flat.replace('\\', "\\\\").replace('#', "\\#")
}

/// A double-quoted YAML scalar; JSON's escapes are a part of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn the_whole_stream() {
        let all = findings();
        let text = tap(&report(&all));
        let wanted = "TAP version 14\n1..5\n\
            ok 1 - TLS-1 certificate names the domain: https://sum.example.com/\n\
            ok 2 - TLS-10 OCSP staple: https://sum.example.com/ # SKIP the certificate has no OCSP responder\n\
            not ok 3 - HTTP-2 plain HTTP redirects: https://sum.example.com/\n  ---\n  verdict: \"FAIL\"\n";
        assert!(text.starts_with(wanted), "{text}");
        assert!(text.contains("  declared: \"stack.toml:34\"\n  ...\nnot ok 4 - NET-1"), "{text}");
        assert!(!text.contains('\x1b') && !text.contains('\0'), "{text:?}");
    }

    /// The grammar of TAP 14, as far as a producer without subtests can break it.
    #[test]
    fn it_parses() {
        let mut all = findings();
        all[0].subject = "a # SKIP b \\ c\nnot ok 9".into();
        let text = tap(&report(&all));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("TAP version 14"));
        let plan: usize = lines.next().and_then(|l| l.strip_prefix("1..")).and_then(|n| n.parse().ok()).unwrap_or(0);
        let (mut points, mut inside) = (0, false);
        for line in lines {
            match (inside, line) {
                (false, "  ---") => inside = true,
                (true, "  ...") => inside = false,
                (true, yaml) => {
                    let (_, value) = yaml.trim_start().split_once(": ").unwrap_or_default();
                    assert!(serde_json::from_str::<String>(value).is_ok(), "{yaml}");
                }
                (false, point) => {
                    points += 1;
                    let rest = point.strip_prefix("not ").unwrap_or(point);
                    assert!(rest.starts_with(&format!("ok {points} - ")), "{point}");
                    let bare = rest.replace("\\#", "");
                    assert_eq!(bare.matches('#').count(), usize::from(bare.contains(" # SKIP ")), "{point}");
                }
            }
        }
        assert_eq!((points, inside), (plan, false));
    }
}
