//! The prober and testssl.sh about the same servers: on every question that both ask, one answer, or a reason why not.
//!
//! testssl.sh takes half a minute for a server, so its answers are kept in `testssl.json`. `SOAK=1` asks it again, and
//! compares what it says with what is kept; `UPDATE_TESTSSL=1` keeps it, `UPDATE_DOCS=1` writes docs/testssl.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use stackctl::model::finding::{Finding, Verdict};

use crate::support::DOMAIN;
use crate::support::certs::Authority;
use crate::support::nginx::ports;
use crate::tls::{Case, cases};

/// What testssl.sh is told besides the server: protocols, suites by strength, server defaults, headers.
const ARGUMENTS: [&str; 4] = ["-p", "-s", "-S", "-h"];

/// What testssl.sh said, by server.
#[derive(Serialize, Deserialize, Default)]
struct Kept {
    version: String,
    servers: BTreeMap<String, Said>,
}

/// What it said of a server.
#[derive(Serialize, Deserialize, Default)]
struct Said {
    seconds: f64,
    /// How long the prober took for the same questions, then.
    prober: f64,
    /// Severity and finding, by testssl.sh's own identifiers; only those that are asked for below.
    answers: BTreeMap<String, (String, String)>,
}

/// A question that both ask.
struct Question {
    what: &'static str,
    /// Our checks: fine if none of them fails or warns.
    ours: &'static [&'static str],
    /// Identifiers of testssl.sh: fine if none is bad.
    theirs: &'static [&'static str],
    /// Whether an answer of testssl.sh is bad.
    bad: fn(severity: &str, finding: &str) -> bool,
}

fn offered(_: &str, finding: &str) -> bool {
    finding.contains("offered") && !finding.contains("not offered")
}

fn missing(_: &str, finding: &str) -> bool {
    finding.contains("not offered") || !finding.contains("offered")
}

fn rated(severity: &str, _: &str) -> bool {
    matches!(severity, "LOW" | "MEDIUM" | "HIGH" | "CRITICAL")
}

fn grave(severity: &str, _: &str) -> bool {
    matches!(severity, "HIGH" | "CRITICAL")
}

fn version(_: &str, finding: &str) -> bool {
    finding.contains('/')
}

const QUESTIONS: [Question; 14] = [
    Question {
        what: "SSL 2 to TLS 1.1 are not spoken",
        ours: &["TLS-1"],
        theirs: &["SSLv2", "SSLv3", "TLS1", "TLS1_1"],
        bad: offered,
    },
    Question { what: "TLS 1.3 is spoken", ours: &["TLS-2"], theirs: &["TLS1_3"], bad: missing },
    Question {
        what: "no weak suites",
        ours: &["TLS-3"],
        theirs: &[
            "cipherlist_NULL",
            "cipherlist_aNULL",
            "cipherlist_EXPORT",
            "cipherlist_LOW",
            "cipherlist_3DES_IDEA",
            "cipherlist_AVERAGE",
        ],
        bad: offered,
    },
    Question { what: CHAIN, ours: &["TLS-5"], theirs: &["cert_chain_of_trust"], bad: grave },
    Question { what: "the certificate has the name", ours: &["TLS-6"], theirs: &["cert_trust"], bad: grave },
    Question {
        what: "the certificate has time left",
        ours: &["TLS-7"],
        theirs: &["cert_expirationStatus"],
        bad: rated,
    },
    Question {
        what: "key and signature are strong",
        ours: &["TLS-9"],
        theirs: &["cert_keySize", "cert_signatureAlgorithm"],
        bad: rated,
    },
    Question { what: REVOKED, ours: &["TLS-10"], theirs: &["OCSP_stapling"], bad: rated },
    Question { what: "HTTP/2", ours: &["TLS-13"], theirs: &["ALPN_HTTP2"], bad: missing_h2 },
    Question { what: "HSTS", ours: &["HSTS-1"], theirs: &["HSTS", "HSTS_time"], bad: rated },
    Question { what: "no version is told", ours: &["HDR-7"], theirs: &["banner_server"], bad: version },
    Question { what: "types are not guessed", ours: &["HDR-1"], theirs: &["X-Content-Type-Options"], bad: rated },
    Question { what: "framing", ours: &["HDR-2"], theirs: &["X-Frame-Options"], bad: rated },
    Question { what: "Content-Security-Policy", ours: &["HDR-3"], theirs: &["Content-Security-Policy"], bad: rated },
];

fn missing_h2(_: &str, finding: &str) -> bool {
    !finding.contains("h2")
}

