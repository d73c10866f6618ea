//! Protocol versions and cipher suites.

use std::net::SocketAddr;

use futures_util::future::join_all;

use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Tls, TlsProfile};

use super::super::check::{Check, Family, Severity};
use super::super::context::Context;
use super::super::tls::hello::{Answer, Version, alert_name};
use super::super::tls::scan::{accepted, offer};
use super::super::tls::suites;
use super::{NO_PROXY, none_apply};

pub(in crate::probe) const TLS_1: Check = Check {
    id: "TLS-1",
    family: Family::Tls,
    title: "protocol versions",
    question: "Which versions does the server agree to? One hand-written ClientHello for each of SSL 3.0, TLS 1.0, 1.1, \
               1.2 and 1.3; an alert is a refusal, a reset or silence is not.",
    pass: "a subset of TLS 1.2 and 1.3; where `tls_profile` is `modern`, TLS 1.3 only",
    source: "Mozilla TLS guidelines 6.0, intermediate; SSL Labs rating guide 2009r (TLS 1.0/1.1 cap the grade at B)",
    severity: Severity::Critical,
    remedy: "set `ssl_protocols TLSv1.2 TLSv1.3;`, for the modern profile `TLSv1.3` alone",
};

pub(in crate::probe) const TLS_2: Check = Check {
    id: "TLS-2",
    family: Family::Tls,
    title: "TLS 1.3 offered",
    question: "Does the server agree to TLS 1.3?",
    pass: "yes; its absence is a warning",
    source: "Mozilla TLS guidelines 6.0; testssl.sh set_grade_warning",
    severity: Severity::Medium,
    remedy: "add TLSv1.3 to `ssl_protocols`",
};

pub(in crate::probe) const TLS_3: Check = Check {
    id: "TLS-3",
    family: Family::Tls,
    title: "cipher suites of TLS 1.2",
    question: "Which suites outside the profile does the server agree to? What it picks is taken out of the next offer \
               until it refuses.",
    pass: "none but the six of Mozilla's intermediate profile: ECDHE with AES-GCM or ChaCha20-Poly1305",
    source: "Mozilla TLS guidelines 6.0; SSL Labs rating guide 2009r (RC4, 3DES, no forward secrecy)",
    severity: Severity::High,
    remedy: "set `ssl_ciphers` to the intermediate profile",
};

const CHECKS: [&Check; 3] = [&TLS_1, &TLS_2, &TLS_3];

/// Enough to show what kind of suites they are.
const MOST_SUITES: usize = 8;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&CHECKS, context.stack.project.as_str(), None, NO_PROXY);
    };
    let subject = context.authority(proxy.canonical(), true);
    if proxy.tls == Tls::Off {
        return none_apply(&CHECKS, &subject, Some(proxy.tls_line), "TLS is off in stack.toml");
    }
    let Some(address) = context.target.https else {
        let unsure = |check: &&'static Check| {
            check.about(&subject).line(proxy.tls_line).unsure("HTTPS cannot be reached from here")
        };
        return CHECKS.iter().map(unsure).collect();
    };
    let suites = suites::all();
    let offers = Version::ALL.map(|version| offer(address, version, &suites, proxy.canonical()));
    let answers: Vec<(Version, Answer)> = Version::ALL.into_iter().zip(join_all(offers).await).collect();
    vec![
        versions(&subject, proxy, &answers),
        newest(&subject, proxy, &answers),
        weak_suites(&subject, proxy, address, &answers).await,
    ]
}

fn answer(answers: &[(Version, Answer)], version: Version) -> Option<&Answer> {
    answers.iter().find(|(v, _)| *v == version).map(|(_, answer)| answer)
}

fn versions(subject: &str, proxy: &Proxy, answers: &[(Version, Answer)]) -> Finding {
    let (oldest, expected) = match proxy.tls_profile {
        TlsProfile::Intermediate => (Version::Tls12, "a subset of TLS 1.2 and 1.3"),
        TlsProfile::Modern => (Version::Tls13, "TLS 1.3 only"),
    };
    let question = TLS_1.about(subject).line(proxy.tls_line).expect(expected);
    let mut spoken = Vec::new();
    let mut old = false;
    let mut unclear = None;
    for (version, answer) in answers {
        if answer.accepts(*version) {
            spoken.push(version.name());
            old |= *version < oldest;
        } else if let Answer::Unclear(why) = answer {
            unclear = unclear.or_else(|| Some(format!("{}: {why}", version.name())));
        }
    }
    let seen = if spoken.is_empty() { "no version".to_owned() } else { spoken.join(", ") };
    match (old, unclear) {
        (true, _) => question.fail(seen),
        (false, Some(why)) => question.unsure(format!("{seen}; {why}")),
        (false, None) if spoken.is_empty() => {
            let alert = answers.iter().find_map(|(_, a)| if let Answer::Alert(n) = a { Some(*n) } else { None });
            question.fail(format!("every version refused: {}", alert.map_or_else(String::new, alert_name)))
        }
        (false, None) => question.pass(seen),
    }
}

fn newest(subject: &str, proxy: &Proxy, answers: &[(Version, Answer)]) -> Finding {
    let question = TLS_2.about(subject).line(proxy.tls_line);
    match answer(answers, Version::Tls13) {
        Some(found) if found.accepts(Version::Tls13) => question.pass("yes"),
        Some(Answer::Unclear(why)) => question.unsure(why),
        Some(Answer::Alert(number)) => question.warn(format!("refused: {}", alert_name(*number))),
        _ => question.warn("it answered with an older version"),
    }
}

async fn weak_suites(subject: &str, proxy: &Proxy, address: SocketAddr, answers: &[(Version, Answer)]) -> Finding {
    let question = TLS_3.about(subject).line(proxy.tls_line);
    match answer(answers, Version::Tls12) {
        Some(found) if found.accepts(Version::Tls12) => {}
        Some(Answer::Unclear(why)) => return question.unsure(why),
        _ => {
            return question.not_applicable(
                "TLS 1.2 is not spoken; of TLS 1.3 all suites are good, of older versions none (TLS-1)",
            );
        }
    }
    let bad = accepted(address, suites::BAD, proxy.canonical(), MOST_SUITES).await;
    let unusual = accepted(address, suites::UNUSUAL, proxy.canonical(), MOST_SUITES).await;
    let list = |found: &[u16]| found.iter().map(|n| suites::name(*n)).collect::<Vec<_>>().join(", ");
    match (bad, unusual) {
        (Ok(bad), _) if !bad.is_empty() => question.fail(list(&bad)),
        (Err(why), _) | (_, Err(why)) => question.unsure(why),
        (Ok(_), Ok(unusual)) if !unusual.is_empty() => question.warn(list(&unusual)),
        _ => question.pass("only suites of the profile"),
    }
}
