//! `docs/checks.md`: the catalogue for people, and which check answers each item of the deployment guides' lists.

use std::fmt::Write as _;

use crate::probe::{CATALOGUE, Check, Severity};

use super::findings::family_of;

const HEAD: &str = "\
# The checklist

<!-- Made from src/probe by `UPDATE_DOCS=1 cargo test --test cli`. -->

`stackctl verify` asks these questions. Every answer is one of five: **pass**; **warn** (works, but you should know);
**FAIL**; **n/a** with the reason, where a question does not apply or cannot be seen from where it is asked; and
**unsure** with what is missing, where it was asked and there is no verdict. Nothing passes by default. `FAIL` ends with
exit code 4, `unsure` with 6, all else with 0; `--fail-on warn` makes warnings count.

`--only` and `--skip` take identifiers (`TLS-7`) and families (`TLS`). `up` asks the families marked *gate* at its end.

";

/// What answers an item of a guide's list.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// Checks, by identifier.
    Checks(&'static [&'static str]),
    /// Not a check, and why.
    Not(&'static str),
}

use Answer::{Checks, Not};

/// Every item of the five guides' hand-written checklists, in their order.
const ITEMS: &[(&str, &str, Answer)] = &[
    ("AI Search Engine, before deployment", "tests pass", Checks(&["ATT-11"])),
    ("AI Search Engine, before deployment", "documentation updated", Checks(&["ATT-4"])),
    (
        "AI Search Engine, before deployment",
        "environment configured",
        Not(
            "`stackctl check` refuses a file with an undefined variable or a missing secret, before anything is touched",
        ),
    ),
    ("AI Search Engine, before deployment", "certificates obtained", Checks(&["TLS-5", "TLS-6", "TLS-7"])),
    ("AI Search Engine, before deployment", "migrations tested", Checks(&["ATT-11"])),
    ("AI Search Engine, before deployment", "backup strategy", Checks(&["ATT-2", "ATT-9"])),
    (
        "AI Search Engine, before deployment",
        "monitoring configured",
        Checks(&["MON-1", "MON-2", "MON-3", "MON-4", "MON-5", "MON-6"]),
    ),
    ("AI Search Engine, before deployment", "load test done", Checks(&["ATT-8"])),
    (
        "AI Search Engine, after deployment",
        "health checks pass",
        Checks(&["HLT-1", "HLT-3", "HLT-4", "HLT-5", "HLT-6"]),
    ),
    ("AI Search Engine, after deployment", "logs collected", Checks(&["LOG-1", "LOG-2"])),
    ("AI Search Engine, after deployment", "metrics reported", Checks(&["MON-1"])),
    ("AI Search Engine, after deployment", "backups running", Checks(&["ATT-2"])),
    ("AI Search Engine, after deployment", "certificate valid", Checks(&["TLS-5", "TLS-6", "TLS-7", "TLS-12"])),
    ("AI Search Engine, after deployment", "DNS configured", Checks(&["DNS-1", "DNS-2"])),
    ("AI Search Engine, after deployment", "rate limit works", Checks(&["RL-1", "RL-3", "RL-4", "RL-5", "RL-6"])),
    ("AI Search Engine, after deployment", "error tracking", Checks(&["ERR-1"])),
    ("AI Search Engine, security", "keys in the environment", Checks(&["SEC-1", "SEC-2", "SEC-3", "SEC-4"])),
    ("AI Search Engine, security", "code execution sandboxed", Checks(&["CTR-1", "CTR-2", "CTR-4", "ATT-10"])),
    ("AI Search Engine, security", "HTTPS enforced", Checks(&["RED-1", "HSTS-1", "TLS-1"])),
    ("AI Search Engine, security", "security headers", Checks(&["HDR-1", "HDR-2", "HDR-3", "HDR-4", "HDR-6"])),
    ("AI Search Engine, security", "rate limit", Checks(&["RL-1", "RL-2", "RL-3", "RL-7"])),
    ("AI Search Engine, security", "CORS", Checks(&["CORS-1", "CORS-2"])),
    ("AI Search Engine, security", "database encrypted", Checks(&["ATT-5", "DB-1"])),
    ("AI Search Engine, security", "updates scheduled", Checks(&["HOST-3", "ATT-12"])),
    ("SUM, production", "certificates", Checks(&["TLS-5", "TLS-6", "TLS-7", "TLS-9"])),
    ("SUM, production", "firewall", Checks(&["NET-1", "NET-2", "HOST-4", "ATT-6"])),
    ("SUM, production", "backups scheduled", Checks(&["ATT-2"])),
    ("SUM, production", "alerts", Checks(&["MON-2", "MON-4", "MON-5", "MON-6", "MON-7", "ATT-1"])),
    ("SUM, production", "log rotation", Checks(&["LOG-1"])),
    ("SUM, production", "headers", Checks(&["HDR-1", "HDR-2", "HDR-3", "HDR-6", "HSTS-1"])),
    ("SUM, production", "rate limit tested", Checks(&["RL-1", "RL-2", "RL-3", "RL-4", "RL-5", "RL-6", "RL-7"])),
    ("SUM, production", "health", Checks(&["HLT-1", "HLT-3", "HLT-4"])),
    ("SUM, production", "error tracking", Checks(&["ERR-1"])),
    ("SUM, production", "performance baseline", Checks(&["PERF-1", "ATT-8"])),
    ("Research Assistant, production", "database credentials", Checks(&["SEC-4", "DB-1"])),
    (
        "Research Assistant, production",
        "variables set",
        Not(
            "`stackctl check` refuses a file with an undefined variable or a missing secret, before anything is touched",
        ),
    ),
    ("Research Assistant, production", "HTTPS", Checks(&["TLS-1", "RED-1", "HSTS-1"])),
    ("Research Assistant, production", "proxy running", Checks(&["HLT-1"])),
    (
        "Research Assistant, production",
        "unit enabled",
        Not("containers are started by the engine (CTR-5); systemd units of a host are not rendered for engines"),
    ),
    ("Research Assistant, production", "firewall", Checks(&["NET-1", "NET-2", "HOST-4", "ATT-6"])),
    ("Research Assistant, production", "backups", Checks(&["ATT-2", "ATT-9"])),
    ("Research Assistant, production", "log rotation", Checks(&["LOG-1"])),
    ("Research Assistant, production", "health monitoring", Checks(&["MON-1", "HLT-1"])),
    ("Research Assistant, production", "cost log", Checks(&["ATT-3"])),
    ("Research Assistant, production", "rate limit", Checks(&["RL-1", "RL-3"])),
    ("Research Assistant, production", "session lifetime", Checks(&["ATT-10"])),
    ("Research Assistant, production", "COOKIE_SECURE", Checks(&["HDR-8"])),
    ("Research Assistant, production", "analytics endpoints", Checks(&["OWN-1", "NET-5"])),
    ("Research Assistant, production", "WebSocket", Checks(&["WS-1", "WS-2"])),
    ("Research Assistant, production", "tests", Checks(&["ATT-11"])),
    ("AI Governance, containers", "not root", Checks(&["CTR-3"])),
    ("AI Governance, containers", "images updated", Checks(&["IMG-1", "IMG-2", "IMG-3"])),
    ("AI Governance, containers", "images scanned", Checks(&["ATT-7"])),
    ("AI Governance, containers", "secrets managed", Checks(&["SEC-1", "SEC-2", "SEC-3"])),
    ("AI Governance, containers", "only 80 and 443 exposed", Checks(&["NET-1", "NET-2", "NET-3"])),
    ("AI Governance, containers", "default credentials changed", Checks(&["SEC-4", "DB-1"])),
];

