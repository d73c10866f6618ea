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

/// Observatory's csp.js: scripts without `unsafe-inline` (a nonce or hash excuses it), `unsafe-eval` or whole schemes,
/// and plug-ins restricted.
pub(super) fn csp(policy: &str) -> Worth {
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
    if let Some(wide) = ["*", "data:", "http:", "https:"].into_iter().find(|word| has(word) && !has("'strict-dynamic'"))
    {
        return weak(format!("scripts from {wide}"));
    }
    if has("'unsafe-eval'") {
        return weak("scripts: 'unsafe-eval'");
    }
    if csp_directive(policy, "object-src").or(default).is_none() {
        return weak("neither object-src nor default-src");
    }
    Worth::Good
}

/// The last policy of the list counts (Referrer Policy §11.1).
pub(super) fn referrer(value: &str) -> Worth {
    let last = value.split(',').next_back().unwrap_or("").trim().to_ascii_lowercase();
    match last.as_str() {
        "no-referrer" | "same-origin" | "strict-origin" | "strict-origin-when-cross-origin" => Worth::Good,
        _ => weak(last),
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
        ] {
            assert_eq!(csp(good), Worth::Good, "{good}");
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
        ] {
            assert_ne!(csp(bad), Worth::Good, "{bad}");
        }
    }

    #[test]
    fn other_values() {
        assert_eq!(referrer("no-referrer, strict-origin-when-cross-origin"), Worth::Good);
        assert_ne!(referrer("unsafe-url"), Worth::Good);
        assert!(cross_origin("cross-origin-opener-policy", "same-origin; report-to=\"x\""));
        assert!(!cross_origin("cross-origin-resource-policy", "yes"));
        assert!(has_version("nginx/1.22.1") && !has_version("nginx") && !has_version("a/b"));
    }
}
