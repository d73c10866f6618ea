//! How long a certificate is made for, and whether it was taken back.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;

use crate::base::date::Date;
use crate::model::finding::Finding;
use crate::model::proxy::Tls;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::tls::certificate::{self, Facts, now};
use super::super::tls::ocsp::{self, Stapled};
use super::super::tls::session;
use super::{NO_PROXY, all_are, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const TLS_8: Check = Check {
    id: "TLS-8",
    family: Family::Tls,
    title: "certificate lifetime",
    question: "For how many days was the certificate made? Asked of certificates of public authorities only.",
    pass: "398 days; 200 if issued from 2026-03-15, 100 from 2027-03-15, 47 from 2029-03-15",
    source: "CA/Browser Forum ballot SC-081v3",
    severity: Severity::Medium,
    remedy: "order a new one: browsers refuse what lasts longer",
};

pub(in crate::probe) const TLS_10: Check = Check {
    id: "TLS-10",
    family: Family::Tls,
    title: "revocation (OCSP)",
    question: "Is an answer of the certificate's responder stapled, and what does it say? Only where the certificate \
               names a responder: Let's Encrypt's have none since May 2025.",
    pass: "`good`, and not out of date; not stapled is a warning, or a failure where the certificate demands it",
    source: "RFC 6960, RFC 7633; Mozilla TLS guidelines 6.0 (ocsp_staple)",
    severity: Severity::Low,
    remedy: "set `ssl_stapling on;` with a `resolver`, or order a certificate without OCSP",
};

const CHECKS: [&Check; 2] = [&TLS_8, &TLS_10];

/// From when on (year, month, day) a certificate may live at most this many days, the newest first.
const MOST: [(&str, u64); 4] = [("2029-03-15", 47), ("2027-03-15", 100), ("2026-03-15", 200), ("2020-09-01", 398)];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&CHECKS, context.stack.project.as_str(), None, NO_PROXY);
    };
    let (name, line) = (proxy.canonical(), Some(proxy.tls_line));
    if proxy.tls == Tls::Off {
        return none_apply(&CHECKS, name, line, "TLS is off in stack.toml");
    }
    let Some(address) = context.target.https else {
        return all_are(&CHECKS, name, line, &Unsure("HTTPS cannot be reached from here".to_owned()));
    };
    match seen(address, name).await {
        Err(why) => all_are(&CHECKS, name, line, &Unsure(why)),
        Ok((leaf, facts, stapled)) => {
            // What a company's own authority signs has no such rule.
            let public = certificate::chain(&leaf, &certificate::roots(None), &facts, now()).is_ok();
            let about = |check: &'static Check| check.about(name).line(proxy.tls_line);
            vec![
                about(&TLS_8).judged(lifetime(&facts, public)),
                about(&TLS_10).judged(revoked(&facts, &stapled, now())),
            ]
        }
    }
}

type Seen = (Vec<CertificateDer<'static>>, Facts, Vec<u8>);

async fn seen(address: SocketAddr, name: &str) -> Result<Seen, String> {
    let (chain, stapled) = session::staple(address, name).await.map_err(|e| e.to_string())?;
    let leaf = chain.first().ok_or("no certificate was shown")?;
    let facts = Facts::of(leaf)?;
    Ok((chain, facts, stapled))
}

fn lifetime(facts: &Facts, public: bool) -> Judged {
    if !public {
        return Skip("it is not of a public authority".to_owned());
    }
    // Counted with the last second: a whole number of days.
    let days = (facts.not_after + 1).saturating_sub(facts.not_before).div_ceil(86_400);
    let issued = Date::of_seconds(facts.not_before);
    let most = MOST.iter().find(|(from, _)| from.parse::<Date>().is_ok_and(|from| issued >= from));
    let seen = format!("{days} days, from {issued} on");
    match most {
        Some((_, most)) if days > *most => Fail(format!("{seen}; at most {most} are allowed")),
        _ => Pass(seen),
    }
}

fn revoked(facts: &Facts, stapled: &[u8], now: u64) -> Judged {
    if !facts.responder {
        return Skip("the certificate names no responder".to_owned());
    }
    if stapled.is_empty() {
        let why = "nothing is stapled".to_owned();
        return if facts.must_staple { Fail(format!("{why}, and the certificate demands it")) } else { Warn(why) };
    }
    match ocsp::read(stapled) {
        None => Fail("what is stapled cannot be read".to_owned()),
        Some(Stapled::Revoked) => Fail("revoked".to_owned()),
        Some(Stapled::Unknown) => Fail("the responder does not know the certificate".to_owned()),
        Some(Stapled::Failed(code)) => Warn(format!("the responder had error {code}")),
        Some(Stapled::Good(until)) => match until.as_deref().and_then(moment) {
            Some(until) if until < now => Fail(format!("out of date since {}", Date::of_seconds(until))),
            _ => Pass("good".to_owned()),
        },
    }
}

/// `20261127120000Z`
fn moment(text: &str) -> Option<u64> {
    let part = |range: std::ops::Range<usize>| text.get(range);
    let date = format!("{}-{}-{}", part(0..4)?, part(4..6)?, part(6..8)?);
    crate::base::date::moment(&format!("{date}T{}:{}:{}Z", part(8..10)?, part(10..12)?, part(12..14)?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::super::tls::certificate::Strength;
    use super::*;

    fn facts(from: &str, days: u64) -> Facts {
        let from = from.parse::<Date>().unwrap().seconds();
        let strength = || Strength { name: String::new(), good: None };
        Facts {
            not_before: from,
            not_after: from + days * 86_400 - 1,
            self_issued: false,
            issuer: String::new(),
            key: strength(),
            signature: strength(),
            responder: true,
            must_staple: false,
        }
    }

    #[test]
    fn lifetimes_shrink() {
        for (from, days, passes) in [
            ("2026-03-14", 398, true),
            ("2026-03-14", 399, false),
            ("2026-03-15", 200, true),
            ("2026-03-15", 201, false),
            ("2027-03-15", 101, false),
            ("2029-03-15", 47, true),
            ("2029-03-15", 48, false),
            ("2019-01-01", 825, true),
        ] {
            assert_eq!(matches!(lifetime(&facts(from, days), true), Pass(_)), passes, "{from} {days}");
        }
        assert!(matches!(lifetime(&facts("2026-03-15", 9999), false), Skip(_)));
    }

    #[test]
    fn staples() {
        let with = facts("2026-11-01", 90);
        assert!(matches!(revoked(&Facts { responder: false, ..with.clone() }, &[], 0), Skip(_)));
        assert!(matches!(revoked(&with, &[], 0), Warn(_)));
        assert!(matches!(revoked(&Facts { must_staple: true, ..with.clone() }, &[], 0), Fail(_)));
        assert!(matches!(revoked(&with, b"rubbish", 0), Fail(_)));
        assert_eq!(moment("20261120124838Z"), Some(1_795_178_918));
    }
}
