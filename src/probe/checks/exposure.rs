//! Paths that should not be public.

use std::collections::BTreeSet;

use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Severity};
use super::super::context::Context;
use super::super::net::error::ProbeError;
use super::super::net::http::Response;
use super::{NO_PROXY, none_apply};

pub(in crate::probe) const NET_5: Check = Check {
    id: "NET-5",
    family: Family::Exposure,
    title: "private paths",
    question: "Does the front door hand out metrics, status pages, `/.env`, `/.git`, or copies of them and of a database?",
    pass: "401, 403 or 404, or a body that is not the real thing",
    source: "h5bp/server-configs-nginx security_file_access.conf",
    severity: Severity::Critical,
    remedy: "refuse the path at the front door, and keep the file out of the image",
};

/// What is asked for beside the metrics of the stack's services. Of `*.bak` and `*.sql`, the names that people give them.
const PATHS: [&str; 7] = ["/.env", "/.env.bak", "/.git/HEAD", "/backup.sql", "/dump.sql", "/metrics", "/nginx_status"];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&NET_5], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let mut paths: BTreeSet<&str> = PATHS.into();
    paths.extend(context.stack.services.values().filter_map(|service| service.metrics.as_deref()));
    // One after the other: together they would fill the bucket of a tight limit.
    let mut findings = Vec::new();
    let mut silent: Option<ProbeError> = None;
    for path in paths {
        // Whoever does not answer is not asked again: each time takes as long as an answer may.
        let response = match (&silent, context.front(proxy)) {
            (Some(error), _) => Err(error.clone()),
            (None, Ok(door)) => context.get(&door, path).await,
            (None, Err(error)) => Err(error),
        };
        silent = response.as_ref().err().filter(|error| **error != ProbeError::Limited).cloned();
        findings.push(judge(context, proxy, path, response));
    }
    findings
}

fn judge(context: &Context<'_>, proxy: &Proxy, path: &str, response: Result<Response, ProbeError>) -> Finding {
    let line = proxy.route_of(path).map_or(proxy.line, |route| route.line);
    let question = NET_5.about(context.url(proxy, path)).line(line);
    match response {
        Err(error) => question.unsure(error.to_string()),
        Ok(response) => match response.status {
            200..=299 if is_real(path, &response.body) => {
                question.fail(format!("{}, and it is the real thing", response.status))
            }
            200..=299 => question.pass(format!("{}, but another page", response.status)),
            429 | 500..=599 => question.unsure(response.status.to_string()),
            status => question.pass(status.to_string()),
        },
    }
}

/// Whether a body is what its path promises; many apps answer every path with their start page.
fn is_real(path: &str, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(64 << 10)]);
    match path {
        "/.env" | "/.env.bak" => !text.trim_start().starts_with('<') && text.lines().any(is_assignment),
        "/.git/HEAD" => {
            let head = text.trim();
            head.starts_with("ref: ") || (head.len() == 40 && head.bytes().all(|b| b.is_ascii_hexdigit()))
        }
        "/backup.sql" | "/dump.sql" => text.lines().any(is_dump),
        "/nginx_status" => text.contains("Active connections:"),
        _ => text.lines().any(|line| line.starts_with("# TYPE ") || line.starts_with("# HELP ")) || is_sample(&text),
    }
}

/// `NAME=value`
fn is_assignment(line: &str) -> bool {
    line.trim().split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// What `pg_dump`, `mysqldump` and `sqlite3 .dump` write.
fn is_dump(line: &str) -> bool {
    ["CREATE TABLE ", "INSERT INTO ", "COPY ", "-- PostgreSQL database dump", "-- MySQL dump"]
        .iter()
        .any(|begin| line.starts_with(begin))
}

/// Metrics without comments: every line a name (with labels) and a number.
fn is_sample(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(5).peekable();
    lines.peek().is_some()
        && lines.all(|line| {
            line.starts_with(|c: char| c.is_ascii_lowercase())
                && line.rsplit_once(' ').is_some_and(|(_, number)| number.parse::<f64>().is_ok())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_thing_is_told_from_a_start_page() {
        assert!(is_real("/.env", b"# local\nSECRET_KEY=abc\n"));
        assert!(!is_real("/.env", b"<!doctype html><script>A=1</script>"));
        assert!(is_real("/.env.bak", b"SECRET_KEY=abc\n"));
        assert!(is_real("/dump.sql", b"--\n-- PostgreSQL database dump\n--\n"));
        assert!(is_real("/backup.sql", b"PRAGMA foreign_keys=OFF;\nCREATE TABLE items (id int);\n"));
        assert!(is_real("/.git/HEAD", b"ref: refs/heads/main\n"));
        assert!(is_real("/metrics", b"# HELP up x\n# TYPE up gauge\nup 1\n"));
        assert!(is_real("/internal/metrics", b"http_requests_total{code=\"200\"} 7\nup 1\n"));
        for path in ["/.git/HEAD", "/dump.sql", "/metrics", "/nginx_status"] {
            assert!(!is_real(path, b"<html>welcome</html>"), "{path}");
            assert!(!is_real(path, b""), "{path}");
        }
    }
}
