//! Workflow commands of GitHub Actions: annotations at the line of stack.toml. GitHub keeps ten of each kind a step and
//! drops the rest without a word, so the worst come first and the last says how many are missing.

use std::fmt::Write as _;

use crate::model::finding::{Finding, Verdict};
use crate::ui::findings::Report;
use crate::ui::paint::Paint;

use super::{sentence, worst_first};

/// Most annotations of a kind that a step keeps.
const MOST: usize = 10;

/// All annotations, and the counts as plain text.
pub fn github(report: &Report<'_>) -> String {
    let mut out = String::new();
    for (kind, verdicts) in [("error", &[Verdict::Fail, Verdict::Inconclusive][..]), ("warning", &[Verdict::Warn][..])]
    {
        let found: Vec<&Finding> =
            worst_first(report.findings).into_iter().filter(|f| verdicts.contains(&f.verdict)).collect();
        let shown = if found.len() > MOST { MOST - 1 } else { found.len() };
        for finding in &found[..shown] {
            let line = finding.line.unwrap_or(1);
            let title = format!("{} {}", finding.id, finding.title);
            let mut text = sentence(finding);
            if finding.verdict == Verdict::Inconclusive {
                text.insert_str(0, "could not be judged: ");
            }
            if let Some(remedy) = &finding.remedy {
                text.extend(["\nTo do: ", remedy]);
            }
            let _ = writeln!(
                out,
                "::{kind} file={},line={line},title={}::{}",
                property(report.file),
                property(&title),
                data(&text)
            );
        }
        if found.len() > shown {
            let _ = writeln!(
                out,
                "::{kind} file={},title=stackctl verify::{} more; the log of this step and the other reports have all",
                property(report.file),
                found.len() - shown
            );
        }
    }
    let _ = writeln!(out, "{}", report.summary(Paint(false)));
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn annotations_stand_at_their_line() {
        let all = findings();
        let text = github(&report(&all));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("::error file=stack.toml,line=34,title=HTTP-2 plain HTTP redirects::"), "{text}");
        assert!(lines[0].contains("%0ATo do: something other"), "{text}");
        assert!(lines[1].starts_with("::error file=stack.toml,line=1,title=NET-1"), "{text}");
        assert!(lines[2].starts_with("::warning file=stack.toml,line=1,title=NET-2"), "{text}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn the_eleventh_is_counted_not_lost() {
        let one = findings().remove(2);
        let all = vec![one; 14];
        let text = github(&report(&all));
        assert_eq!(text.lines().filter(|l| l.starts_with("::error")).count(), MOST);
        assert!(text.contains("::5 more"), "{text}");
    }

    #[test]
    fn nothing_ends_a_command_early() {
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
        assert_eq!(data("a:b,c%\r\n::error::x"), "a:b,c%25%0D%0A::error::x");
    }
}
