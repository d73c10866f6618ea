//! The prober and a re-scoring by the rules of Mozilla's HTTP Observatory ([`rules`]) about the same answers: the front
//! doors of the guides' stacks as they are rendered, and sites with one thing wrong or unusual each. On every question
//! that both ask there is one answer, or a reason why not. `UPDATE_DOCS=1` writes docs/observatory.md.

mod rules;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use stackctl::config;
use stackctl::model::finding::{Finding, Verdict};
use stackctl::model::stack::Stack;
use stackctl::probe::{Known, Options, Place, Target, site, verify};

use crate::docker;
use crate::door::open_with;
use crate::private::{Nginx, ports};
use crate::sample::{secret, upstreams};
use crate::service;
use rules::{Said, Site, Test};

/// What both ask, in words, and our checks that answer it.
const QUESTIONS: [(Test, &str, &str); 9] = [
    (Test::ContentSecurityPolicy, "content security policy", "HDR-3"),
    (Test::Cookies, "cookies", "HDR-8"),
    (Test::CrossOriginResourceSharing, "sharing with other origins (CORS)", "CORS-1"),
    (Test::Redirection, "plain HTTP leads to HTTPS", "RED-1"),
    (Test::ReferrerPolicy, "referrer policy", "HDR-4"),
    (Test::StrictTransportSecurity, "HSTS", "HSTS-1"),
    (Test::XContentTypeOptions, "types are not guessed", "HDR-1"),
    (Test::XFrameOptions, "framing", "HDR-2"),
    (Test::CrossOriginResourcePolicy, "resource policy (CORP)", "HDR-5"),
];

