//! `verify --outside` and `--url`: a front door somewhere, and no engine.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::Case;

/// A server that gives everybody one answer. It ends with the test's process.
fn server(answer: &'static str) -> u16 {
    changing([answer; 2]).0
}

/// A server that gives the first answer, and the second when it is told to.
fn changing(answers: [&'static str; 2]) -> (u16, Arc<AtomicBool>) {
    let second = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&second);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answers[usize::from(told.load(Ordering::Relaxed))];
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let mut request: Vec<u8> = Vec::new();
                let mut buffer = [0; 4096];
                while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => return,
                        Ok(read) => request.extend(&buffer[..read]),
                    }
                }
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    (port, second)
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Content-Type-Options: nosniff\r\n\
                    Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n\
                    Referrer-Policy: no-referrer\r\n\r\nhello";
const TALKATIVE: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.2.3\r\nContent-Length: 17\r\n\
                         Access-Control-Allow-Origin: null\r\n\r\nref: refs/heads/x";

/// The checks with a verdict, by identifier.
fn with(report: &Value, verdict: &str) -> Vec<String> {
    let all = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let found = all.iter().filter(|f| f["verdict"] == verdict).filter_map(|f| f["id"].as_str().map(str::to_owned));
    let mut found: Vec<String> = found.collect();
    found.dedup();
    found
}

fn report(case: &Case, args: &[&str], code: i32) -> Value {
    let outcome = case.run(&[&["--json", "verify", "--quick", "--deadline", "8s"], args].concat());
    assert_eq!(outcome.code, Some(code), "{}{}", outcome.stdout, outcome.stderr);
    serde_json::from_str(&outcome.stdout).expect("a report")
}

