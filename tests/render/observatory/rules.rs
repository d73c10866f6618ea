//! What Mozilla's HTTP Observatory says of a site, by its published rules: a scorer of its own, made after
//! mdn/mdn-http-observatory (`src/grader/charts.js`, `src/analyzer/tests/*.js`, 2026-05), that shares nothing with the
//! prober. Without what it knows of the outside world: no preload list, and no scripts of a page (Subresource
//! Integrity), which nothing of ours asks about.

use std::collections::{BTreeMap, BTreeSet};

/// What is scored: a site as a browser of the Observatory sees it.
pub(super) struct Site {
    /// Headers of the page, names in lower case.
    pub(super) page: Vec<(String, String)>,
    /// Headers of the page for somebody who says to come from [`ORIGIN`].
    pub(super) other: Vec<(String, String)>,
    /// Where plain HTTP leads, from the first URL on.
    pub(super) route: Vec<String>,
}

/// Who asks for what is shared with other sites.
pub(super) const ORIGIN: &str = "https://http-observatory.security.mozilla.org";

/// One of its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    ContentSecurityPolicy,
    Cookies,
    CrossOriginResourceSharing,
    Redirection,
    ReferrerPolicy,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
    CrossOriginResourcePolicy,
}

use Test::{
    ContentSecurityPolicy as Csp, Cookies, CrossOriginResourcePolicy as Corp, CrossOriginResourceSharing as Cors,
    Redirection, ReferrerPolicy as Referrer, StrictTransportSecurity as Hsts, XContentTypeOptions as Sniff,
    XFrameOptions as Frame,
};

/// Results: their names, what each adds to the score, and whether the test counts as passed.
const TABLE: &[(Test, &str, i32, bool)] = &[
    (Csp, "no-unsafe-default-src-none", 10, true),
    (Csp, "no-unsafe", 5, true),
    (Csp, "unsafe-inline-in-style-src-only", 0, true),
    (Csp, "insecure-scheme-in-passive-content-only", -10, true),
    (Csp, "unsafe-eval", -10, false),
    (Csp, "unsafe-inline", -20, false),
    (Csp, "insecure-scheme", -20, false),
    (Csp, "header-invalid", -25, false),
    (Csp, "not-implemented", -25, false),
    (Cookies, "secure-with-httponly-sessions-and-samesite", 5, true),
    (Cookies, "secure-with-httponly-sessions", 0, true),
    (Cookies, "not-found", 0, true),
    (Cookies, "without-secure-but-protected-by-hsts", -5, false),
    (Cookies, "session-without-secure-but-protected-by-hsts", -10, false),
    (Cookies, "without-secure", -20, false),
    (Cookies, "samesite-invalid", -20, false),
    (Cookies, "anticsrf-without-samesite", -20, false),
    (Cookies, "session-without-httponly", -30, false),
    (Cookies, "session-without-secure", -40, false),
    (Cors, "not-implemented", 0, true),
    (Cors, "public-access", 0, true),
    (Cors, "restricted-access", 0, true),
    (Cors, "universal-access", -50, false),
    (Redirection, "to-https", 0, true),
    (Redirection, "off-host-from-http", -5, false),
    (Redirection, "not-to-https-on-initial-redirection", -10, false),
    (Redirection, "not-to-https", -20, false),
    (Redirection, "missing", -20, false),
    (Referrer, "private", 5, true),
    (Referrer, "not-implemented", 0, true),
    (Referrer, "unsafe", -5, false),
    (Referrer, "header-invalid", -5, false),
    (Hsts, "at-least-six-months", 0, true),
    (Hsts, "less-than-six-months", -10, false),
    (Hsts, "not-implemented", -20, false),
    (Hsts, "header-invalid", -20, false),
    (Sniff, "nosniff", 0, true),
    (Sniff, "not-implemented", -5, false),
    (Sniff, "header-invalid", -5, false),
    (Frame, "via-csp", 5, true),
    (Frame, "sameorigin-or-deny", 0, true),
    (Frame, "allow-from", 0, true),
    (Frame, "not-implemented", -20, false),
    (Frame, "header-invalid", -20, false),
    (Corp, "same-origin", 10, true),
    (Corp, "same-site", 10, true),
    (Corp, "cross-origin", 0, true),
    (Corp, "not-implemented", 0, true),
    (Corp, "header-invalid", -5, false),
];

