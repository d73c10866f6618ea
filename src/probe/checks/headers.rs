//! Security headers, on the page, on errors and on redirects.

use std::time::Duration;

use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Question, Severity};
use super::super::context::Context;
use super::super::net::client::Door;
use super::super::net::error::ProbeError;
use super::super::net::http::Response;
use super::super::text;
use super::health::public_path;
use super::policy::{self, HSTS_FLOOR, Worth};
use super::{NO_PROXY, none_apply};

const OBSERVATORY: &str = "mdn/mdn-http-observatory charts.js";

const fn header(id: &'static str, title: &'static str, severity: Severity) -> Check {
    Check {
        id,
        family: Family::Headers,
        title,
        question: "",
        pass: "",
        source: OBSERVATORY,
        severity,
        remedy: "set it below `[proxy.headers]`",
    }
}

pub(in crate::probe) const HSTS_1: Check = Check {
    question: "Is HTTPS made binding (Strict-Transport-Security), on pages and on errors?",
    pass: "exactly one header, max-age as declared and at least 15552000 s (half a year); 63072000 recommended",
    source: "mdn/mdn-http-observatory (missing −20, below the floor −10), Mozilla hsts_min_age, OWASP",
    remedy: "set `hsts = \"2y\"` below `[proxy]`",
    ..header("HSTS-1", "HSTS", Severity::High)
};
pub(in crate::probe) const HDR_1: Check = Check {
    question: "Is guessing of content types switched off?",
    pass: "X-Content-Type-Options: nosniff",
    ..header("HDR-1", "X-Content-Type-Options", Severity::Medium)
};
pub(in crate::probe) const HDR_2: Check = Check {
    question: "May other sites show this one in a frame?",
    pass: "CSP frame-ancestors, or X-Frame-Options DENY or SAMEORIGIN (missing −20)",
    ..header("HDR-2", "framing", Severity::High)
};
pub(in crate::probe) const HDR_3: Check = Check {
    question: "Does a Content-Security-Policy restrict scripts and plug-ins?",
    pass: "enforced; scripts without unsafe-inline (nonce or hash excuses), unsafe-eval, data: and whole schemes; plug-ins \
           (object-src or default-src) without whole schemes; over HTTPS nothing but pictures and films over plain HTTP",
    ..header("HDR-3", "Content-Security-Policy", Severity::High)
};
pub(in crate::probe) const HDR_4: Check = Check {
    question: "Do other sites learn which page a visitor comes from?",
    pass: "no-referrer, same-origin, strict-origin or strict-origin-when-cross-origin",
    ..header("HDR-4", "Referrer-Policy", Severity::Low)
};
pub(in crate::probe) const HDR_5: Check = Check {
    question: "Are the cross-origin policies (COOP, COEP, CORP) valid where they are sent?",
    pass: "a valid value, or none (invalid −5)",
    ..header("HDR-5", "cross-origin policies", Severity::Low)
};
pub(in crate::probe) const HDR_6: Check = Check {
    question: "Is every declared header sent exactly once, on pages, errors, redirects and rejections?",
    pass: "each declared header once, with the declared value",
    source: "nginx add_header (inheritance, `always`); gixy add_header_redefinition",
    remedy: "a header sent twice also comes from the service: drop it there or below `[proxy.headers]`; one that is \
             missing was lost in a template override",
    ..header("HDR-6", "declared headers everywhere", Severity::High)
};
pub(in crate::probe) const HDR_7: Check = Check {
    question: "Do headers tell versions to those who look for holes?",
    pass: "no version in Server, none of OWASP's headers to remove",
    source: "OWASP secure headers, ci/headers_remove.json",
    remedy: "set `server_tokens off;`, and switch the header off in the service",
    ..header("HDR-7", "versions told", Severity::Low)
};

const PAGE: [&Check; 6] = [&HDR_1, &HDR_2, &HDR_3, &HDR_4, &HDR_5, &HDR_7];

