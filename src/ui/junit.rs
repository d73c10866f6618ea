//! The report of `verify` as `JUnit` XML, by the schema that Jenkins, GitLab and others share: a failed check is a
//! `failure`, one that could not be judged an `error`, one that does not apply `skipped`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::finding::{Finding, Verdict};

use super::findings::{Report, family_of};
use super::reports::{details, escaped};
use super::text::utc;

/// The whole document.
pub fn junit(report: &Report<'_>) -> String {
    let mut families: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in report.findings {
        families.entry(family_of(finding.id)).or_default().push(finding);
    }
    let number = |verdict| report.number(verdict);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    line(
        &mut out,
        "<testsuites",
        &[
            ("name", &format!("stackctl verify {}", report.project)),
            ("tests", &report.findings.len().to_string()),
            ("failures", &number(Verdict::Fail).to_string()),
            ("errors", &number(Verdict::Inconclusive).to_string()),
            ("time", &seconds(report.millis)),
        ],
        ">",
    );
    for (family, findings) in families {
        suite(&mut out, report, family, &findings);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, report: &Report<'_>, family: &str, findings: &[&Finding]) {
    let number = |verdict| findings.iter().filter(|f| f.verdict == verdict).count().to_string();
    line(
        out,
        "  <testsuite",
        &[
            ("name", family),
            ("tests", &findings.len().to_string()),
            ("failures", &number(Verdict::Fail)),
            ("errors", &number(Verdict::Inconclusive)),
            ("skipped", &number(Verdict::NotApplicable)),
            ("time", &seconds(findings.iter().map(|f| f.millis).sum())),
            ("timestamp", &utc(report.started)),
        ],
        ">",
    );
    // GitLab keeps only the first of several with one name.
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for finding in findings {
        let mut name = format!("{} {}: {}", finding.id, finding.title, finding.subject);
        let seen = names.entry(name.clone()).or_default();
        *seen += 1;
        if *seen > 1 {
            let _ = write!(name, " ({seen})");
        }
        case(out, report, &name, finding);
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, report: &Report<'_>, name: &str, finding: &Finding) {
    // GitLab shows the class name as the suite.
    let class = format!("{}.{}", report.project, family_of(finding.id));
    let attributes = [("classname", class.as_str()), ("name", name), ("time", &seconds(finding.millis))];
    let element = match finding.verdict {
        Verdict::Pass => return line(out, "    <testcase", &attributes, "/>"),
        Verdict::NotApplicable => "skipped",
        Verdict::Inconclusive => "error",
        Verdict::Fail => "failure",
        Verdict::Warn => "system-out",
    };
    line(out, "    <testcase", &attributes, ">");
    let body = escape(&detail(report, finding));
    match element {
        "system-out" => {
            let _ = writeln!(out, "      <system-out>warning\n{body}</system-out>");
        }
        "skipped" => line(out, "      <skipped", &[("message", &finding.observed)], "/>"),
        _ => {
            let message = format!("expected {}, observed {}", finding.expected, finding.observed);
            let head = [("message", message.as_str()), ("type", finding.id)];
            line(out, &format!("      <{element}"), &head, &format!(">{body}</{element}>"));
        }
    }
    out.push_str("    </testcase>\n");
}

/// Everything there is to say, a line each.
fn detail(report: &Report<'_>, finding: &Finding) -> String {
    details(finding, report.file).into_iter().fold(String::new(), |mut out, (name, text)| {
        let _ = writeln!(out, "{name}: {text}");
        out
    })
}

fn line(out: &mut String, start: &str, attributes: &[(&str, &str)], end: &str) {
    out.push_str(start);
    for (name, value) in attributes {
        let _ = write!(out, " {name}=\"{}\"", escape(value).replace('\n', "&#10;"));
    }
    out.push_str(end);
    out.push('\n');
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Text for XML 1.0: markup escaped; characters that XML does not have at all, even escaped, left out.
fn escape(text: &str) -> String {
    escaped(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&apos;"),
        '\n' | '\t' => None,
        '\u{fffe}' | '\u{ffff}' => Some(""),
        c if c.is_control() => Some(""),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::findings::tests::{findings, report};

    #[test]
    fn the_whole_document() {
        let mut all = findings();
        all.push(all[0].clone());
        compare(&junit(&report(&all)));
    }

    /// Compared line by line, so that a difference names its line.
    fn compare(text: &str) {
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="stackctl verify sum" tests="6" failures="1" errors="1" time="3.210">
  <testsuite name="HTTP" tests="1" failures="1" errors="0" skipped="0" time="0.012" timestamp="2026-11-20T12:48:38">
    <testcase classname="sum.HTTP" name="HTTP-2 plain HTTP redirects: https://sum.example.com/" time="0.012">
      <failure message="expected 301 to https://sum.example.com/, observed 200, [31m&lt;b&gt;&quot;it&quot; &amp; works&lt;/b&gt;]]&gt;" type="HTTP-2">expected: 301 to https://sum.example.com/
observed: 200, [31m&lt;b&gt;&quot;it&quot; &amp; works&lt;/b&gt;]]&gt;
asked: from this host
remedy: something other than stackctl answers on port 80: `ss -ltnp` tells what; stop it, and run `stackctl up` again
declared: stack.toml:34
</failure>
    </testcase>
  </testsuite>
  <testsuite name="NET" tests="2" failures="0" errors="1" skipped="0" time="0.024" timestamp="2026-11-20T12:48:38">
    <testcase classname="sum.NET" name="NET-1 database is not reachable from outside: https://sum.example.com/" time="0.012">
      <error message="expected refused, observed no IPv6 here" type="NET-1">expected: refused
observed: no IPv6 here
asked: from this host
</error>
    </testcase>
    <testcase classname="sum.NET" name="NET-2 answer in time: https://sum.example.com/" time="0.012">
      <system-out>warning
expected: at most 1s
observed: 1.4s
asked: from this host
</system-out>
    </testcase>
  </testsuite>
  <testsuite name="TLS" tests="3" failures="0" errors="0" skipped="1" time="0.036" timestamp="2026-11-20T12:48:38">
    <testcase classname="sum.TLS" name="TLS-1 certificate names the domain: https://sum.example.com/" time="0.012"/>
    <testcase classname="sum.TLS" name="TLS-10 OCSP staple: https://sum.example.com/" time="0.012">
      <skipped message="the certificate has no OCSP responder"/>
    </testcase>
    <testcase classname="sum.TLS" name="TLS-1 certificate names the domain: https://sum.example.com/ (2)" time="0.012"/>
  </testsuite>
</testsuites>
"#;
        for (number, (line, wanted)) in text.lines().zip(expected.lines()).enumerate() {
            assert_eq!(line, wanted, "line {}", number + 1);
        }
        assert_eq!(text.lines().count(), expected.lines().count());
    }

    #[test]
    fn line_breaks_in_attributes_survive() {
        let mut out = String::new();
        line(&mut out, "<a", &[("b", "x\ny\r\u{1f}")], "/>");
        assert_eq!(out, "<a b=\"x&#10;y\"/>\n");
    }
}