#[test]
fn a_site_of_anybodys_making_is_judged_by_general_rules() {
    let case = Case::new();
    let url = format!("http://localhost:{}/", server(GOOD));
    let good = report(&case, &["--url", &url], 0);
    assert_eq!(with(&good, "fail"), Vec::<String>::new());
    assert_eq!(with(&good, "inconclusive"), Vec::<String>::new());
    let passed = with(&good, "pass");
    for id in ["HLT-1", "HDR-1", "HDR-2", "HDR-3", "HDR-4", "HDR-7", "NET-5", "CORS-1"] {
        assert!(passed.iter().any(|p| p == id), "{id} is not among {passed:?}");
    }
    let unseen = with(&good, "not-applicable");
    for id in ["HLT-3", "NET-1", "CTR-1", "DB-1", "DRF-1", "HDR-6", "RED-1"] {
        assert!(unseen.iter().any(|p| p == id), "{id} cannot be seen from there: {unseen:?}");
    }
    assert!(
        good["findings"].as_array().is_some_and(|all| all.iter().all(|f| f["place"].is_null())),
        "no file, no line"
    );

    let url = format!("http://localhost:{}/", server(TALKATIVE));
    let bad = report(&case, &["--url", &url], 4);
    assert_eq!(with(&bad, "fail"), ["HDR-7", "NET-5", "CORS-1"]);
    assert_eq!(with(&bad, "warn"), ["HDR-1", "HDR-2", "HDR-3", "HDR-4"]);

    let down = server("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let down = report(&case, &["--only", "HLT-1", "--url", &format!("http://localhost:{down}/")], 4);
    assert_eq!(with(&down, "fail"), ["HLT-1"]);
}

#[test]
fn a_stack_is_judged_by_its_file_from_outside() {
    let port = server(GOOD);
    let stack = format!(
        "name = \"x\"\n[services.app]\nimage = \"x:1\"\nport = 80\n[proxy]\ntls = \"off\"\nhttp_port = {port}\n[routes]\n\"/\" = \"app\"\n"
    );
    let case = Case::new().file("stack.toml", stack);
    let found = report(&case, &["--outside"], 4);
    // Headers that stack.toml has by default, and a size that nobody looks at.
    assert_eq!(with(&found, "fail"), ["HDR-6", "BODY-1"]);
    let all = found["findings"].as_array().expect("findings");
    let line = all.iter().find(|f| f["id"] == "HDR-6").map(|f| f["place"]["line"].clone());
    assert_eq!(line, Some(Value::from(5)), "the line of [proxy]");
    assert!(with(&found, "not-applicable").iter().any(|id| id == "HLT-3"), "no engine was asked");
    // The same file at a place the DNS does not lead to.
    let other = server(TALKATIVE);
    let found = report(&case, &["--outside", "--only", "HDR-7", "--url", &format!("http://127.0.0.1:{other}")], 4);
    assert_eq!(with(&found, "fail"), ["HDR-7"]);
}

#[test]
fn only_what_is_worse_than_before_counts() {
    let (port, second) = changing([TALKATIVE, GOOD]);
    let url = format!("http://localhost:{port}/");
    let verify = ["verify", "--quick", "--deadline", "8s", "--url", &url];
    let case = Case::new();
    let before = |name: &str| {
        let outcome = case.run(&[&["--json"], &verify[..]].concat());
        std::fs::write(case.path().join(name), outcome.stdout).expect("a report");
    };
    before("bad.json");
    let same = case.run(&[&verify[..], &["--against", "bad.json"]].concat());
    assert_eq!(same.code, Some(0), "what was so before is not this run's: {}{}", same.stdout, same.stderr);
    assert!(same.stdout.contains("nothing worse than in bad.json"), "{}", same.stdout);
    second.store(true, Ordering::Relaxed);
    before("good.json");
    second.store(false, Ordering::Relaxed);
    let worse = report(&case, &["--url", &url, "--against", "good.json"], 4);
    assert_eq!(worse["against"], "good.json");
    let all = worse["findings"].as_array().expect("findings");
    let told: Vec<&str> = all.iter().filter(|f| f["worse"] == true).filter_map(|f| f["id"].as_str()).collect();
    assert_eq!(told, ["HDR-1", "HDR-2", "HDR-3", "HDR-4", "HDR-7", "NET-5", "CORS-1"]);
    assert!(all.iter().any(|f| f["id"] == "HDR-7" && f["was"] == "pass"), "{worse:#}");
    let text = case.run(&[&verify[..], &["--against", "good.json"]].concat());
    assert_eq!(text.code, Some(4), "{}", text.stdout);
    for words in ["it was `pass` in good.json", "7 worse than in good.json"] {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }
    second.store(true, Ordering::Relaxed);
    assert_eq!(case.run(&[&verify[..], &["--against", "bad.json"]].concat()).code, Some(0));
}

/// Perl's own parser of TAP, which `prove` reads with. It knows versions up to 13; what 14 adds is subtests, and there are
/// none.
#[test]
fn tap_is_read_by_a_parser_of_tap() {
    let case = Case::new();
    let url = format!("http://localhost:{}/", server(TALKATIVE));
    let tap = case.run(&["verify", "--quick", "--deadline", "8s", "--url", &url, "--format", "tap"]);
    assert_eq!(tap.code, Some(4), "{}", tap.stderr);
    assert!(tap.stdout.starts_with("TAP version 14\n"), "{}", tap.stdout);
    let parse = |text: &str| {
        let text = text.replacen("version 14", "version 13", 1);
        let program = "my $p = TAP::Parser->new({ tap => do { local $/; <STDIN> } }); $p->run;\n\
                       print join(',', $p->tests_run, scalar $p->failed, scalar $p->skipped, scalar $p->parse_errors);";
        let mut perl = std::process::Command::new("perl")
            .args(["-MTAP::Parser", "-e", program])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("perl");
        perl.stdin.take().expect("its input").write_all(text.as_bytes()).expect("the stream");
        String::from_utf8(perl.wait_with_output().expect("its end").stdout).expect("text")
    };
    let json = report(&case, &["--url", &url], 4);
    let number = |verdict: &str| json["summary"][verdict].as_u64().unwrap_or_default();
    let wanted =
        format!("{},{},{},0", number("total"), number("fail") + number("inconclusive"), number("not-applicable"));
    assert_eq!(parse(&tap.stdout), wanted);
    let broken = tap.stdout.replacen("ok 2 ", "ok 3 ", 1);
    assert_ne!(parse(&broken), wanted, "a wrong number is an error");
}

#[test]
fn a_place_that_cannot_be_asked_is_said_in_words() {
    let case = Case::new().file("none.pem", "no certificate");
    for (args, code, words) in [
        (&["--url", "example.com"][..], 2, "does not begin with https://"),
        (&["--url", "https://a:b@example.com"], 2, "it holds a name or"),
        (&["--url", "http://nowhere.invalid/"], 1, "no address of `nowhere.invalid`"),
        (&["--url", "http://localhost/", "--trust", "none.pem"], 2, "holds no certificate"),
        (&["--url", "http://localhost/", "--trust", "missing.pem"], 2, "cannot be read"),
        (&["--url", "http://localhost/", "--against", "missing.json"], 2, "cannot be read"),
        (&["--url", "http://localhost/", "--against", "none.pem"], 2, "cannot be compared with"),
        (&["--outside", "--save-baseline"], 2, "cannot be used with"),
        (&["--outside"], 2, "stack.toml"),
    ] {
        let outcome = case.run(&[&["verify"], args].concat());
        assert_eq!(outcome.code, Some(code), "{args:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(words), "{args:?}: {}", outcome.stderr);
    }
}
