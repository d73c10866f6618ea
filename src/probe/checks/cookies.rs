//! Cookies, and the promise never to come back without HTTPS.

use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::policy;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const HDR_8: Check = Check {
    id: "HDR-8",
    family: Family::Headers,
    title: "cookies",
    question: "Are cookies kept from plain HTTP, from scripts and from other sites? Every route is asked once; what it \
               sets is judged.",
    pass: "Secure on all (over HTTPS), HttpOnly on those whose name says session or login, SameSite on all; `None` only \
           with Secure. A missing SameSite is a warning, but on `csrf` cookies",
    source: "mdn/mdn-http-observatory cookies.js (session without Secure −40, without HttpOnly −30)",
    severity: Severity::High,
    remedy: "set the attributes in the app, such as `SESSION_COOKIE_SECURE`, `COOKIE_SECURE`",
};

pub(in crate::probe) const HSTS_2: Check = Check {
    id: "HSTS-2",
    family: Family::Headers,
    title: "HSTS preload",
    question: "If the site asks to be put into browsers' preload lists, which can hardly be undone, is it ready for it?",
    pass: "`preload` is absent, or max-age is at least 31536000 (a year) and includeSubDomains is there",
    source: "hstspreload.org requirements, as of 2026-04",
    severity: Severity::Medium,
    remedy: "take `preload` out, or set a year and includeSubDomains after every subdomain speaks HTTPS",
};

/// A year in seconds.
const YEAR: u64 = 31_536_000;

/// So many paths are asked.
const PATHS: usize = 12;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&HSTS_2, &HDR_8], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let url = context.url(proxy, "/");
    let mut cookies = Vec::new();
    let mut preload = None;
    let mut trouble = None;
    for path in proxy.routes.iter().filter(|r| !r.websocket).map(|r| r.path.as_str()).take(PATHS) {
        let response = match context.front(proxy) {
            Ok(door) => context.page(&door, path).await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => {
                cookies.extend(response.all("set-cookie").map(|cookie| (path.to_owned(), cookie.to_owned())));
                preload = preload.or(response.header("strict-transport-security").map(str::to_owned));
            }
            Err(error) => trouble = Some(error.to_string()),
        }
    }
    let wish = match (&preload, &trouble) {
        _ if !proxy.https() => Skip("TLS is off in stack.toml".to_owned()),
        (None, Some(why)) => Unsure(why.clone()),
        (None, None) => Skip("there is no HSTS header".to_owned()),
        (Some(value), _) => preloaded(value),
    };
    let cookies = match trouble {
        Some(why) if cookies.is_empty() => Unsure(why),
        _ => all(proxy, &cookies),
    };
    vec![HSTS_2.about(&url).line(proxy.headers_line).judged(wish), HDR_8.about(&url).line(proxy.line).judged(cookies)]
}

fn preloaded(value: &str) -> Judged {
    let has = |word: &str| value.split(';').any(|part| part.trim().eq_ignore_ascii_case(word));
    if !has("preload") {
        return Skip("preload is not asked for".to_owned());
    }
    match policy::max_age(value) {
        Some(YEAR..) if has("includeSubDomains") => Pass(value.to_owned()),
        Some(YEAR..) => Fail("includeSubDomains is missing".to_owned()),
        Some(age) => Fail(format!("max-age is {age}")),
        None => Fail(value.to_owned()),
    }
}

fn all(proxy: &Proxy, cookies: &[(String, String)]) -> Judged {
    Judged::worst(cookies.iter().map(|(path, cookie)| (path.as_str(), one(cookie, proxy.https()))))
        .unwrap_or_else(|| Skip("no route sets a cookie when it is asked once, without signing in".to_owned()))
}

/// One `Set-Cookie` (RFC 6265 §4.1). The value is not repeated: it may be a session.
fn one(cookie: &str, https: bool) -> Judged {
    let mut parts = cookie.split(';').map(str::trim);
    let name = parts.next().and_then(|pair| pair.split_once('=')).map_or("", |(name, _)| name.trim());
    let attributes: Vec<(String, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let value = |key: &str| attributes.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
    let (secure, http_only) = (value("secure").is_some(), value("httponly").is_some());
    let lower = name.to_ascii_lowercase();
    let session = ["sess", "login", "auth", "token", "jwt"].iter().any(|word| lower.contains(word));
    let csrf = lower.contains("csrf") || lower.contains("xsrf");
    let mut wrong = Vec::new();
    if https && !secure {
        wrong.push("no Secure");
    }
    // Scripts read a CSRF token: that is how it works.
    if session && !csrf && !http_only {
        wrong.push("no HttpOnly");
    }
    match value("samesite").map(str::to_ascii_lowercase).as_deref() {
        Some("lax" | "strict") => {}
        Some("none") if secure => {}
        Some("none") => wrong.push("SameSite=None without Secure: browsers drop it"),
        None if csrf => wrong.push("a CSRF cookie without SameSite"),
        None => {
            if wrong.is_empty() {
                return Warn(format!("`{name}` has no SameSite: browsers differ"));
            }
        }
        Some(_) => wrong.push("an unknown SameSite"),
    }
    if wrong.is_empty() { Pass(format!("`{name}`")) } else { Fail(format!("`{name}`: {}", wrong.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_one_by_one() {
        for good in [
            "session=1; Secure; HttpOnly; SameSite=Lax",
            "theme=d; secure; samesite=none",
            "csrf=1; Secure; SameSite=Strict",
        ] {
            assert!(matches!(one(good, true), Pass(_)), "{good}: {:?}", one(good, true));
        }
        for bad in [
            "session=1; HttpOnly; SameSite=Lax",
            "session=1; Secure; SameSite=Lax",
            "theme=d; SameSite=None",
            "theme=d; Secure; SameSite=maybe",
            "csrftoken=1; Secure",
            "",
        ] {
            assert!(matches!(one(bad, true), Fail(_)), "{bad}: {:?}", one(bad, true));
        }
        assert!(matches!(one("theme=d; Secure", true), Warn(_)));
        assert!(matches!(one("session=1; HttpOnly; SameSite=Lax", false), Pass(_)), "plain HTTP has no Secure");
        assert!(!format!("{:?}", one("session=s3cret", true)).contains("s3cret"));
    }

    #[test]
    fn preload_is_for_those_who_are_ready() {
        assert!(matches!(preloaded("max-age=63072000; includeSubDomains; preload"), Pass(_)));
        assert!(matches!(preloaded("max-age=63072000"), Skip(_)));
        for bad in ["max-age=63072000; preload", "max-age=86400; includeSubDomains; preload", "preload"] {
            assert!(matches!(preloaded(bad), Fail(_)), "{bad}");
        }
    }
}
