//! What header values mean. Pure: strings in, judgement out.

/// Observatory's floor for `max-age` of HSTS: half a year, in seconds.
pub(in crate::probe) const HSTS_FLOOR: u64 = 15_552_000;

/// What a value is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    Weak(String),
}

fn weak(why: impl Into<String>) -> Worth {
    Worth::Weak(why.into())
}

/// `max-age` of a Strict-Transport-Security header (RFC 6797 §6.1), in seconds; one header, one policy.
pub(super) fn max_age(value: &str) -> Option<u64> {
    let mut found = None;
    for directive in value.split(';') {
        let (name, number) = directive.split_once('=').unwrap_or((directive, ""));
        if name.trim().eq_ignore_ascii_case("max-age") {
            if found.is_some() {
                return None;
            }
            found = Some(number.trim().trim_matches('"').parse().ok()?);
        }
    }
    found
}

/// The sources of a directive of a Content-Security-Policy; the first mention counts (CSP 3 §2.2.1).
pub(super) fn csp_directive<'a>(policy: &'a str, name: &str) -> Option<Vec<&'a str>> {
    policy.split(';').find_map(|directive| {
        let mut words = directive.split_ascii_whitespace();
        words.next().filter(|n| n.eq_ignore_ascii_case(name)).map(|_| words.collect())
    })
}

/// Sources that are everything there is.
const BROAD: [&str; 8] = ["*", "http:", "https:", "ftp:", "http://*", "https://*", "http://*.*", "https://*.*"];

/// Of several policies (in one header, or in several) each is enforced: what the strictest forbids is forbidden.
pub(super) fn policies<'a>(values: impl Iterator<Item = &'a str>, https: bool) -> Option<Worth> {
    let all: Vec<Worth> = values
        .flat_map(|value| value.split(','))
        .filter(|policy| !policy.trim().is_empty())
        .map(|policy| csp(policy, https))
        .collect();
    all.iter().find(|worth| **worth == Worth::Good).or(all.first()).cloned()
}

/// Observatory's csp.js: scripts without `unsafe-inline` (a nonce or hash excuses it), `unsafe-eval` or whole schemes,
/// plug-ins restricted, and over HTTPS nothing but pictures and films from plain HTTP.
pub(super) fn csp(policy: &str, https: bool) -> Worth {
    let default = csp_directive(policy, "default-src");
    let Some(scripts) = csp_directive(policy, "script-src").or_else(|| default.clone()) else {
        return weak("neither script-src nor default-src");
    };
    let has = |word: &str| scripts.iter().any(|source| source.eq_ignore_ascii_case(word));
    let excused = scripts.iter().any(|s| {
        let s = s.to_ascii_lowercase();
        s.starts_with("'nonce-") || s.starts_with("'sha256-") || s.starts_with("'sha384-") || s.starts_with("'sha512-")
    });
    if has("'unsafe-inline'") && !excused {
        return weak("scripts: 'unsafe-inline'");
    }
    // With it, browsers pass over names and schemes; without a nonce or a hash no script runs at all.
    let dynamic = has("'strict-dynamic'");
    if dynamic && !excused {
        return weak("scripts: 'strict-dynamic' without a nonce or hash");
    }
    if let Some(wide) = BROAD.into_iter().chain(["data:"]).find(|word| has(word) && !dynamic) {
        return weak(format!("scripts from {wide}"));
    }
    if has("'unsafe-eval'") {
        return weak("scripts: 'unsafe-eval'");
    }
    let Some(objects) = csp_directive(policy, "object-src").or(default) else {
        return weak("neither object-src nor default-src");
    };
    if let Some(wide) = BROAD.into_iter().find(|word| objects.iter().any(|source| source.eq_ignore_ascii_case(word))) {
        return weak(format!("plug-ins from {wide}"));
    }
    let active = policy.split(';').map(|directive| directive.split_ascii_whitespace()).filter_map(|mut words| {
        let name = words.next()?.to_ascii_lowercase();
        let passive = matches!(name.as_str(), "img-src" | "media-src") || dynamic && name == "script-src";
        (!passive).then(|| words.find(|source| insecure(source)).map(|source| format!("{name} {source}"))).flatten()
    });
    match active.into_iter().next() {
        Some(source) if https => weak(format!("over plain HTTP: {source}")),
        _ => Worth::Good,
    }
}

fn insecure(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    source.starts_with("http:") || source.starts_with("ftp:")
}