/// Headers of a site that both find right.
const RIGHT: &[(&str, &str)] = &[
    ("Content-Security-Policy", "default-src 'self'; object-src 'none'; frame-ancestors 'none'"),
    ("Strict-Transport-Security", "max-age=63072000"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
];

/// A site that differs from the right one.
struct Case {
    name: &'static str,
    /// Headers instead of the right ones of that name; an empty value takes one away.
    headers: &'static [(&'static str, &'static str)],
    /// Where plain HTTP leads, if not to HTTPS at once; empty for nowhere.
    leads: Option<&'static str>,
    status: u16,
    /// Where they differ, who is right, and why.
    differ: Option<(Test, &'static str, &'static str)>,
}

const fn case(name: &'static str, headers: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, headers, leads: None, status: 308, differ: None }
}

const fn differ(
    name: &'static str,
    headers: &'static [(&'static str, &'static str)],
    why: (Test, &'static str, &'static str),
) -> Case {
    Case { differ: Some(why), ..case(name, headers) }
}

const RECOMMENDED: &str = "It is recommended and takes nothing away where it is missing: the Observatory takes no \
                           points off, stackctl warns.";

const CASES: &[Case] = &[
    case("right", &[]),
    // Content-Security-Policy
    case("no policy", &[("Content-Security-Policy", "")]),
    case(
        "a policy that only reports",
        &[("Content-Security-Policy", ""), ("Content-Security-Policy-Report-Only", "default-src 'self'")],
    ),
    case(
        "nothing by default",
        &[("Content-Security-Policy", "default-src 'none'; script-src 'self'; form-action 'self'")],
    ),
    case("inline scripts", &[("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")]),
    case(
        "inline scripts with a nonce",
        &[("Content-Security-Policy", "default-src 'self'; script-src 'unsafe-inline' 'nonce-abc'")],
    ),
    case("inline styles", &[("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'")]),
    case("eval", &[("Content-Security-Policy", "default-src 'self' 'unsafe-eval'")]),
    case("scripts from data", &[("Content-Security-Policy", "default-src 'self'; script-src data:")]),
    case("scripts from any HTTPS", &[("Content-Security-Policy", "default-src 'self'; script-src https:")]),
    case("scripts from any name", &[("Content-Security-Policy", "default-src 'self'; script-src https://*")]),
    case("plug-ins from anywhere", &[("Content-Security-Policy", "default-src 'self'; object-src https:")]),
    case("no word about plug-ins", &[("Content-Security-Policy", "script-src 'self'")]),
    case("no word about scripts", &[("Content-Security-Policy", "object-src 'none'; frame-ancestors 'none'")]),
    case(
        "connections over plain HTTP",
        &[("Content-Security-Policy", "default-src 'self'; connect-src http://api.example.com")],
    ),
    case(
        "pictures over plain HTTP",
        &[("Content-Security-Policy", "default-src 'self'; img-src http://img.example.com")],
    ),
    case(
        "strict-dynamic",
        &[(
            "Content-Security-Policy",
            "script-src 'strict-dynamic' 'nonce-abc' https: 'unsafe-inline'; object-src 'none'",
        )],
    ),
    case(
        "strict-dynamic without a nonce",
        &[("Content-Security-Policy", "script-src 'strict-dynamic' https:; object-src 'none'")],
    ),
    case(
        "a loose policy and a strict one",
        &[("Content-Security-Policy", "default-src 'self' 'unsafe-inline', default-src 'self'")],
    ),
    differ(
        "a directive twice",
        &[("Content-Security-Policy", "default-src 'self'; object-src 'none'; object-src https:")],
        (
            Test::ContentSecurityPolicy,
            "both",
            "Browsers take the first, which is strict (CSP 3 §2.2.1), and so does stackctl; the Observatory calls it \
             invalid so that somebody notices.",
        ),
    ),
    differ(
        "eval in styles",
        &[("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-eval'")],
        (
            Test::ContentSecurityPolicy,
            "stackctl",
            "`'unsafe-eval'` allows nothing in style-src that runs: no browser has looked for it there since CSSOM was taken \
             out of the policy.",
        ),
    ),
    // Cookies
    case("a good session", &[("Set-Cookie", "session=a; Secure; HttpOnly; SameSite=Lax")]),
    case("a session that scripts read", &[("Set-Cookie", "session=a; Secure; SameSite=Lax")]),
    case("a session over plain HTTP", &[("Set-Cookie", "session=a; HttpOnly; SameSite=Lax")]),
    case("a cookie over plain HTTP", &[("Set-Cookie", "theme=a; SameSite=Lax")]),
    case("a cookie for everybody", &[("Set-Cookie", "theme=a; SameSite=None")]),
    case("a cookie for everybody over HTTPS", &[("Set-Cookie", "theme=a; Secure; SameSite=None")]),
    case("an unknown SameSite", &[("Set-Cookie", "theme=a; Secure; SameSite=Sometimes")]),
    case("a CSRF cookie without SameSite", &[("Set-Cookie", "csrftoken=a; Secure")]),
    differ(
        "a cookie without SameSite",
        &[("Set-Cookie", "theme=a; Secure")],
        (Test::Cookies, "both", "Browsers take `Lax` for it, but not all: no points off there, a warning here."),
    ),
    differ(
        "a token that scripts read",
        &[("Set-Cookie", "auth_token=a; Secure; SameSite=Lax")],
        (
            Test::Cookies,
            "stackctl",
            "The Observatory knows sessions by `sess` and `login` in their names; `auth`, `token` and `jwt` say the same.",
        ),
    ),
    // CORS
    case("no other origin", &[]),
    case(
        "any origin with credentials",
        &[("Access-Control-Allow-Origin", "$http_origin"), ("Access-Control-Allow-Credentials", "true")],
    ),
    case("one other origin", &[("Access-Control-Allow-Origin", "https://app.example.com")]),
    differ(
        "any origin, repeated",
        &[("Access-Control-Allow-Origin", "$http_origin")],
        (
            Test::CrossOriginResourceSharing,
            "stackctl",
            "Who repeats any origin admits all of them, and behind an address that only insiders reach that is a hole: \
             the Observatory calls it \"restricted\" as long as no credentials come along.",
        ),
    ),
    differ(
        "public for every origin",
        &[("Access-Control-Allow-Origin", "*")],
        (
            Test::CrossOriginResourceSharing,
            "both",
            "Right for what is public, and nobody but its owner knows that: no points off there, a warning here.",
        ),
    ),
    // Redirection
    Case { leads: Some(""), ..case("no redirect", &[]) },
    Case { leads: Some("https://other.test/"), ..case("to another host", &[]) },
    Case {
        status: 302,
        differ: Some((
            Test::Redirection,
            "both",
            "It leads there, and browsers do not remember it: no points off there, a warning here.",
        )),
        ..case("a redirect for now", &[])
    },
    // Referrer-Policy
    case("referrer for all", &[("Referrer-Policy", "unsafe-url")]),
    case("referrer: origin", &[("Referrer-Policy", "origin")]),
    case("referrer: nonsense", &[("Referrer-Policy", "whatever")]),
    case(
        "referrer: the last that is known",
        &[("Referrer-Policy", "no-referrer, strict-origin-when-cross-origin, later-invention")],
    ),
    differ("no referrer policy", &[("Referrer-Policy", "")], (Test::ReferrerPolicy, "both", RECOMMENDED)),
    // HSTS
    case("no HSTS", &[("Strict-Transport-Security", "")]),
    case("HSTS for a day", &[("Strict-Transport-Security", "max-age=86400")]),
    case("HSTS without an age", &[("Strict-Transport-Security", "includeSubDomains")]),
    case("HSTS twice", &[("Strict-Transport-Security", "max-age=63072000, max-age=300")]),
    case("HSTS in quotes", &[("Strict-Transport-Security", "max-age=\\\"63072000\\\"")]),
    case("HSTS for subdomains", &[("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload")]),
    // X-Content-Type-Options, X-Frame-Options
    case("types are guessed", &[("X-Content-Type-Options", "")]),
    case("a wrong word about types", &[("X-Content-Type-Options", "no-sniff")]),
    case("framing by XFO only", &[("Content-Security-Policy", "default-src 'self'")]),
    case("framing by the policy only", &[("X-Frame-Options", "")]),
    case("no word about framing", &[("Content-Security-Policy", "default-src 'self'"), ("X-Frame-Options", "")]),
    case(
        "a wrong word about framing",
        &[("Content-Security-Policy", "default-src 'self'"), ("X-Frame-Options", "ALLOWALL")],
    ),
    differ(
        "framing by one site",
        &[("Content-Security-Policy", "default-src 'self'"), ("X-Frame-Options", "ALLOW-FROM https://a.example")],
        (Test::XFrameOptions, "stackctl", "No browser of today knows ALLOW-FROM: it is as if nothing were sent."),
    ),
    // Cross-Origin-Resource-Policy
    case("resources for the same origin", &[("Cross-Origin-Resource-Policy", "same-origin")]),
    case("resources for all", &[("Cross-Origin-Resource-Policy", "cross-origin")]),
    case("a wrong word about resources", &[("Cross-Origin-Resource-Policy", "none")]),
];

/// The name of every site here; it is never resolved.
const NAME: &str = "site.test";

impl Case {
    fn servers(&self, [http, https]: [u16; 2]) -> String {
        let kept = RIGHT.iter().filter(|(name, _)| !self.headers.iter().any(|(other, _)| other == name));
        let mut sent = String::new();
        for (name, value) in kept.chain(self.headers).filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(sent, "add_header {name} \"{value}\" always;");
        }
        let plain = match self.leads {
            None => format!("return {} https://$host:{https}$request_uri;", self.status),
            Some("") => "return 200 plain;".to_owned(),
            Some(url) => format!("return {} {url};", self.status),
        };
        format!(
            "server {{ listen 127.0.0.1:{http}; server_name {NAME}; {plain} }}\n\
             server {{ listen 127.0.0.1:{https} ssl http2; server_name {NAME}; {sent} return 200 \"hello\"; }}\n"
        )
    }
}

