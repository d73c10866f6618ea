//! What an authority said, and what to do about it.

use std::time::Duration;

use instant_acme::{Error, Problem};

use crate::base::units::Span;

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who}: {why}")]
pub struct AcmeError {
    /// Who said so: the directory's host, mostly.
    pub who: String,
    /// What it said.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
    /// The account is not known there (any more): another one may be.
    pub account_gone: bool,
    /// It took our answers for old ones, more often than a request is sent again (RFC 8555 §6.5): asking anew helps.
    pub stale: bool,
    /// It looked, and found something else than our answers: asking again finds the same until somebody mends it.
    pub unanswered: bool,
    /// For how many seconds it wants to be left alone.
    pub wait: Option<u64>,
}

/// The end of a problem's type (RFC 8555 §6.7), and what to do about it.
const ADVICE: &[(&str, &str)] = &[
    ("accountDoesNotExist", "run it again: a new account is made"),
    ("badNonce", "the authority takes no answer of ours in time; run it again"),
    ("caa", "a CAA record of the domain forbids it: add the authority there, or ask one that is allowed"),
    (
        "connection",
        "the authority cannot reach the front door: port 80 of the name's addresses (A and AAAA) must lead to this host, \
         from the whole internet",
    ),
    ("dns", "the name has to be in the DNS, with the address of this host; look at it with `dig NAME`"),
    ("externalAccountRequired", "the authority wants to know its customers: set `eab_kid` and `eab_key` in `tls.acme`"),
    (
        "incorrectResponse",
        "something else answers under that name: its addresses (A and AAAA) must lead to this front door only",
    ),
    ("invalidContact", "the authority does not take the address in `email`"),
    ("rateLimited", "wait as long as it says; `stackctl cert issue --staging` tries things out without counting"),
    ("rejectedIdentifier", "the authority gives no certificate for that name: look for a typing error in `domains`"),
    ("serverInternal", "the authority is in trouble: `stackctl cert renew` asks again later"),
    ("tls", "the name leads to something that speaks TLS in another way: a CDN in front has to pass port 80 on"),
    (
        "unauthorized",
        "something else answers under that name, or the record is not there yet: look where the name leads",
    ),
    ("unsupportedIdentifier", "the authority gives no certificate for that kind of name: look at `domains`"),
    ("userActionRequired", "the authority has new terms, to be agreed to by a person: what it says names where"),
];

/// What to do where something else than an authority answers.
const DIRECTORY: &str = "is that the URL of a directory? A browser shows JSON there, with `newOrder` in it";

impl AcmeError {
    /// Something that was said, without advice.
    pub(super) fn said(who: &str, why: &str) -> Self {
        Self {
            who: host(who).to_owned(),
            why: clean(why),
            hint: None,
            account_gone: false,
            stale: false,
            unanswered: false,
            wait: None,
        }
    }

    /// The authority does not ask in the way that can be answered.
    pub(super) fn unasked(directory: &str, name: &str, dns: bool) -> Self {
        let (how, hint) = if dns {
            ("by the DNS", "leave `dns` away: the front door answers then")
        } else {
            ("at port 80", "name the program that changes the DNS: `dns = [\"./dns\"]` in `tls.acme`")
        };
        Self { hint: Some(hint.to_owned()), ..Self::said(directory, &format!("it does not ask about `{name}` {how}")) }
    }

    /// What it found instead of the answers.
    pub(super) fn refused(directory: &str, found: &[(String, Problem)]) -> Self {
        let all: Vec<String> = found.iter().map(|(name, problem)| format!("{name}: {}", words(problem))).collect();
        let hint = found.iter().find_map(|(_, problem)| advice(problem));
        Self { hint, unanswered: true, ..Self::said(directory, &all.join("; ")) }
    }

    /// The account elsewhere that it wants to know of is not the one that was named.
    pub(super) fn not_bound(self) -> Self {
        Self {
            hint: Some(
                "look at `eab_kid` and the value of `eab_key`: both are the authority's, belong together, and some \
                 are good for one account only"
                    .to_owned(),
            ),
            ..self
        }
    }

    /// Wants to be left alone for so many seconds.
    pub(super) fn waits(self, seconds: Option<u64>) -> Self {
        let Some(seconds) = seconds else { return self };
        let why = format!("{}; it wants to be left alone for {}", self.why, Span(Duration::from_secs(seconds)));
        Self { why, wait: Some(seconds), ..self }
    }

    /// Any error of the library.
    pub(super) fn of(error: &Error, directory: &str) -> Self {
        let (why, hint) = match error {
            Error::Api(problem) => (words(problem), advice(problem)),
            Error::Json(_) => ("its answer makes no sense".to_owned(), Some(DIRECTORY.to_owned())),
            Error::Timeout(_) => (
                "it has not decided in two minutes".to_owned(),
                Some("run `stackctl cert renew` again later".to_owned()),
            ),
            Error::Other(other) => {
                let mut why = other.to_string();
                let mut cause = other.source();
                while let Some(inner) = cause {
                    why = inner.to_string();
                    cause = inner.source();
                }
                (format!("it cannot be asked: {why}"), Some(way(&why)))
            }
            Error::Str(what) => (
                format!("its answer lacks what it must have: {what}"),
                Some("run `stackctl cert issue`: that begins a new order".to_owned()),
            ),
            other => (other.to_string(), None),
        };
        let account_gone = matches!(error, Error::Api(p) if kind(p) == "accountDoesNotExist");
        let stale = matches!(error, Error::Api(p) if kind(p) == "badNonce");
        Self { hint, account_gone, stale, ..Self::said(directory, &why) }
    }
}

