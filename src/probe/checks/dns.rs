//! Names: whether they lead here.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;

use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Tls};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::{Door, Request};
use super::super::net::dns::{Answer, Kind, ask};
use super::super::tls::{certificate, session};
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const DNS_1: Check = Check {
    id: "DNS-1",
    family: Family::Dns,
    title: "names lead here",
    question: "Does each domain have an address (A, AAAA), and does the front door of this stack answer at every one of \
               them? Over HTTPS the certificate must be the configured one; over plain HTTP it must answer as a web \
               server.",
    pass: "at least one address, and this stack's front door at all of them",
    source: "RFC 1035; the guides' checklist (DNS configured)",
    severity: Severity::High,
    remedy: "let the A and AAAA records name the addresses of this host, and no others",
};

pub(in crate::probe) const DNS_2: Check = Check {
    id: "DNS-2",
    family: Family::Dns,
    title: "certificate authorities (CAA)",
    question: "Do the CAA records of each domain, or of the domain above, admit the authority whose certificate is \
               served?",
    pass: "no record, or one that names the issuer; records that name others only fail at the next renewal",
    source: "RFC 8659; CA/Browser Forum baseline requirements §3.2.2.8",
    severity: Severity::Medium,
    remedy: "add a record: `example.com. CAA 0 issue \"letsencrypt.org\"`",
};

/// Names that are never in the public DNS (RFC 2606, RFC 6761, RFC 6762, RFC 9476, ICANN's `internal`).
const PRIVATE: [&str; 8] = ["localhost", "local", "test", "invalid", "example", "internal", "lan", "home.arpa"];

