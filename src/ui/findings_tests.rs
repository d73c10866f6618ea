use super::*;

pub(in crate::ui) fn findings() -> Vec<Finding> {
    let finding = |id, title, verdict, observed: &str| Finding {
        id,
        title,
        subject: "https://sum.example.com/".into(),
        verdict,
        expected: String::new(),
        observed: observed.into(),
        remedy: None,
        line: None,
        vantage: "from this host",
        millis: 12,
    };
    vec![
        finding("TLS-1", "certificate names the domain", Verdict::Pass, "sum.example.com"),
        finding("TLS-10", "OCSP staple", Verdict::NotApplicable, "the certificate has no OCSP responder"),
        Finding {
            expected: "301 to https://sum.example.com/".into(),
            remedy: Some("something other than stackctl answers on port 80: `ss -ltnp` tells what; stop it, and run `stackctl up` again".into()),
            line: Some(34),
            ..finding("HTTP-2", "plain HTTP redirects", Verdict::Fail, "200, \x1b[31m<b>\"it\" & works</b>]]>\u{0}")
        },
        Finding {
            expected: "refused".into(),
            ..finding("NET-1", "database is not reachable from outside", Verdict::Inconclusive, "no IPv6 here")
        },
        Finding { expected: "at most 1s".into(), ..finding("NET-2", "answer in time", Verdict::Warn, "1.4s") },
    ]
}

pub(in crate::ui) fn report(findings: &[Finding]) -> Report<'_> {
    Report {
        project: "sum",
        stage: "production",
        file: "stack.toml",
        findings,
        started: 1_795_178_918,
        millis: 3_210,
        earlier: None,
        timings: None,
    }
}

#[test]
fn people_see_what_is_wrong_and_where() {
    let findings = findings();
    let text = report(&findings).human(Paint(false), 80);
    assert_eq!(
        text,
        r#"sum (production): not as declared

To look at
  FAIL    HTTP-2  plain HTTP redirects: https://sum.example.com/
              expected  301 to https://sum.example.com/
              observed  200, \u{1b}[31m<b>"it" & works</b>]]>\u{0}
              asked     from this host
              remedy    something other than stackctl answers on port 80: `ss
                        -ltnp` tells what; stop it, and run `stackctl up` again
              declared  stack.toml:34
  unsure  NET-1   database is not reachable from outside:
                  https://sum.example.com/
              expected  refused
              observed  no IPv6 here
              asked     from this host
  warn    NET-2   answer in time: https://sum.example.com/
              expected  at most 1s
              observed  1.4s
              asked     from this host
              follows   perhaps from NET-1: look at that first

TLS
  pass    TLS-1   certificate names the domain: https://sum.example.com/

Does not apply
  TLS-10: the certificate has no OCSP responder

5 checks of sum (production) in 3.2s:
1 failed, 1 not judged, 1 to be looked at, 1 passed, 1 not applicable
"#
    );
}

#[test]
fn nothing_found_is_said() {
    assert_eq!(
        report(&[]).human(Paint(false), 80),
        "sum (production): nothing was asked\n\n0 checks of sum (production) in 3.2s: nothing was asked\n"
    );
}

#[test]
fn programs_get_a_versioned_document() {
    let findings = findings();
    let value = report(&findings).json();
    assert_eq!(value["schema"], "stackctl.verify/1");
    assert_eq!(value["verdict"], "fail");
    assert_eq!(value["started"], "2026-11-20T12:48:38Z");
    assert_eq!(
        value["summary"],
        json!({ "total": 5, "pass": 1, "not-applicable": 1, "warn": 1, "inconclusive": 1, "fail": 1 })
    );
    assert_eq!(value["findings"][2]["place"], json!({ "file": "stack.toml", "line": 34 }));
}
