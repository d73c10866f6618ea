//! One page that stands alone: no script, no font, no picture from elsewhere, and a policy that forbids them.

use std::fmt::Write as _;

use crate::model::finding::{Finding, Verdict};
use crate::ui::findings::{Report, family_of};
use crate::ui::paint::Paint;
use crate::ui::text::utc;

use super::{details, escaped, is_problem, worst_first};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
"#;

const STYLE: &str = "<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.finding { border-left: .3rem solid; margin: .5rem 0; padding: .3rem .8rem; }
.fail { border-color: #c62828; } .inconclusive { border-color: #8e6c00; } .warn { border-color: #e69500; }
.pass { border-color: #2e7d32; } .not-applicable { border-color: #8888; opacity: .75; }
.verdict { font-weight: 700; } .subject { opacity: .8; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 6rem 1fr; margin: .3rem 0 0; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
</style>
";

/// The whole page.
pub fn html(report: &Report<'_>) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "<title>stackctl verify: {}</title>", text(report.project));
    out.push_str(STYLE);
    let _ = writeln!(
        out,
        "</head>\n<body>\n<h1>{}</h1>\n<p>{} · {}Z</p>",
        text(report.project),
        text(&report.summary(Paint(false))),
        utc(report.started)
    );
    let sorted = worst_first(report.findings);
    let problems: Vec<&Finding> = sorted.into_iter().filter(|f| is_problem(f)).collect();
    if !problems.is_empty() {
        out.push_str("<h2>To look at</h2>\n");
        for finding in problems {
            one(&mut out, report, finding);
        }
    }
    let mut family = "";
    for finding in report.findings.iter().filter(|f| !is_problem(f)) {
        if family_of(finding.id) != family {
            family = family_of(finding.id);
            let _ = writeln!(out, "<h2>{}</h2>", text(family));
        }
        one(&mut out, report, finding);
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn one(out: &mut String, report: &Report<'_>, finding: &Finding) {
    let (class, word) = (class(finding.verdict), finding.verdict.word());
    let _ = writeln!(
        out,
        "<div class=\"finding {class}\"><span class=\"verdict\">{word}</span> {} {}: <span class=\"subject\">{}</span><dl>",
        text(finding.id),
        text(finding.title),
        text(&finding.subject)
    );
    for (name, value) in details(finding, report.file) {
        if is_problem(finding) || name != "expected" {
            let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", text(&value));
        }
    }
    out.push_str("</dl></div>\n");
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::NotApplicable => "not-applicable",
        Verdict::Warn => "warn",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "fail",
    }
}

fn text(text: &str) -> String {
    escaped(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        c if c.is_control() => Some(" "),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn a_page_that_stands_alone() {
        let all = findings();
        let page = html(&report(&all));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        for outside in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("&lt;b&gt;&quot;it&quot; &amp; works&lt;/b&gt;"), "{page}");
        assert!(!page.contains('\x1b') && !page.contains("<b>"));
        assert_eq!(page.matches("class=\"finding").count(), all.len());
        for tag in ["div", "dl", "dt", "dd", "span", "h2", "p"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        let (first, last) = (page.find("HTTP-2"), page.find("TLS-1 "));
        assert!(first < last, "the worst comes first");
    }
}
