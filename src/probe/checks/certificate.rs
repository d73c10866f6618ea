//! What the server shows: chain, names, expiry, strength, ALPN.

use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;

use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Tls};

use super::super::check::{Check, Family, Severity};
use super::super::context::Context;
use super::super::net::client::{Door, Request};
use super::super::net::error::ProbeError;
use super::super::text;
use super::super::tls::certificate::{self, Expiry, Facts, Strength};
use super::super::tls::session::{self, Session};
use super::{NO_PROXY, none_apply};

pub(in crate::probe) const TLS_5: Check = Check {
    id: "TLS-5",
    family: Family::Tls,
    title: "certificate chain",
    question: "Do the served certificates alone lead to a trusted root? Nothing is fetched, as browsers on phones do not.",
    pass: "complete to a public root (or one named as trusted); a trial certificate is a warning",
    source: "SSL Labs rating guide 2009r: untrusted is T, incomplete B",
    severity: Severity::Critical,
    remedy: "put the intermediate certificates after the leaf in the certificate file",
};

pub(in crate::probe) const TLS_6: Check = Check {
    id: "TLS-6",
    family: Family::Tls,
    title: "certificate names",
    question: "Is the certificate shown for each declared domain made out to it?",
    pass: "a subject alternative name matches",
    source: "RFC 9525; SSL Labs rating guide 2009r: mismatch is M",
    severity: Severity::Critical,
    remedy: "order a certificate with all names in `domains`",
};

pub(in crate::probe) const TLS_7: Check = Check {
    id: "TLS-7",
    family: Family::Tls,
    title: "certificate expiry",
    question: "How long is the certificate still valid?",
    pass: "fail under min(7 days, lifetime/6), warn under min(30 days, lifetime/3)",
    source: "derived from testssl.sh DAYS2WARN and awesome-prometheus-alerts, scaled to short lifetimes",
    severity: Severity::Critical,
    remedy: "renew the certificate, then run `stackctl up`",
};

pub(in crate::probe) const TLS_9: Check = Check {
    id: "TLS-9",
    family: Family::Tls,
    title: "key and signature",
    question: "Are key and signature of the certificate strong?",
    pass: "RSA of at least 2048 bits, P-256 or P-384; signed with SHA-256, SHA-384 or SHA-512",
    source: "Mozilla TLS guidelines 6.0",
    severity: Severity::High,
    remedy: "order a certificate for a new key (P-256, or RSA 2048)",
};

pub(in crate::probe) const TLS_11: Check = Check {
    id: "TLS-11",
    family: Family::Tls,
    title: "unknown names",
    question: "What does a visitor get who asks for another name, or for none?",
    pass: "a refused handshake, or no page",
    source: "nginx ssl_reject_handshake (1.19.4)",
    severity: Severity::Medium,
    remedy: "add a default server with `ssl_reject_handshake on;`",
};

pub(in crate::probe) const TLS_12: Check = Check {
    id: "TLS-12",
    family: Family::Tls,
    title: "configured certificate is served",
    question: "Is the served certificate the one that is configured now?",
    pass: "the same certificate",
    source: "catches “renewed but not reloaded”",
    severity: Severity::High,
    remedy: "run `stackctl up`, which loads it",
};

pub(in crate::probe) const TLS_13: Check = Check {
    id: "TLS-13",
    family: Family::Tls,
    title: "HTTP/2",
    question: "Is HTTP/2 agreed to in the handshake (ALPN)?",
    pass: "`h2` is chosen",
    source: "RFC 9113 §3.2, nginx http2",
    severity: Severity::Low,
    remedy: "add `http2 on;` (before nginx 1.25.1: `listen 443 ssl http2`)",
};