/// Where the two differ, and who is right. `server` empty: on every server.
struct Difference {
    server: &'static str,
    what: &'static str,
    who: &'static str,
    why: &'static str,
}

const DIFFERENCES: [Difference; 2] = [
    Difference {
        server: "",
        what: REVOKED,
        who: "both",
        why: "The certificates name no OCSP responder, so there is nothing to staple: testssl.sh notes it without blame, \
              stackctl says that the question does not apply.",
    },
    Difference {
        server: "expired",
        what: CHAIN,
        who: "stackctl",
        why: "The chain is complete and leads to a trusted root; what is wrong is the date, and both say so where they ask \
              for it. One fault is one finding.",
    },
];

/// Questions with differences.
const CHAIN: &str = "the chain is complete and trusted";
const REVOKED: &str = "a certificate can be revoked";

/// Checks that answer what testssl.sh is asked for.
const ONLY: [&str; 3] = ["TLS", "HSTS", "HDR"];
/// How many times as fast the prober has to be.
const FASTER: f64 = 20.0;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn soak() -> bool {
    std::env::var("SOAK").is_ok_and(|v| v == "1")
}

fn update() -> bool {
    std::env::var_os("UPDATE_TESTSSL").is_some()
}

/// Asks testssl.sh about a server.
fn testssl(case: &Case<'_>, ca: &Authority, https: u16) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let (json, authority) = (folder.path().join("said.json"), folder.path().join("ca.pem"));
    std::fs::write(&authority, &ca.root).unwrap();
    let began = Instant::now();
    let output = Command::new("testssl")
        .args(ARGUMENTS)
        .args(["--ip", "127.0.0.1", "--nodns", "none", "--warnings", "off", "--color", "0", "--quiet"])
        .args(["--add-ca", &authority.display().to_string(), "--jsonfile", &json.display().to_string()])
        .arg(format!("https://{DOMAIN}:{https}"))
        .stdin(Stdio::null())
        .output()
        .expect("testssl (apt-get install testssl.sh)");
    let seconds = began.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(&json).unwrap_or_default();
    let all: Vec<serde_json::Value> = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{}: {e}\n{}\n{text}", case.name, String::from_utf8_lossy(&output.stdout)));
    let asked = |id: &str| QUESTIONS.iter().any(|question| question.theirs.contains(&id));
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let answers = all.iter().filter(|answer| asked(&text(answer, "id")));
    let answers = answers.map(|answer| (text(answer, "id"), (text(answer, "severity"), text(answer, "finding"))));
    Said { seconds, prober: 0.0, answers: answers.collect() }
}

/// Whether all is well by testssl.sh; `None` if it does not say.
fn theirs(question: &Question, said: &Said) -> Option<bool> {
    let answers: Vec<_> = question.theirs.iter().filter_map(|id| said.answers.get(*id)).collect();
    (!answers.is_empty()).then(|| !answers.iter().any(|(severity, finding)| (question.bad)(severity, finding)))
}

/// Whether all is well by the prober; `None` if it does not apply.
fn ours(question: &Question, findings: &[Finding]) -> Option<bool> {
    let verdict = findings.iter().filter(|f| question.ours.contains(&f.id)).map(|f| f.verdict).max()?;
    (verdict != Verdict::NotApplicable).then_some(verdict == Verdict::Pass)
}

fn word(fine: Option<bool>) -> &'static str {
    match fine {
        Some(true) => "fine",
        Some(false) => "bad",
        None => "does not apply",
    }
}

fn kept() -> PathBuf {
    root().join("tests/probe/testssl.json")
}