/// The last policy of the list that is known counts (Referrer Policy §11.1).
pub(super) fn referrer<'a>(values: impl Iterator<Item = &'a str>) -> Option<Worth> {
    const GOOD: [&str; 4] = ["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"];
    const WEAK: [&str; 4] = ["origin", "origin-when-cross-origin", "unsafe-url", "no-referrer-when-downgrade"];
    let words: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect();
    let known = words.iter().rev().find(|word| GOOD.contains(&word.as_str()) || WEAK.contains(&word.as_str()));
    match known {
        Some(word) if GOOD.contains(&word.as_str()) => Some(Worth::Good),
        Some(word) => Some(weak(word.clone())),
        None => words.last().map(|word| weak(word.clone())),
    }
}

/// Cross-origin policies: a known word each.
pub(super) fn cross_origin(name: &str, value: &str) -> bool {
    let word = value.split(';').next().unwrap_or("").trim();
    match name {
        "cross-origin-opener-policy" => {
            matches!(word, "same-origin" | "same-origin-allow-popups" | "noopener-allow-popups" | "unsafe-none")
        }
        "cross-origin-embedder-policy" => matches!(word, "require-corp" | "credentialless" | "unsafe-none"),
        _ => matches!(word, "same-origin" | "same-site" | "cross-origin"),
    }
}

/// A product with a version: `nginx/1.22.1`.
pub(super) fn has_version(server: &str) -> bool {
    server.split_once('/').is_some_and(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsts() {
        assert_eq!(max_age("max-age=63072000; includeSubDomains"), Some(63_072_000));
        assert_eq!(max_age("includeSubDomains; Max-Age=\"300\""), Some(300));
        for bad in ["", "includeSubDomains", "max-age=x", "max-age=1; max-age=2", "max-age=-1"] {
            assert_eq!(max_age(bad), None, "{bad}");
        }
    }

    #[test]
    fn content_policies() {
        for good in [
            "default-src 'self'",
            "script-src 'self'; object-src 'none'",
            "default-src 'none'; script-src 'nonce-abc' 'unsafe-inline'",
            "script-src 'strict-dynamic' 'nonce-abc' https: 'unsafe-inline'; object-src 'none'",
        ] {
            assert_eq!(csp(good, true), Worth::Good, "{good}");
        }
        for bad in [
            "",
            "frame-ancestors 'none'",
            "script-src 'self'",
            "default-src *",
            "default-src 'self' https:",
            "default-src 'self' 'unsafe-inline'",
            "default-src 'self' 'unsafe-eval'",
            "script-src data:; object-src 'none'",
            "script-src 'self'; object-src https:",
            "default-src 'self'; script-src https://*",
            "script-src 'strict-dynamic' https:; object-src 'none'",
        ] {
            assert_ne!(csp(bad, true), Worth::Good, "{bad}");
        }
        let plain = "default-src 'self'; connect-src http://api.example.com";
        assert_eq!((csp(plain, false), csp(plain, true) == Worth::Good), (Worth::Good, false));
        assert_eq!(csp("default-src 'self'; img-src http://a.example", true), Worth::Good);
        let loose = "default-src 'self' 'unsafe-inline'";
        assert_eq!(policies([loose, "default-src 'self'"].into_iter(), true), Some(Worth::Good), "both are enforced");
        assert_eq!(policies(["default-src 'self', default-src *"].into_iter(), true), Some(Worth::Good));
        assert_ne!(policies([loose].into_iter(), true), Some(Worth::Good));
        assert_eq!(policies(std::iter::empty(), true), None);
    }

    #[test]
    fn other_values() {
        for good in [&["no-referrer, strict-origin-when-cross-origin"][..], &["unsafe-url", "no-referrer, tomorrows"]] {
            assert_eq!(referrer(good.iter().copied()), Some(Worth::Good), "{good:?}");
        }
        for bad in [&["unsafe-url"][..], &["no-referrer", "origin"], &["whatever"]] {
            assert!(matches!(referrer(bad.iter().copied()), Some(Worth::Weak(_))), "{bad:?}");
        }
        assert_eq!(referrer(std::iter::empty()), None);
        assert!(cross_origin("cross-origin-opener-policy", "same-origin; report-to=\"x\""));
        assert!(!cross_origin("cross-origin-resource-policy", "yes"));
        assert!(has_version("nginx/1.22.1") && !has_version("nginx") && !has_version("a/b"));
    }
}