/// Of OWASP's list, those that common servers and frameworks send.
const TALKATIVE: [&str; 12] = [
    "x-powered-by",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-generator",
    "x-runtime",
    "x-version",
    "x-php-version",
    "x-server",
    "x-served-by-version",
    "x-turbo-charged-by",
    "x-framework",
    "x-powered-cms",
];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        let all: Vec<&Check> = [&HSTS_1, &HDR_6].into_iter().chain(PAGE).collect();
        return none_apply(&all, context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let page = page(context, proxy);
    let missing = format!("/{}", text::nonce());
    let front = context.front(proxy);
    let (shown, absent, moved) = tokio::join!(shown(context, &front, &page), get(context, &front, &missing), async {
        match (proxy.https(), context.target.http) {
            (true, Some(_)) => Some(get(context, &context.http_door(proxy.canonical()), &page).await),
            _ => None,
        }
    },);
    let url = context.url(proxy, &page);
    let mut findings = match &shown {
        Ok(response) => of_page(proxy, &url, response),
        Err(error) => {
            PAGE.iter().map(|check| check.about(&url).line(proxy.headers_line).unsure(error.to_string())).collect()
        }
    };
    let lost = format!("{} (a path that is not there)", context.url(proxy, "/"));
    let plain = format!("http://{}{page}", context.authority(proxy.canonical(), false));
    let mut asked = vec![(&url, &shown), (&lost, &absent)];
    findings.extend(asked.iter().map(|(subject, response)| hsts(context, proxy, subject, response)));
    if let Some(moved) = &moved {
        asked.push((&plain, moved));
    }
    findings.extend(asked.iter().map(|(subject, response)| everywhere(proxy, subject, response)));
    findings
}

/// The page to judge: a health path known to answer, unless `/` is routed.
fn page(context: &Context<'_>, proxy: &Proxy) -> String {
    if proxy.routes.iter().any(|route| route.path == "/") {
        return "/".into();
    }
    let health = context.stack.services.values().find_map(|service| public_path(proxy, service));
    health.or(proxy.routes.last().map(|route| route.path.as_str())).unwrap_or("/").to_owned()
}

async fn get(context: &Context<'_>, door: &Result<Door, ProbeError>, path: &str) -> Result<Response, ProbeError> {
    match door {
        Ok(door) => context.get(door, path).await,
        Err(error) => Err(error.clone()),
    }
}

async fn shown(context: &Context<'_>, door: &Result<Door, ProbeError>, path: &str) -> Result<Response, ProbeError> {
    match door {
        Ok(door) => context.page(door, path).await,
        Err(error) => Err(error.clone()),
    }
}

fn elapsed(response: &Result<Response, ProbeError>) -> Duration {
    response.as_ref().map_or(Duration::ZERO, |response| response.elapsed)
}

/// Strict-Transport-Security on one response.
pub(in crate::probe) fn hsts(
    context: &Context<'_>,
    proxy: &Proxy,
    subject: &str,
    response: &Result<Response, ProbeError>,
) -> Finding {
    let question = HSTS_1.about(subject).line(proxy.headers_line).took(elapsed(response));
    let Some(declared) = proxy.hsts.filter(|_| proxy.https()) else {
        return question.not_applicable("HSTS is not declared");
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return question.unsure(error.to_string()),
    };
    let exactly = declared.0.as_secs();
    let question = if context.options.site {
        question.expect(format!("once, max-age of at least {HSTS_FLOOR}"))
    } else {
        question.expect(format!("once, max-age={exactly}"))
    };
    let sent: Vec<&str> = response.all("strict-transport-security").collect();
    let at = |seen: &str| format!("{seen} (on {})", response.status);
    match sent.as_slice() {
        [] => question.fail(at("no header")),
        [one] => match policy::max_age(one) {
            None => question.fail(at(&format!("`{one}`"))),
            Some(age) if age != exactly && !context.options.site => question.fail(at(&format!("`{one}`"))),
            Some(age) if age < HSTS_FLOOR => question.warn(at(&format!("`{one}`: under half a year"))),
            Some(_) => question.pass(at(&format!("`{one}`"))),
        },
        many => question.fail(at(&format!("{} headers: browsers take the first", many.len()))),
    }
}