/// What is said of a test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) result: &'static str,
    pub(super) modifier: i32,
    pub(super) passed: bool,
}

/// All tests of a site over HTTPS with a certificate that is trusted.
pub(super) fn tests(site: &Site) -> BTreeMap<Test, Said> {
    let policies = all(&site.page, "content-security-policy");
    let policy = policies.iter().flat_map(|value| value.split(',')).collect::<Vec<_>>();
    let policy = parse(&policy);
    let hsts = hsts(&site.page);
    let results = [
        (Csp, csp(policy.as_ref())),
        (Cookies, cookies(&site.page, hsts == "at-least-six-months")),
        (Cors, cors(&site.other)),
        (Redirection, redirection(&site.route)),
        (Referrer, referrer(&site.page)),
        (Hsts, hsts),
        (Sniff, sniff(&site.page)),
        (Frame, frame(&site.page, policy.as_ref())),
        (Corp, corp(&site.page)),
    ];
    let said = |(test, name): (Test, &'static str)| {
        let row = TABLE.iter().find(|(t, result, ..)| (*t, *result) == (test, name));
        let (_, result, modifier, passed) = row.unwrap_or_else(|| panic!("{test:?}: {name} is not in the table"));
        (test, Said { result, modifier: *modifier, passed: *passed })
    };
    results.into_iter().map(said).collect()
}

/// 100, less what is bad; what is better than needed counts from 90 on.
pub(super) fn score(tests: &BTreeMap<Test, Said>) -> i32 {
    let bad: i32 = tests.values().map(|said| said.modifier.min(0)).sum();
    let good: i32 = tests.values().map(|said| said.modifier.max(0)).sum();
    (if 100 + bad >= 90 { 100 + bad + good } else { 100 + bad }).max(0)
}

/// `A+` to `F`.
pub(super) fn grade(score: i32) -> &'static str {
    match score.min(100) / 5 * 5 {
        100 => "A+",
        90..100 => "A",
        85 => "A-",
        80 => "B+",
        70..80 => "B",
        65 => "B-",
        60 => "C+",
        50..60 => "C",
        45 => "C-",
        40 => "D+",
        30..40 => "D",
        25 => "D-",
        _ => "F",
    }
}

fn all<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
}

type Policy = BTreeMap<String, BTreeSet<String>>;

/// Directives with their sources. Of several policies a source has to be in each; a directive twice in one policy makes
/// all of it invalid, "so that people notice it". `None`: invalid.
fn parse(policies: &[&str]) -> Option<Policy> {
    let mut out: Option<Policy> = None;
    for policy in policies.iter().map(|policy| policy.trim()) {
        if policy.len() < 6 {
            return None;
        }
        let mut this = Policy::new();
        for directive in policy.split(';') {
            let mut words = directive.split_whitespace().map(str::to_lowercase);
            let Some(name) = words.next() else { continue };
            let mut sources: BTreeSet<String> = words.collect();
            if sources.is_empty() && name.ends_with("-src") {
                sources.insert("'none'".to_owned());
            }
            let twice = this.insert(name.clone(), sources).is_some();
            if twice && !name.starts_with("report-") {
                return None;
            }
        }
        out = Some(match out {
            None => this,
            Some(mut before) => {
                for (name, sources) in this {
                    let known = before.entry(name).or_insert_with(|| sources.clone());
                    known.retain(|source| sources.contains(source));
                    if known.is_empty() {
                        known.insert("'none'".to_owned());
                    }
                }
                before
            }
        });
    }
    Some(out.unwrap_or_default())
}