/// The headers of one answer, as curl prints them.
fn headers(url: &str, at: SocketAddr, more: &[&str]) -> (u16, Vec<(String, String)>) {
    let output = Command::new("curl")
        .args(["-sk", "-i", "-o", "/dev/null", "-D", "-", "--max-time", "5", "--connect-to"])
        .arg(format!("::{}:{}", at.ip(), at.port()))
        .args(more)
        .arg(url)
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
    let pairs = lines.filter_map(|line| line.split_once(':'));
    (status, pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect())
}

/// What the Observatory would see of a name.
fn seen(name: &str, target: &Target) -> Site {
    let (http, https) = (target.http.unwrap(), target.https.unwrap());
    let port = |port: u16, usual: u16| if port == usual { String::new() } else { format!(":{port}") };
    let page = format!("https://{name}{}/", port(https.port(), 443));
    let mut route = vec![format!("http://{name}{}/", port(http.port(), 80))];
    let (status, plain) = headers(&route[0], http, &[]);
    if (300..400).contains(&status) {
        route.extend(plain.iter().find(|(key, _)| key == "location").map(|(_, value)| value.clone()));
    }
    let origin = format!("Origin: {}", rules::ORIGIN);
    Site { page: headers(&page, https, &[]).1, other: headers(&page, https, &["-H", &origin]).1, route }
}

