//! Reports for other programs, judged by the schemas those programs go by (`tests/cli/schemas`, each with its source).

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use stackctl::model::finding::{Finding, Verdict};
use stackctl::probe::CATALOGUE;
use stackctl::ui::findings::Report;
use stackctl::ui::junit::junit;
use stackctl::ui::reports::sarif::sarif;

use crate::harness::{Case, root};

/// Every check of the catalogue once, with every verdict in turn, and with texts that formats trip over.
fn findings() -> Vec<Finding> {
    const VERDICTS: [Verdict; 5] =
        [Verdict::Pass, Verdict::NotApplicable, Verdict::Warn, Verdict::Inconclusive, Verdict::Fail];
    const TEXTS: [&str; 6] = [
        "https://sum.example.com/a?b=1&c=<2>",
        "]]> </failure> <!-- \"x\" 'y'",
        "line one\nline two\ttab\r",
        "\u{1b}[31m\u{0}\u{fffe}\u{202e}",
        "ünïcödé 日本 🦀",
        "",
    ];
    let all = CATALOGUE.iter().cycle().zip(VERDICTS.iter().cycle()).zip(TEXTS.iter().cycle());
    // As many as make every check meet every verdict.
    all.take(CATALOGUE.len() * VERDICTS.len())
        .enumerate()
        .map(|(n, ((check, verdict), text))| Finding {
            id: check.id,
            title: check.title,
            subject: format!("{text} {}", n % 7),
            verdict: *verdict,
            expected: check.pass.to_owned(),
            observed: (*text).to_owned(),
            remedy: (n % 2 == 0).then(|| check.remedy.to_owned()),
            line: (n % 3 != 0).then_some(u32::try_from(n).expect("few")),
            vantage: "host",
            millis: 12_345 * u64::try_from(n).expect("few"),
        })
        .collect()
}

fn report<'a>(file: &'a str, findings: &'a [Finding]) -> Report<'a> {
    Report {
        project: "sum",
        stage: "",
        file,
        findings,
        started: 1_795_178_918,
        millis: 4_003_210,
        earlier: None,
        timings: None,
    }
}

/// What `xmllint` says of a document, nothing if it is valid.
fn xml(document: &str) -> String {
    let mut lint = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(root().join("tests/cli/schemas/junit-10.xsd"))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint (apt-get install libxml2-utils)");
    lint.stdin.take().expect("its input").write_all(document.as_bytes()).expect("the document");
    let output = lint.wait_with_output().expect("its end");
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        said.clear();
    } else {
        let _ = write!(said, "{}", output.status);
    }
    said
}

struct Sarif {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Sarif {
    fn new() -> Self {
        let text =
            std::fs::read_to_string(root().join("tests/cli/schemas/sarif-schema-2.1.0.json")).expect("the schema");
        let mut compiler = boon::Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource("sarif.json", serde_json::from_str(&text).expect("JSON")).expect("a resource");
        let mut schemas = boon::Schemas::new();
        let index = compiler.compile("sarif.json", &mut schemas).unwrap_or_else(|e| unreachable!("{e:#}"));
        Self { schemas, index }
    }

    /// What is wrong with a log, nothing if it is valid.
    fn judge(&self, log: &Value) -> String {
        self.schemas.validate(log, self.index).map_or_else(|error| format!("{error:#}"), |()| String::new())
    }
}

#[test]
fn junit_is_as_its_schema_says() {
    let all = findings();
    let right = junit(&report("stack.toml", &all));
    assert_eq!(xml(&right), "");
    assert_eq!(xml(&junit(&report("stack.toml", &[]))), "");
    for (from, to) in [
        ("<testcase ", "<testcases "),
        ("tests=\"", "number=\""),
        (" name=\"", " title=\""),
        ("<failure message", "<failed message"),
        ("time=\"", "time=\"x"),
        ("</testsuite>", "</testsuite><loose/>"),
    ] {
        let broken = right.replacen(from, to, 1).replace("</testcases>", "</testcase>");
        assert_ne!(broken, right, "{from}");
        assert_ne!(xml(&broken), "", "`{from}` as `{to}` is not rejected");
    }
}

#[test]
fn sarif_is_as_its_schema_says() {
    let (judge, all) = (Sarif::new(), findings());
    for file in ["stack.toml", "my stacks/é.toml", "/srv/a b/stack.toml", "https://example.com:8443/a?b=c"] {
        let log = sarif(&report(file, &all));
        assert_eq!(judge.judge(&log), "", "{file}");
        assert!(log["runs"][0]["results"].as_array().is_some_and(|results| results.len() > CATALOGUE.len()));
    }
    let right = sarif(&report("stack.toml", &all));
    let place = "/runs/0/results/0/locations/0/physicalLocation";
    for (at, wrong) in [
        ("/version".to_owned(), json!("2.1")),
        ("/runs".to_owned(), json!({})),
        ("/runs/0/tool/driver/name".to_owned(), json!(7)),
        ("/runs/0/results/0/level".to_owned(), json!("fatal")),
        ("/runs/0/results/0/message".to_owned(), json!("text")),
        (format!("{place}/region/startLine"), json!(0)),
        (format!("{place}/artifactLocation/uri"), json!("a b")),
        ("/runs/0/results/0/partialFingerprints".to_owned(), json!([])),
    ] {
        let mut broken = right.clone();
        *broken.pointer_mut(&at).unwrap_or_else(|| unreachable!("{at}")) = wrong;
        assert_ne!(judge.judge(&broken), "", "{at} is not rejected");
    }
}

/// The same of what the program prints: a file with problems, and a site that nobody answers for.
#[test]
fn what_is_printed_is_as_the_schemas_say() {
    let judge = Sarif::new();
    let case = Case::new().file("stack.toml", "name = \"x\"\n[services.a]\nimage = \"x:1\"\nreplcas = 2\n");
    let log = |args: &[&str], code: i32| -> Value {
        let outcome = case.run(args);
        assert_eq!(outcome.code, Some(code), "{args:?}: {}{}", outcome.stdout, outcome.stderr);
        serde_json::from_str(&outcome.stdout).expect("JSON")
    };
    let found = log(&["check", "--format", "sarif"], 2);
    assert_eq!(judge.judge(&found), "");
    assert_eq!(found["runs"][0]["results"].as_array().map(Vec::len), Some(1));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let url = format!("http://localhost:{closed}/");
    let asked = ["verify", "--quick", "--deadline", "4s", "--url", &url];
    let found = log(&[&asked[..], &["--format", "sarif"]].concat(), 4);
    assert_eq!(judge.judge(&found), "");
    assert!(found["runs"][0]["results"].as_array().is_some_and(|results| !results.is_empty()));
    let outcome = case.run(&[&asked[..], &["--format", "junit"]].concat());
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert_eq!(xml(&outcome.stdout), "");
    assert!(outcome.stdout.contains("<failure message"), "{}", outcome.stdout);
}