const BROAD: [&str; 8] = ["ftp:", "http:", "https:", "*", "http://*", "http://*.*", "https://*", "https://*.*"];

fn csp(policy: Option<&Policy>) -> &'static str {
    let Some(policy) = policy else { return "header-invalid" };
    if policy.is_empty() {
        return "not-implemented";
    }
    let of = |name: &str| -> BTreeSet<String> {
        let own = policy.get(name).or_else(|| policy.get("default-src"));
        own.cloned().unwrap_or_else(|| BTreeSet::from(["*".to_owned()]))
    };
    let (mut scripts, mut styles, objects) = (of("script-src"), of("style-src"), of("object-src"));
    let excused = |sources: &BTreeSet<String>| {
        let starts = ["'sha256-", "'sha384-", "'sha512-", "'nonce-"];
        sources.iter().any(|source| starts.iter().any(|start| source.starts_with(start)))
    };
    for sources in [&mut scripts, &mut styles] {
        if excused(sources) {
            sources.remove("'unsafe-inline'");
        }
    }
    if scripts.contains("'strict-dynamic'") {
        if !excused(&scripts) {
            return "header-invalid";
        }
        scripts.retain(|source| !BROAD.iter().any(|broad| source.starts_with(broad)) && source != "'self'");
    }
    let broad = |sources: &BTreeSet<String>| sources.iter().any(|source| BROAD.contains(&source.as_str()));
    let open =
        |sources: &BTreeSet<String>| broad(sources) || sources.contains("'unsafe-inline'") || sources.contains("data:");
    let insecure = |source: &String| source.starts_with("http:") || source.starts_with("ftp:");
    let passive = ["img-src", "media-src"];
    let mut active = policy
        .iter()
        .filter(|(name, _)| *name != "script-src" && !passive.contains(&name.as_str()))
        .flat_map(|(_, sources)| sources)
        .chain(&scripts);
    if open(&scripts) || broad(&objects) {
        "unsafe-inline"
    } else if active.any(insecure) {
        "insecure-scheme"
    } else if scripts.contains("'unsafe-eval'") || styles.contains("'unsafe-eval'") {
        "unsafe-eval"
    } else if passive
        .iter()
        .any(|name| policy.get(*name).or(policy.get("default-src")).is_some_and(|s| s.iter().any(insecure)))
    {
        "insecure-scheme-in-passive-content-only"
    } else if open(&styles) {
        "unsafe-inline-in-style-src-only"
    } else if policy.get("default-src").is_some_and(|sources| sources.iter().eq(["'none'"])) {
        "no-unsafe-default-src-none"
    } else {
        "no-unsafe"
    }
}

fn cookies(page: &[(String, String)], hsts: bool) -> &'static str {
    // From bad to worse.
    const WORSE: [&str; 7] = [
        "without-secure-but-protected-by-hsts",
        "without-secure",
        "session-without-secure-but-protected-by-hsts",
        "samesite-invalid",
        "anticsrf-without-samesite",
        "session-without-httponly",
        "session-without-secure",
    ];
    let sent = all(page, "set-cookie");
    if sent.is_empty() {
        return "not-found";
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut everywhere = true;
    for cookie in sent {
        let mut parts = cookie.split(';').map(str::trim);
        let name = parts.next().and_then(|pair| pair.split('=').next()).unwrap_or_default().to_lowercase();
        let attributes: BTreeMap<String, String> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(key, value)| (key.trim().to_lowercase(), value.trim().to_lowercase()))
            .collect();
        let secure = attributes.contains_key("secure");
        let same_site = attributes.get("samesite").map(String::as_str);
        let session = name.contains("login") || name.contains("sess");
        if same_site.is_some_and(|value| !["lax", "strict", "none"].contains(&value))
            || (same_site == Some("none") && !secure)
        {
            found.insert("samesite-invalid");
        }
        if !secure {
            found.insert(if hsts { WORSE[0] } else { WORSE[1] });
        }
        if !secure && session {
            found.insert(if hsts { WORSE[2] } else { WORSE[6] });
        }
        if name.contains("csrf") && same_site.is_none() {
            found.insert("anticsrf-without-samesite");
        }
        if session && !attributes.contains_key("httponly") {
            found.insert("session-without-httponly");
        }
        everywhere &= same_site.is_some();
    }
    let worst = WORSE.iter().rev().find(|result| found.contains(**result));
    let fine = if everywhere { "secure-with-httponly-sessions-and-samesite" } else { "secure-with-httponly-sessions" };
    worst.copied().unwrap_or(fine)
}