/// What the prober says of it, by general rules or by those of a stack.
async fn asked(stack: &Stack, target: &Target, general: bool) -> Vec<Finding> {
    let only = ["HDR", "HSTS-1", "CORS-1", "RED-1"].map(str::to_owned).to_vec();
    let options = Options { only, quick: true, site: general, ..Options::default() };
    let mut findings = Vec::new();
    verify(stack, &Known::default(), target, &options, &mut |finding| findings.push(finding)).await;
    findings
}

/// Whether all is well by the prober: nothing fails, and nothing is warned of.
fn fine(findings: &[Finding], check: &str) -> Option<bool> {
    let verdict = findings.iter().filter(|f| f.id == check).map(|f| f.verdict).max()?;
    match verdict {
        Verdict::Pass | Verdict::NotApplicable => Some(true),
        Verdict::Warn | Verdict::Fail => Some(false),
        Verdict::Inconclusive => None,
    }
}

fn word(fine: bool) -> &'static str {
    if fine { "fine" } else { "not fine" }
}

fn said(findings: &[Finding], check: &str) -> String {
    let own = findings.iter().filter(|f| f.id == check);
    own.map(|f| format!("{} {}", f.verdict.word(), f.observed)).collect::<Vec<_>>().join("; ")
}

struct Comparison {
    agreed: usize,
    rows: String,
    reasons: String,
    wrong: String,
}

impl Comparison {
    /// Every question about one site.
    fn take(
        &mut self,
        name: &str,
        theirs: &BTreeMap<Test, Said>,
        ours: &[Finding],
        differ: Option<&(Test, &str, &str)>,
    ) {
        let mut seen = Vec::new();
        for (test, what, check) in &QUESTIONS {
            let theirs = theirs[test];
            let Some(fine) = fine(ours, check) else {
                let _ = writeln!(self.wrong, "{name}: {what}: not judged: {}", said(ours, check));
                continue;
            };
            let explained = differ.filter(|(of, ..)| of == test);
            match (fine == theirs.passed, explained) {
                (true, None) => self.agreed += 1,
                (false, Some((_, who, why))) => {
                    seen.push(format!(
                        "{what}: ours {}, theirs {} ({})",
                        word(fine),
                        word(theirs.passed),
                        theirs.result
                    ));
                    let _ = writeln!(self.reasons, "- {name}, {what}: **{who}**. {why}");
                }
                (true, Some(_)) => {
                    let _ = writeln!(self.wrong, "{name}: {what}: they agree now");
                }
                (false, None) => {
                    let _ = writeln!(
                        self.wrong,
                        "{name}: {what}: ours {} ({}), theirs {} ({})",
                        word(fine),
                        said(ours, check),
                        word(theirs.passed),
                        theirs.result
                    );
                }
            }
        }
        let points = rules::score(theirs);
        let bad = |said: &&Said| said.modifier < 0;
        let lost: Vec<String> =
            theirs.values().filter(bad).map(|said| format!("{} {}", said.result, said.modifier)).collect();
        let lost = if lost.is_empty() { "none".to_owned() } else { lost.join(", ") };
        let differ = if seen.is_empty() { "none".to_owned() } else { seen.join("; ") };
        let grade = rules::grade(points);
        let _ = writeln!(self.rows, "| {name} | {points} ({grade}) | {lost} | {differ} |");
    }
}