/// What to do where the way to the authority is wrong.
fn way(why: &str) -> String {
    let lower = why.to_lowercase();
    if lower.contains("unknownissuer") {
        return "its own certificate is of an authority nobody here knows: name that one in `trust`".to_owned();
    }
    if lower.contains("causedasendentity") {
        return "its own certificate is an authority's: give it one that `trust` signed, not that one itself"
            .to_owned();
    }
    if lower.contains("not valid for name") || lower.contains("notvalidforname") {
        return "its own certificate is for another name: look at `directory`".to_owned();
    }
    if ["expired", "notvalidyet", "not valid yet"].iter().any(|words| lower.contains(words)) {
        return "look at the clock of this machine (`date`): certificates are good for a time".to_owned();
    }
    "look at the way from here to it: name, network, `HTTPS_PROXY`".to_owned()
}

fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|t| t.rsplit(':').next()).unwrap_or_default()
}

fn advice(problem: &Problem) -> Option<String> {
    let own = ADVICE.iter().find(|(name, _)| *name == kind(problem)).map(|(_, advice)| (*advice).to_owned());
    let inner = || {
        let kinds = problem.subproblems.iter().filter_map(|p| p.r#type.as_deref()?.rsplit(':').next());
        kinds.filter_map(|k| ADVICE.iter().find(|(name, _)| *name == k)).map(|(_, a)| (*a).to_owned()).next()
    };
    let by_status = || {
        let kind = match problem.status? {
            429 => "rateLimited",
            500.. => "serverInternal",
            404 | 405 | 410 => return Some(DIRECTORY.to_owned()),
            _ => return None,
        };
        ADVICE.iter().find(|(name, _)| *name == kind).map(|(_, advice)| (*advice).to_owned())
    };
    inner().or(own).or_else(by_status)
}

fn words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("refused, without a word");
    let inner: Vec<&str> = problem.subproblems.iter().filter_map(|p| p.detail.as_deref()).collect();
    let kind = kind(problem);
    let inner = if inner.is_empty() { String::new() } else { format!(": {}", inner.join("; ")) };
    if kind.is_empty() { format!("{detail}{inner}") } else { format!("{detail}{inner} ({kind})") }
}

/// The host of a URL, or the text itself.
fn host(url: &str) -> &str {
    url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or(url)
}

/// What comes from the network is one line, and not endless.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str) -> Problem {
        Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: Some(detail.to_owned()),
            status: None,
            subproblems: Vec::new(),
        }
    }

    #[test]
    fn what_the_authority_says_comes_with_the_next_step() {
        for (kind, words) in [
            ("connection", "port 80"),
            ("dns", "dig NAME"),
            ("unauthorized", "something else answers"),
            ("rateLimited", "--staging"),
            ("caa", "CAA record"),
            ("externalAccountRequired", "eab_kid"),
        ] {
            let error = AcmeError::refused("https://ca.example/dir", &[("a.b".into(), problem(kind, "no\nway"))]);
            assert_eq!(error.to_string(), format!("ca.example: a.b: no way ({kind})"));
            assert!(error.hint.is_some_and(|hint| hint.contains(words)), "{kind}");
        }
        let status = |status: u16| Problem { status: Some(status), ..problem("", "it answers") };
        for (status_, words) in [(503, "in trouble"), (429, "wait as long"), (404, "URL of a directory")] {
            let error =
                AcmeError::of(&Error::Api(Problem { r#type: None, ..status(status_) }), "https://ca.example/dir");
            assert!(error.hint.is_some_and(|hint| hint.contains(words)), "{status_}");
        }
        let gone = AcmeError::of(&Error::Api(problem("accountDoesNotExist", "who?")), "https://ca.example/dir");
        assert!(gone.account_gone && !gone.stale);
        let stale = AcmeError::of(&Error::Api(problem("badNonce", "old")), "https://ca.example/dir");
        assert!(stale.stale && !stale.account_gone);
    }

    #[test]
    fn what_is_wrong_with_its_own_certificate_is_told_apart() {
        use rustls::CertificateError as Wrong;
        let at = |seconds| rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for (wrong, words) in [
            (Wrong::UnknownIssuer, "in `trust`"),
            (Wrong::NotValidYetContext { time: at(1), not_before: at(2) }, "the clock of this machine"),
            (Wrong::ExpiredContext { time: at(2), not_after: at(1) }, "the clock of this machine"),
            (Wrong::NotValidForName, "look at `directory`"),
            // What the library says of one that signed itself.
            (
                Wrong::Other(rustls::OtherError(std::sync::Arc::new(std::io::Error::other("CaUsedAsEndEntity")))),
                "`trust` signed",
            ),
        ] {
            let why = rustls::Error::InvalidCertificate(wrong).to_string();
            assert!(way(&why).contains(words), "{why}: {}", way(&why));
        }
    }

    #[test]
    fn the_innermost_reason_counts() {
        let mut outer = problem("compound", "several");
        outer.subproblems = serde_json::from_value(serde_json::json!([
            { "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "x.y is not allowed",
              "identifier": { "type": "dns", "value": "x.y" } }
        ]))
        .unwrap_or_default();
        let error = AcmeError::of(&Error::Api(outer), "https://ca.example/dir");
        assert_eq!(error.why, "several: x.y is not allowed (compound)");
        assert!(error.hint.is_some_and(|hint| hint.contains("typing error")));
    }
}