/// What authorities call themselves in CAA records, and a word of their certificates' issuer.
const AUTHORITIES: [(&str, &str); 8] = [
    ("letsencrypt.org", "let's encrypt"),
    ("pki.goog", "google trust services"),
    ("sectigo.com", "sectigo"),
    ("digicert.com", "digicert"),
    ("globalsign.com", "globalsign"),
    ("amazon.com", "amazon"),
    ("buypass.com", "buypass"),
    ("ssl.com", "ssl corp"),
];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&DNS_1, &DNS_2], context.stack.project.as_str(), None, NO_PROXY);
    };
    let asked = proxy.domains.iter().map(|domain| async move {
        let name = domain.as_str();
        let about = |check: &'static Check| check.about(name).line(proxy.domains_line).from("name server");
        if is_private(name) {
            let why = "a name that is never in the public DNS";
            return vec![about(&DNS_1).not_applicable(why), about(&DNS_2).not_applicable(why)];
        }
        let Some(server) = context.options.name_server else {
            let why = "no name server is known here";
            return vec![about(&DNS_1).unsure(why), about(&DNS_2).unsure(why)];
        };
        let (here, authorities) = tokio::join!(here(context, proxy, server, name), authorities(context, server, name));
        vec![about(&DNS_1).judged(here), about(&DNS_2).judged(authorities)]
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn is_private(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || PRIVATE.iter().any(|tail| name == *tail || name.ends_with(&format!(".{tail}")))
}

async fn here(context: &Context<'_>, proxy: &Proxy, server: SocketAddr, name: &str) -> Judged {
    let (four, six) = tokio::join!(ask(server, name, Kind::A), ask(server, name, Kind::Aaaa));
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    let mut trouble = None;
    for answer in [four, six] {
        match answer {
            Ok(Answer::Addresses(found)) => addresses.extend(found),
            Ok(_) => {}
            Err(error) => trouble = Some(error.to_string()),
        }
    }
    match (addresses.is_empty(), trouble) {
        (true, Some(why)) => return Unsure(why),
        (true, None) => return Fail("no address: there is no such name, or it has neither A nor AAAA".to_owned()),
        _ => {}
    }
    let asked = addresses
        .iter()
        .map(|address| async move { (address.to_string(), answers(context, proxy, *address, name).await) });
    let asked = join_all(asked).await;
    Judged::worst(asked.iter().map(|(address, judged)| (address.as_str(), judged.clone()))).map_or_else(
        || Unsure(String::new()),
        |judged| match judged {
            Pass(what) => {
                Pass(format!("{}: {what}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
            }
            other => other,
        },
    )
}

/// Who answers at an address of the name.
async fn answers(context: &Context<'_>, proxy: &Proxy, address: IpAddr, name: &str) -> Judged {
    if !proxy.https() {
        let at = SocketAddr::new(address, context.target.http_port);
        return match Door::plain(at, &context.authority(name, false)).get(&Request::path("/")).await {
            Ok(response) => Pass(format!("answers {}", response.status)),
            Err(error) => unreached(context, &error.to_string()),
        };
    }
    let at = SocketAddr::new(address, context.target.https_port);
    let shaken = match session::config(true, &[b"http/1.1"]) {
        Ok(config) => session::shake(at, name, config).await,
        Err(error) => Err(error),
    };
    let configured = context.known.certificate.map(certificate::from_pem);
    match (shaken, configured.as_deref()) {
        (Err(error), _) => unreached(context, &error.to_string()),
        (Ok(session), Some([leaf, ..])) if session.chain.first() == Some(leaf) => {
            Pass("this stack's certificate".into())
        }
        (Ok(_), Some([_, ..])) => Fail("another certificate: somebody else answers there".to_owned()),
        (Ok(session), _) => match session.chain.first().map(|leaf| certificate::names(leaf, name)) {
            Some(Ok(())) => Pass("a certificate for this name".to_owned()),
            Some(Err(why)) => Fail(why),
            None => Fail("no certificate".to_owned()),
        },
    }
}

/// From the host itself, its own public address is often out of reach (a router that does not turn packets around).
fn unreached(context: &Context<'_>, why: &str) -> Judged {
    if context.target.vantage == "outside" {
        Fail(why.to_owned())
    } else {
        Unsure(format!("{why}, asked from the host"))
    }
}

async fn authorities(context: &Context<'_>, server: SocketAddr, name: &str) -> Judged {
    let issuer = match &context.stack.proxy {
        Some(Proxy { tls: Tls::Off, .. }) | None => return Skip("TLS is off in stack.toml".to_owned()),
        Some(Proxy { tls: Tls::SelfSigned(_), .. }) => return Skip("nobody issues a trial certificate".to_owned()),
        Some(_) => {
            let leaf = context.known.certificate.map(certificate::from_pem).unwrap_or_default().into_iter().next();
            leaf.and_then(|der| certificate::Facts::of(&der).ok()).map(|facts| facts.issuer.to_lowercase())
        }
    };
    // The closest name that has records decides (RFC 8659 §3).
    let mut rest = name.trim_end_matches('.');
    while rest.contains('.') {
        match ask(server, rest, Kind::Caa).await {
            Ok(Answer::Authorities(records)) if !records.is_empty() => return admitted(&records, issuer.as_deref()),
            Ok(_) => {}
            Err(error) => return Unsure(error.to_string()),
        }
        rest = rest.split_once('.').map_or("", |(_, above)| above);
    }
    Pass("no record: any authority may issue".to_owned())
}

fn admitted(records: &[(String, String)], issuer: Option<&str>) -> Judged {
    let named: Vec<&str> = records
        .iter()
        .filter(|(tag, _)| tag == "issue")
        .map(|(_, value)| value.split(';').next().unwrap_or("").trim())
        .collect();
    let list = if named.iter().all(|n| n.is_empty()) { "nobody".to_owned() } else { named.join(", ") };
    if named.is_empty() {
        return Pass("no `issue` record: any authority may issue".to_owned());
    }
    let ours = issuer.and_then(|issuer| AUTHORITIES.iter().find(|(_, word)| issuer.contains(word)));
    match ours {
        Some((domain, _)) if named.iter().any(|n| n.eq_ignore_ascii_case(domain)) => Pass(list),
        Some((domain, _)) => Fail(format!("{list} may issue, but the certificate is of {domain}")),
        None => Warn(format!("{list} may issue; which of them made the certificate is not known here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_names() {
        for name in ["localhost", "app.test", "x.home.arpa", "intranet", "192.0.2.1", "Sum.Local."] {
            assert!(is_private(name), "{name}");
        }
        for name in ["example.com", "test.org", "a.localhost.com"] {
            assert!(!is_private(name), "{name}");
        }
    }

    #[test]
    fn who_may_issue() {
        let issue = |value: &str| vec![("issue".to_owned(), value.to_owned())];
        let ours = Some("cn=r11,o=let's encrypt,c=us");
        assert!(matches!(admitted(&issue("letsencrypt.org; validationmethods=http-01"), ours), Pass(_)));
        assert!(matches!(admitted(&issue("digicert.com"), ours), Fail(_)));
        assert!(matches!(admitted(&issue(";"), ours), Fail(_)));
        assert!(matches!(admitted(&issue("letsencrypt.org"), None), Warn(_)));
        assert!(matches!(admitted(&[("iodef".to_owned(), "mailto:x".to_owned())], ours), Pass(_)));
    }
}