#[tokio::test]
async fn both_give_one_answer_or_there_is_a_reason() {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let at: Vec<[u16; 2]> =
        CASES.iter().zip(ports::<{ 2 * CASES.len() }>().chunks(2)).map(|(_, p)| [p[0], p[1]]).collect();
    let servers: String = CASES.iter().zip(&at).map(|(case, ports)| case.servers(*ports)).collect();
    let text = format!("server_tokens off; ssl_certificate cert.pem; ssl_certificate_key key.pem;\n{servers}");
    let _nginx = Nginx::start(&text, &[("cert.pem", &cert), ("key.pem", &key)], at[0][1]);
    let mut all = Comparison { agreed: 0, rows: String::new(), reasons: String::new(), wrong: String::new() };
    for (case, [http, https]) in CASES.iter().zip(&at) {
        let place = Place::parse(&format!("https://{NAME}:{https}/")).unwrap();
        let local = |port: u16| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let target =
            Target { http: local(*http), https: local(*https), vantage: "host", http_port: *http, https_port: *https };
        let theirs = rules::tests(&seen(NAME, &target));
        all.take(case.name, &theirs, &asked(&site(&place).unwrap(), &target, true).await, case.differ.as_ref());
    }
    let variants = std::mem::take(&mut all.rows);
    let number = CASES.len();
    for guide in GUIDES {
        let (stack, target, door) = front_door(guide);
        let name = stack.proxy.as_ref().unwrap().canonical().to_owned();
        let theirs = rules::tests(&seen(&name, &target));
        all.take(guide, &theirs, &asked(&stack, &target, false).await, None);
        // Some guides name no Content-Security-Policy, which costs 25 of 100 points; nothing else is lost.
        let headers = &stack.proxy.as_ref().unwrap().headers;
        let policy = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Security-Policy"));
        assert!(rules::score(&theirs) >= if policy { 100 } else { 75 }, "{guide}: {theirs:?}");
        drop(door);
    }
    assert!(all.wrong.is_empty(), "{}", all.wrong);
    document(number, &all, &variants);
}

const GUIDES: [&str; 5] = ["storm", "sum", "aigov", "ai-search", "research-assistant"];

/// The front door of a guide's stack in a real Nginx, as it is rendered, with a service behind it that answers anything.
fn front_door(guide: &str) -> (Stack, Target, docker::Container) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stacks/{guide}.toml"));
    let text = std::fs::read_to_string(file).unwrap();
    let variables = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"].map(|name| (name.to_owned(), "a-value".to_owned()));
    let loaded = config::load(&text, None, &variables.into());
    let mut stack = loaded.stack.unwrap_or_else(|| panic!("{guide}: {:?}", loaded.problems));
    let behind = format!("{}:{}", docker::gateway(), service::start("app"));
    let names: Vec<String> = stack.services.keys().map(ToString::to_string).collect();
    let behind = [behind.as_str()];
    let targets: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &behind[..])).collect();
    let ups = upstreams(&targets);
    let proxy = stack.proxy.as_mut().unwrap();
    // Whatever it is at home: here one is made.
    proxy.tls = stackctl::model::proxy::Tls::SelfSigned(secret("trial"));
    let door = open_with("1.30", &stack, &ups);
    let address = door.address();
    let at = |port: u16| Some(format!("{address}:{port}").parse().unwrap());
    let target = Target { http: at(80), https: at(443), vantage: "host", http_port: 80, https_port: 443 };
    (stack, target, door)
}

/// `docs/observatory.md`.
fn document(number: usize, all: &Comparison, variants: &str) {
    let mut questions = String::new();
    for (test, what, check) in &QUESTIONS {
        let _ = writeln!(questions, "| {what} | {check} | `{test:?}` |");
    }
    let text = format!(
        "# Agreement with Mozilla's HTTP Observatory\n\n\
         <!-- Made from tests/render/observatory by `UPDATE_DOCS=1 cargo test --test render observatory::`. -->\n\n\
         The Observatory itself only scores sites of the public internet. Its rules are published \
         (mdn/mdn-http-observatory, `charts.js` and the analyzers, as of 2026-05), and a scorer of the tests goes by them; \
         it shares no code with `verify`. Both look at the same answers: {number} sites that have one thing wrong or \
         unusual each, and the front doors of the five guides' stacks, rendered and run by a real Nginx.\n\n\
         Of {} answers {} agree; \"fine\" is a test passed there, and no failure and no warning here. Not compared: \
         Subresource Integrity (a matter of the page's own text, which `verify` does not read), the preload list, and \
         certificates, which [testssl.md](testssl.md) is about.\n\n\
         ## The guides' stacks\n\n| stack | score | points off | differences |\n|---|---|---|---|\n{}\n\
         ## One thing each\n\n| site | score | points off | differences |\n|---|---|---|---|\n{variants}\n\
         ## Who is right\n\n{}\n## The questions\n\n| | check | test |\n|---|---|---|\n{questions}",
        all.agreed + all.reasons.lines().count(),
        all.agreed,
        all.rows,
        all.reasons,
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/observatory.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "UPDATE_DOCS=1 writes it anew");
}