/// The whole document.
pub fn document() -> String {
    let mut out = HEAD.to_owned();
    overview(&mut out);
    let mut prefix = "";
    for check in CATALOGUE {
        if family_of(check.id) != prefix {
            prefix = family_of(check.id);
            let _ = writeln!(out, "## {prefix}\n");
        }
        one(&mut out, check);
    }
    guides(&mut out);
    out
}

fn overview(out: &mut String) {
    out.push_str("| check | question of | severity | gate |\n|---|---|---|---|\n");
    for check in CATALOGUE {
        let gate = if check.family.gate() { "yes" } else { "" };
        let _ = writeln!(
            out,
            "| [{0}](#{1}) | {2} | {3} | {gate} |",
            check.id,
            anchor(check),
            check.title,
            severity(check)
        );
    }
    out.push('\n');
}

/// As forges make anchors of headings: lower case, blanks become dashes, all other marks go.
fn anchor(check: &Check) -> String {
    heading(check)
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

fn heading(check: &Check) -> String {
    format!("{} {}", check.id, check.title)
}

fn one(out: &mut String, check: &Check) {
    let _ = writeln!(out, "### {}\n", heading(check));
    let _ = writeln!(out, "{}\n", check.question);
    for (name, text) in
        [("passes", check.pass), ("source", check.source), ("severity", severity(check)), ("remedy", check.remedy)]
    {
        let _ = writeln!(out, "- *{name}*: {text}");
    }
    out.push('\n');
}

fn severity(check: &Check) -> &'static str {
    match check.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn guides(out: &mut String) {
    out.push_str(
        "## The guides' checklists\n\nEvery item of the lists that the deployment guides hand to people, and what answers \
         it.\n",
    );
    let mut list = "";
    for (of, item, answer) in ITEMS {
        if *of != list {
            list = of;
            let _ = writeln!(out, "\n### {of}\n\n| item | answered by |\n|---|---|");
        }
        let text = match answer {
            Checks(ids) => ids.join(", "),
            Not(why) => format!("no check: {why}"),
        };
        let _ = writeln!(out, "| {item} | {text} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_answered_by_a_check_that_exists() {
        for (of, item, answer) in ITEMS {
            match answer {
                Checks(ids) => {
                    assert!(!ids.is_empty(), "{of}: {item}");
                    for id in *ids {
                        assert!(CATALOGUE.iter().any(|check| check.id == *id), "{of}: {item}: there is no {id}");
                    }
                }
                Not(why) => assert!(why.len() > 20, "{of}: {item}"),
            }
        }
        let lists: std::collections::BTreeSet<&str> = ITEMS.iter().map(|(of, ..)| *of).collect();
        assert_eq!((lists.len(), ITEMS.len()), (6, 56));
    }

    #[test]
    fn links_lead_to_headings() {
        let check = CATALOGUE.iter().find(|check| check.id == "SEC-1").copied();
        assert_eq!(check.map(|c| anchor(&c)).as_deref(), Some("sec-1-not-in-the-repository"));
        let text = document();
        for check in CATALOGUE {
            assert!(text.contains(&format!("### {}", heading(check))), "{}", check.id);
        }
    }
}