const CHECKS: [&Check; 7] = [&TLS_5, &TLS_6, &TLS_7, &TLS_9, &TLS_11, &TLS_12, &TLS_13];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&CHECKS, context.stack.project.as_str(), None, NO_PROXY);
    };
    if proxy.tls == Tls::Off {
        let subject = context.authority(proxy.canonical(), false);
        return none_apply(&CHECKS, &subject, Some(proxy.tls_line), "TLS is off in stack.toml");
    }
    let shown = join_all(proxy.domains.iter().map(|domain| async move {
        let name = domain.as_str();
        (name, shake(context, name, true).await)
    }))
    .await;
    let mut findings = Vec::new();
    if let Some((name, shown)) = shown.first() {
        findings.extend(of_the_first(context, proxy, name, shown));
    }
    for (name, shown) in &shown {
        let question = TLS_6.about(name).line(proxy.domains_line);
        findings.push(match shown {
            Ok(Session { chain, .. }) => match chain.first().map(|leaf| certificate::names(leaf, name)) {
                Some(Ok(())) => question.pass("it is"),
                Some(Err(why)) => question.fail(why),
                None => question.fail("no certificate was shown"),
            },
            Err(error) => question.unsure(error.to_string()),
        });
    }
    findings.push(strangers(context, proxy).await);
    findings
}

async fn shake(context: &Context<'_>, name: &str, send_name: bool) -> Result<Session, ProbeError> {
    let address = context.https_door(name)?.address;
    session::shake(address, name, session::config(send_name, &[b"h2", b"http/1.1"])?).await
}

/// What is asked about one certificate is asked about the first domain's: there is one certificate for all.
fn of_the_first(context: &Context<'_>, proxy: &Proxy, name: &str, shown: &Result<Session, ProbeError>) -> Vec<Finding> {
    let line = proxy.tls_line;
    let about = |check: &'static Check| check.about(name).line(line);
    let judged = [&TLS_5, &TLS_7, &TLS_9, &TLS_12, &TLS_13];
    let session = match shown {
        Ok(session) => session,
        Err(error) => return judged.into_iter().map(|check| about(check).unsure(error.to_string())).collect(),
    };
    let mut findings = vec![same(context, proxy, name, session), http2(proxy, name, session)];
    match session.chain.first().map_or_else(|| Err("no certificate was shown".to_owned()), |leaf| Facts::of(leaf)) {
        Ok(facts) => {
            findings.push(trusted(context, proxy, name, session, &facts));
            findings.push(expiry(proxy, name, &facts));
            findings.push(strength(proxy, name, &facts));
        }
        Err(why) => findings.extend([&TLS_5, &TLS_7, &TLS_9].map(|check| about(check).unsure(&why))),
    }
    findings
}

fn trusted(context: &Context<'_>, proxy: &Proxy, name: &str, session: &Session, facts: &Facts) -> Finding {
    let question = TLS_5.about(name).line(proxy.tls_line);
    if matches!(proxy.tls, Tls::SelfSigned(_)) {
        return question
            .remedy(
                "for a real one: tls = { acme = \"ops@example.com\" }, or { files = { cert = \"…\", key = \"…\" } }",
            )
            .warn("trial certificate: browsers warn about it");
    }
    let roots = certificate::roots(context.options.trust.as_deref());
    match certificate::chain(&session.chain, &roots, facts, certificate::now()) {
        Ok(()) => question.pass(format!("{} served, issued by {}", count(session.chain.len()), facts.issuer)),
        Err(why) if matches!(proxy.tls, Tls::Acme(_)) && facts.issuer.contains("stackctl trial") => question
            .remedy("`stackctl cert status` says why; `stackctl cert issue` asks the authority again")
            .fail(format!("the trial certificate still serves, and nobody trusts it: {why}")),
        Err(why) => {
            let what = match session.chain.len() {
                1 if facts.self_issued => "self-signed".to_owned(),
                n => format!("{} served, issued by {}: {why}", count(n), facts.issuer),
            };
            question.fail(what)
        }
    }
}