#[tokio::test]
async fn both_give_one_answer_or_there_is_a_reason() {
    let ca = Authority::new();
    let mut record: Kept =
        serde_json::from_str(&std::fs::read_to_string(kept()).unwrap_or_default()).unwrap_or_default();
    let (mut wrong, mut rows) = (String::new(), String::new());
    let (mut agreed, mut unexplained, mut used) = (0, 0, vec![0; DIFFERENCES.len()]);
    let (mut theirs_took, mut ours_took) = (0.0, 0.0);
    for case in cases(&ca) {
        let [http, https] = ports();
        let nginx = case.serve(http, https);
        let findings = case.probed(&ca, http, https, &[]).await;
        if soak() || update() {
            let mut said = testssl(&case, &ca, https);
            let began = Instant::now();
            let timed = case.probed(&ca, http, https, &ONLY).await;
            said.prober = began.elapsed().as_secs_f64();
            for question in &QUESTIONS {
                assert_eq!(ours(question, &timed), ours(question, &findings), "{}: {}", case.name, question.what);
            }
            println!("{:24} testssl.sh took {:.1} s, the prober {:.2} s", case.name, said.seconds, said.prober);
            (theirs_took, ours_took) = (theirs_took + said.seconds, ours_took + said.prober);
            if update() {
                record.servers.insert(case.name.to_owned(), said);
            } else {
                let before = &record.servers[case.name];
                for question in &QUESTIONS {
                    let (now, then) = (theirs(question, &said), theirs(question, before));
                    if now != then {
                        let _ = writeln!(wrong, "{}: {}: testssl.sh now says {now:?}", case.name, question.what);
                    }
                }
            }
        }
        drop(nginx);
        let Some(said) = record.servers.get(case.name) else {
            let _ = writeln!(wrong, "{}: nothing is kept, UPDATE_TESTSSL=1 asks", case.name);
            continue;
        };
        let mut differ = Vec::new();
        for question in &QUESTIONS {
            let (ours, theirs) = (ours(question, &findings), theirs(question, said));
            if theirs.is_none() {
                let _ = writeln!(wrong, "{}: {}: testssl.sh does not say", case.name, question.what);
            }
            if ours == theirs {
                agreed += 1;
                continue;
            }
            let why = DIFFERENCES.iter().position(|difference| {
                difference.what == question.what && (difference.server.is_empty() || difference.server == case.name)
            });
            let Some(why) = why else {
                let answers: Vec<_> = question.theirs.iter().map(|id| (id, said.answers.get(*id))).collect();
                let _ = writeln!(
                    wrong,
                    "{}: {}: ours {}, theirs {} {answers:?}",
                    case.name,
                    question.what,
                    word(ours),
                    word(theirs)
                );
                unexplained += 1;
                continue;
            };
            used[why] += 1;
            differ.push(format!("{} ({}): ours {}, testssl.sh {}", question.what, why + 1, word(ours), word(theirs)));
        }
        let differ = if differ.is_empty() { "none".to_owned() } else { differ.join("; ") };
        let _ = writeln!(rows, "| {} | {:.1} s | {:.2} s | {differ} |", case.name, said.seconds, said.prober);
    }
    for (difference, used) in DIFFERENCES.iter().zip(&used) {
        assert!(*used > 0, "{} ({}): they agree now", difference.what, difference.server);
    }
    println!("{agreed} answers agree, {} differ with a reason, {unexplained} without", used.iter().sum::<usize>());
    if ours_took > 0.0 {
        let times = theirs_took / ours_took;
        println!(
            "the same questions in one run: testssl.sh {theirs_took:.1} s, the prober {ours_took:.2} s, {times:.0} times as fast (at least {FASTER})"
        );
    }
    assert!(theirs_took >= FASTER * ours_took, "testssl.sh took {theirs_took:.1} s, the prober {ours_took:.1} s");
    if update() {
        let output = Command::new("testssl").args(["--version"]).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().skip_while(|w| *w != "testssl" && *w != "testssl.sh").nth(1);
        record.version = version.unwrap_or_default().to_owned();
        std::fs::write(kept(), format!("{:#}\n", serde_json::to_value(&record).unwrap())).unwrap();
    }
    document(&record, agreed, &used, &rows);
    assert!(wrong.is_empty(), "{wrong}");
}

/// `docs/testssl.md`.
fn document(record: &Kept, agreed: usize, used: &[usize], rows: &str) {
    let mut text = format!(
        "# Agreement with testssl.sh\n\n\
         <!-- Made from tests/probe/testssl.rs by `UPDATE_DOCS=1 cargo test --test probe testssl::`. -->\n\n\
         `stackctl verify` and testssl.sh {} (`{}`) are asked about the same servers, each with one thing wrong, and have to \
         give one answer to every question that both ask. `make test` compares with answers of testssl.sh that are kept; \
         `make soak` asks it again.\n\n\
         Of {} answers {agreed} agree. Where they differ, the reason is below.\n\n\
         | server | testssl.sh took | the prober took | differences |\n|---|---|---|---|\n{rows}\n## Who is right\n\n",
        record.version,
        ARGUMENTS.join(" "),
        agreed + used.iter().sum::<usize>(),
    );
    for (number, difference) in DIFFERENCES.iter().enumerate() {
        let _ = writeln!(text, "{}. {}: **{}**. {}", number + 1, difference.what, difference.who, difference.why);
    }
    text += "\n## The questions\n\n| | checks | testssl.sh |\n|---|---|---|\n";
    for question in &QUESTIONS {
        let _ = writeln!(text, "| {} | {} | {} |", question.what, question.ours.join(", "), question.theirs.join(", "));
    }
    let path = root().join("docs/testssl.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "UPDATE_DOCS=1 writes it anew");
}