fn cors(other: &[(String, String)]) -> &'static str {
    let credentials =
        all(other, "access-control-allow-credentials").first().is_some_and(|v| v.to_lowercase() == "true");
    match all(other, "access-control-allow-origin").first().copied() {
        None => "not-implemented",
        Some("*") => "public-access",
        Some(ORIGIN) if credentials => "universal-access",
        Some(_) => "restricted-access",
    }
}

fn redirection(route: &[String]) -> &'static str {
    let host = |url: &str| url.split('/').nth(2).unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let secure = |url: &String| url.starts_with("https://");
    match route {
        [] | [_] => "missing",
        [.., last] if !secure(last) => "not-to-https",
        [_, second, ..] if !secure(second) => "not-to-https-on-initial-redirection",
        [first, second, ..] if host(first) != host(second) => "off-host-from-http",
        _ => "to-https",
    }
}

fn referrer(page: &[(String, String)]) -> &'static str {
    const GOOD: [&str; 4] = ["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"];
    const BAD: [&str; 4] = ["origin", "origin-when-cross-origin", "unsafe-url", "no-referrer-when-downgrade"];
    let sent = all(page, "referrer-policy");
    if sent.is_empty() {
        return "not-implemented";
    }
    let words: Vec<String> = sent.join(",").split(',').map(|word| word.trim().to_lowercase()).collect();
    match words.iter().rev().find(|word| GOOD.contains(&word.as_str()) || BAD.contains(&word.as_str())) {
        Some(word) if GOOD.contains(&word.as_str()) => "private",
        Some(_) => "unsafe",
        None => "header-invalid",
    }
}

fn hsts(page: &[(String, String)]) -> &'static str {
    let sent = all(page, "strict-transport-security");
    let joined = sent.join(", ").to_lowercase();
    if sent.is_empty() {
        return "not-implemented";
    }
    if joined.contains(',') {
        return "header-invalid";
    }
    let age = joined.split(';').find_map(|part| part.trim().strip_prefix("max-age=").map(str::to_owned));
    let Some(age) = age else { return "header-invalid" };
    // As JavaScript reads a number: what is none is not less than anything.
    let digits: String = age.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u64>() {
        Ok(age) if age < 15_552_000 => "less-than-six-months",
        _ => "at-least-six-months",
    }
}

fn sniff(page: &[(String, String)]) -> &'static str {
    match all(page, "x-content-type-options").first() {
        Some(value) if value.trim().eq_ignore_ascii_case("nosniff") => "nosniff",
        Some(_) => "header-invalid",
        None => "not-implemented",
    }
}

fn frame(page: &[(String, String)], policy: Option<&Policy>) -> &'static str {
    if policy.is_some_and(|policy| policy.contains_key("frame-ancestors")) {
        return "via-csp";
    }
    match all(page, "x-frame-options").first().map(|value| value.trim().to_lowercase()).as_deref() {
        Some("deny" | "sameorigin") => "sameorigin-or-deny",
        Some(value) if value.starts_with("allow-from") => "allow-from",
        Some(_) => "header-invalid",
        None => "not-implemented",
    }
}

fn corp(page: &[(String, String)]) -> &'static str {
    match all(page, "cross-origin-resource-policy").first().map(|value| value.trim().to_lowercase()).as_deref() {
        Some("same-origin") => "same-origin",
        Some("same-site") => "same-site",
        Some("cross-origin") => "cross-origin",
        Some(_) => "header-invalid",
        None => "not-implemented",
    }
}