fn count(certificates: usize) -> String {
    if certificates == 1 { "1 certificate".into() } else { format!("{certificates} certificates") }
}

fn expiry(proxy: &Proxy, name: &str, facts: &Facts) -> Finding {
    let question = TLS_7.about(name).line(proxy.tls_line);
    let now = certificate::now();
    let days = |seconds: u64| seconds / 86_400;
    let left = format!("{} days left", days(facts.not_after.saturating_sub(now)));
    match facts.expiry(now) {
        Expiry::Enough => question.pass(left),
        Expiry::Soon => question.warn(left),
        Expiry::VerySoon => question.fail(left),
        Expiry::Over => question.fail(format!("expired {} days ago", days(now.saturating_sub(facts.not_after)))),
        Expiry::NotYet => question.fail(format!("valid only in {} days", days(facts.not_before.saturating_sub(now)))),
    }
}

fn strength(proxy: &Proxy, name: &str, facts: &Facts) -> Finding {
    let question = TLS_9.about(name).line(proxy.tls_line);
    let seen = format!("{}, {}", facts.key.name, facts.signature.name);
    let of = |judgement: Option<bool>| move |part: &&Strength| part.good == judgement;
    let parts = [&facts.key, &facts.signature];
    if parts.iter().any(of(Some(false))) {
        question.fail(seen)
    } else if parts.iter().any(of(None)) {
        question.warn(seen)
    } else {
        question.pass(seen)
    }
}

fn same(context: &Context<'_>, proxy: &Proxy, name: &str, session: &Session) -> Finding {
    let question = TLS_12.about(name).line(proxy.tls_line);
    let configured = context.known.certificate.map(certificate::from_pem);
    match configured.as_deref() {
        None => question.not_applicable("the configured certificate is not known here"),
        Some([]) => question.unsure("the configured certificate cannot be read"),
        Some([leaf, ..]) if session.chain.first() == Some(leaf) => question.pass("it is"),
        Some([leaf, ..]) => {
            question.fail(format!("another one: {} instead of {}", print(session.chain.first()), print(Some(leaf))))
        }
    }
}

/// The first digits of a SHA-256 fingerprint.
fn print(certificate: Option<&CertificateDer<'_>>) -> String {
    certificate.map_or_else(|| "none".into(), |der| format!("{:.16}…", crate::base::hash::sha256(der)))
}

fn http2(proxy: &Proxy, name: &str, session: &Session) -> Finding {
    let question = TLS_13.about(name).line(proxy.line);
    match session.alpn.as_deref() {
        Some(b"h2") => question.pass("`h2`"),
        Some(other) => question.warn(format!("`{}`", text::clean(other))),
        None => question.warn("no protocol chosen"),
    }
}

/// A name nobody has, then no name at all.
async fn strangers(context: &Context<'_>, proxy: &Proxy) -> Finding {
    let question = TLS_11.about("another name, and none").line(proxy.domains_line);
    let Some(address) = context.target.https else {
        return question.unsure("HTTPS cannot be reached from here");
    };
    let stranger = format!("{}.invalid", text::nonce());
    let mut seen = Vec::new();
    for send_name in [true, false] {
        let config = match session::config(send_name, &[b"http/1.1"]) {
            Ok(config) => config,
            Err(error) => return question.unsure(error.to_string()),
        };
        let door = Door::tls(address, &stranger, &stranger, config);
        match door.get(&Request::path("/")).await {
            Ok(response) if response.status < 300 => {
                let who = if send_name { "another name" } else { "no name" };
                return question.fail(format!("{} and a page for {who}", response.status));
            }
            Ok(response) => seen.push(response.status.to_string()),
            Err(ProbeError::Tls(_)) => seen.push("handshake refused".into()),
            Err(ProbeError::Closed) => seen.push("closed".into()),
            Err(error) => return question.unsure(error.to_string()),
        }
    }
    question.pass(seen.join(", "))
}