/// The declared headers on one response.
pub(in crate::probe) fn everywhere(proxy: &Proxy, subject: &str, response: &Result<Response, ProbeError>) -> Finding {
    let question = HDR_6.about(subject).line(proxy.headers_line).took(elapsed(response));
    let response = match response {
        Ok(response) => response,
        Err(error) => return question.unsure(error.to_string()),
    };
    if proxy.headers.is_empty() {
        return question.not_applicable("no headers are declared");
    }
    let mut wrong = Vec::new();
    for (name, value) in &proxy.headers {
        let sent: Vec<&str> = response.all(name).collect();
        match sent.as_slice() {
            [one] if one.trim() == value.trim() => {}
            [one] => wrong.push(format!("{name} is `{one}`")),
            [] => wrong.push(format!("{name} is missing")),
            many => wrong.push(format!("{name} comes {} times", many.len())),
        }
    }
    let on = response.status;
    if wrong.is_empty() {
        question.pass(format!("all {} (on {on})", proxy.headers.len()))
    } else {
        question.fail(format!("on {on}: {}", wrong.join("; ")))
    }
}

/// What is judged by its value, on the page.
fn of_page(proxy: &Proxy, url: &str, response: &Response) -> Vec<Finding> {
    let about = |check: &'static Check| check.about(url).line(proxy.headers_line).took(response.elapsed);
    let declared = |name: &str| proxy.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    // A header that stack.toml declares must be there; one that nobody declared is only recommended.
    let absent = |question: Question, name: &str| {
        if declared(name) { question.fail("declared, but not sent") } else { question.warn("not sent") }
    };
    let sniff = response.header("x-content-type-options");
    let frame = response.header("x-frame-options");
    let ancestors = |policy: &str| policy::csp_directive(policy, "frame-ancestors").is_some();
    let ancestors = response.all("content-security-policy").flat_map(|value| value.split(',')).any(ancestors);
    vec![
        match sniff {
            Some(value) if value.eq_ignore_ascii_case("nosniff") => about(&HDR_1).pass(value),
            Some(value) => about(&HDR_1).fail(value),
            None => absent(about(&HDR_1), "x-content-type-options"),
        },
        match frame {
            _ if ancestors => about(&HDR_2).pass("frame-ancestors"),
            Some(value) if value.eq_ignore_ascii_case("deny") || value.eq_ignore_ascii_case("sameorigin") => {
                about(&HDR_2).pass(value)
            }
            Some(value) => about(&HDR_2).fail(value),
            None => absent(about(&HDR_2), "x-frame-options"),
        },
        match policy::policies(response.all("content-security-policy"), proxy.https()) {
            Some(Worth::Good) => about(&HDR_3).pass("restrictive"),
            Some(Worth::Weak(why)) => about(&HDR_3).warn(why),
            None => absent(about(&HDR_3), "content-security-policy"),
        },
        match policy::referrer(response.all("referrer-policy")) {
            Some(Worth::Good) => about(&HDR_4).pass(response.header("referrer-policy").unwrap_or("")),
            Some(Worth::Weak(why)) => about(&HDR_4).warn(why),
            None => absent(about(&HDR_4), "referrer-policy"),
        },
        cross_origin(about(&HDR_5), response),
        versions(about(&HDR_7), response),
    ]
}

fn cross_origin(question: Question, response: &Response) -> Finding {
    let names = ["cross-origin-opener-policy", "cross-origin-embedder-policy", "cross-origin-resource-policy"];
    let sent: Vec<_> = names.iter().filter_map(|name| Some((*name, response.header(name)?))).collect();
    match sent.iter().find(|(name, value)| !policy::cross_origin(name, value)) {
        Some((name, value)) => question.fail(format!("{name}: {value}")),
        None if sent.is_empty() => question.not_applicable("none is sent"),
        None => question.pass(format!("{} sent, valid", sent.len())),
    }
}

fn versions(question: Question, response: &Response) -> Finding {
    if let Some(server) = response.header("server").filter(|value| policy::has_version(value)) {
        return question.fail(format!("Server: {server}"));
    }
    match TALKATIVE.iter().find_map(|name| Some((name, response.header(name)?))) {
        Some((name, value)) => question.warn(format!("{name}: {value}")),
        None => question.pass("nothing"),
    }
}
