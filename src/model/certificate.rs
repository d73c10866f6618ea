//! Certificates: what one says, whether a chain and a key can serve a site, and when a new one is due. Pure: the time
//! is an argument, in seconds since 1970.

use std::net::IpAddr;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectAltName};

use crate::base::date::Date;
use crate::base::hash;
use crate::base::secret::Secret;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Names it is for (subject alternative names; nothing else counts).
    pub names: Vec<String>,
    /// Valid from then on.
    pub not_before: u64,
    /// Valid until then.
    pub not_after: u64,
    /// Who it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its key's authority and its serial number, as DER: how the authority calls it (RFC 9773 §4.1).
    pub identifier: Option<(Vec<u8>, Vec<u8>)>,
    /// SHA-256 of the whole, hexadecimal.
    pub print: String,
}

impl Facts {
    /// Reads one.
    ///
    /// # Errors
    /// In words.
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let unreadable = |_| "it holds something that is not a certificate".to_owned();
        let certificate = Certificate::from_der(der).map_err(unreadable)?;
        let tbs = certificate.tbs_certificate();
        let names = tbs.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        let authority = tbs.get_extension::<AuthorityKeyIdentifier>().ok().flatten();
        let authority = authority.and_then(|(_, a)| a.key_identifier).map(|id| id.as_bytes().to_vec());
        // Tag and length, one byte each: a serial number has at most 20.
        let serial = tbs.serial_number().to_der().ok().and_then(|der| der.get(2..).map(<[u8]>::to_vec));
        Ok(Self {
            names: names.iter().filter_map(name).collect(),
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            subject: tbs.subject().to_string(),
            issuer: tbs.issuer().to_string(),
            identifier: authority.zip(serial),
            print: hash::sha256(der),
        })
    }

    /// Whether it is for this name: `example.com`, or `*.example.com` as such.
    pub fn covers(&self, name: &str) -> bool {
        let wild = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name) || Some(own.to_ascii_lowercase()) == wild)
    }

    /// Whether it is valid then.
    pub fn holds_at(&self, now: u64) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// When a third of its lifetime is left.
    pub fn due(&self) -> u64 {
        self.not_after - self.not_after.saturating_sub(self.not_before) / 3
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            [a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d]).to_string()),
            other => Some(IpAddr::from(<[u8; 16]>::try_from(other).ok()?).to_string()),
        },
        _ => None,
    }
}

/// Facts of every certificate of a PEM text, in its order.
///
/// # Errors
/// In words.
pub fn chain(pem: &str) -> Result<Vec<Facts>, String> {
    ders(pem)?.iter().map(|der| Facts::of(der)).collect()
}

fn ders(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err("there is no certificate in it (`-----BEGIN CERTIFICATE-----`)".to_owned()),
        Err(_) => Err("it is not PEM, or cut off".to_owned()),
    }
}

/// Everything that keeps a chain and its key (both PEM) from serving these names now, in words.
pub fn judge(pem: &str, key: &Secret, names: &[String], now: u64) -> Vec<String> {
    let (ders, facts) = match ders(pem).and_then(|ders| Ok((ders, chain(pem)?))) {
        Ok(read) => read,
        Err(why) => return vec![why],
    };
    let Some(leaf) = facts.first() else { return Vec::new() };
    let mut out = Vec::new();
    match PrivateKeyDer::from_pem_slice(key.expose().as_bytes()) {
        Err(_) if key.expose().contains("ENCRYPTED") => {
            out.push(
                "its key is encrypted: write it without a passphrase (`openssl pkey`), and keep the file to you".into(),
            );
        }
        Err(_) => out.push("its key is no private key in PEM (`-----BEGIN PRIVATE KEY-----`)".to_owned()),
        Ok(key) => match rustls::crypto::ring::sign::any_supported_type(&key) {
            Err(_) => out.push("its key is of a kind that no browser takes: P-256, P-384 or RSA".to_owned()),
            Ok(key) => {
                let fits = |der: &CertificateDer<'static>| {
                    CertifiedKey::new(vec![der.clone()], std::sync::Arc::clone(&key)).keys_match().is_ok()
                };
                match ders.iter().position(fits) {
                    Some(0) => {}
                    Some(n) => out.push(format!(
                        "certificate {} is the one of the key, and must come first: the leaf, then what signed it",
                        n + 1
                    )),
                    None => out.push(format!("its key is not that of the certificate for {}", leaf.names.join(", "))),
                }
            }
        },
    }
    // With the leaf at another place, this would say the same again.
    if out.is_empty() {
        for (number, pair) in facts.windows(2).enumerate() {
            if let [one, next] = pair
                && one.issuer != next.subject
            {
                out.push(format!(
                    "certificate {} ({}) is not what signed certificate {} (that is {}): put them in order, each after \
                     the one it signed",
                    number + 2,
                    next.subject,
                    number + 1,
                    one.issuer
                ));
            }
        }
    }
    let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !leaf.covers(name)).collect();
    if !missing.is_empty() {
        out.push(format!("it is for {}, not for {}", leaf.names.join(", "), missing.join(", ")));
    }
    if now < leaf.not_before {
        out.push(format!("it is valid only from {} on", Date::of_seconds(leaf.not_before)));
    } else if now >= leaf.not_after {
        out.push(format!("it ended on {}", Date::of_seconds(leaf.not_after)));
    }
    out
}

/// What became of asking for a certificate, where it failed: kept with the stack, so that nobody asks too often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    /// How often in a row.
    pub failures: u32,
    /// When the last time.
    pub at: u64,
    /// Why the last time.
    pub why: String,
    /// Until when the authority wants to be left alone; 0 where it did not say.
    pub until: u64,
}

/// First pause after a failure. Let's Encrypt allows five failed validations of a name in an hour.
const PAUSE: u64 = 3600;

/// Longest pause.
const LONGEST: u64 = 86_400;

/// Longest time that an authority is left alone because it says so: Let's Encrypt's longest limit is a week.
const WEEK: u64 = 7 * 86_400;

/// How far clocks of machines that renew the same certificate may be apart.
const APART: u64 = 3600;

impl Attempts {
    /// One more that failed. `wait` is for how many seconds the authority wants to be left alone.
    #[must_use]
    pub fn failed(&self, now: u64, why: String, wait: Option<u64>) -> Self {
        let until = wait.map_or(0, |wait| now.saturating_add(wait.min(WEEK)));
        Self { failures: self.failures.saturating_add(1), at: now, why, until }
    }

    /// Until when nobody asks by themselves: an hour after the first failure, then twice as long each time, a day at
    /// most; longer where the authority says so. A failure of the future was noted by a clock that was wrong, and
    /// keeps nobody waiting.
    pub fn quiet_until(&self, now: u64) -> u64 {
        if self.failures == 0 || self.at > now.saturating_add(APART) {
            return 0;
        }
        let pause = PAUSE.checked_shl(self.failures - 1).unwrap_or(LONGEST).min(LONGEST);
        self.at.saturating_add(pause).max(self.until)
    }
}

/// Whether a certificate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// There is one, and it is good until it is due then.
    Keep(u64),
    /// One is needed, for this reason.
    Ask(String),
    /// One is needed, and the last attempt failed too short a time ago.
    Wait(u64, String),
}

/// Decides. `window` is when the authority would like to be asked (RFC 9773): the moment in it is the certificate's
/// own, so that all certificates of the world do not come at once.
pub fn decide(
    current: Option<&Facts>,
    names: &[String],
    window: Option<(u64, u64)>,
    attempts: &Attempts,
    now: u64,
) -> Decision {
    let reason = match current {
        None => "there is none yet".to_owned(),
        Some(facts) => {
            let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !facts.covers(name)).collect();
            // One that was over when the certificate began is about another one: following it would not end.
            let window = window.filter(|(_, end)| *end > facts.not_before);
            let due = window.map_or(facts.due(), |window| moment(facts, window).min(facts.due()));
            if !missing.is_empty() {
                format!("the one there is is not for {}", missing.join(", "))
            } else if now >= facts.not_after {
                format!("the one there is ended on {}", Date::of_seconds(facts.not_after))
            } else if now < due {
                return Decision::Keep(due);
            } else if now < facts.due() {
                "the authority asks for it".to_owned()
            } else {
                format!("the one there is ends on {}", Date::of_seconds(facts.not_after))
            }
        }
    };
    let quiet = attempts.quiet_until(now);
    if now < quiet { Decision::Wait(quiet, reason) } else { Decision::Ask(reason) }
}

/// A certificate's own moment in a window.
fn moment(facts: &Facts, (start, end): (u64, u64)) -> u64 {
    let print = facts.print.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let into = (u128::from(end.saturating_sub(start)) * u128::from(print)) >> 32;
    start.saturating_add(u64::try_from(into).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn facts(names: &[&str], from: u64, days: u64) -> Facts {
        Facts {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            not_before: from,
            not_after: from + days * DAY,
            subject: String::new(),
            issuer: String::new(),
            identifier: None,
            print: "80000000".to_owned(),
        }
    }

    /// A chain of leaf and authority, the leaf's key, and the authority alone.
    fn made(names: &[&str], from: u64, days: u64) -> (String, Secret, String) {
        let at = |seconds: u64| (std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).into();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
        let mut leaf =
            rcgen::CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        (leaf.not_before, leaf.not_after) = (at(from), at(from + days * DAY));
        leaf.use_authority_key_identifier_extension = true;
        leaf.serial_number = Some(vec![0x81, 2, 3].into());
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        (format!("{}{}", leaf.pem(), authority.pem()), Secret::new(key.serialize_pem()), authority.pem())
    }

    #[test]
    fn a_good_chain_has_nothing_against_it() {
        let names = ["a.example".to_owned(), "w.b.example".to_owned(), "10.0.0.1".to_owned()];
        let (chain, key, _) = made(&["a.example", "*.b.example", "10.0.0.1"], 1000 * DAY, 90);
        assert_eq!(judge(&chain, &key, &names, 1001 * DAY), [""; 0]);
        let facts = Facts::of(&ders(&chain).unwrap()[0]).unwrap();
        assert_eq!((facts.not_before, facts.due()), (1000 * DAY, 1060 * DAY));
        let (authority, serial) = facts.identifier.unwrap();
        assert_eq!((authority.len(), serial), (20, vec![0, 0x81, 2, 3]), "a serial number is never negative");
    }

    #[test]
    fn whatever_is_wrong_is_said() {
        let names = ["a.example".to_owned()];
        let (chain, key, authority) = made(&["a.example"], 1000 * DAY, 90);
        let (other, other_key, other_authority) = made(&["b.example"], 1000 * DAY, 90);
        let leaf = chain.replace(&authority, "");
        let now = 1001 * DAY;
        let mixed = format!("{leaf}{}", other.replace(&other_authority, ""));
        for (what, pem, key, now, words) in [
            ("another key", &chain, &other_key, now, "its key is not that of the certificate for a.example"),
            ("the wrong order", &format!("{authority}{leaf}"), &key, now, "certificate 2 is the one of the key"),
            ("a stranger in it", &mixed, &key, now, "is not what signed certificate 1"),
            ("another name", &other, &other_key, now, "it is for b.example, not for a.example"),
            ("too early", &chain, &key, 999 * DAY, "valid only from 1972-09-27"),
            ("too late", &chain, &key, 1090 * DAY, "it ended on 1972-12-26"),
            ("no PEM", &"hello".to_owned(), &key, now, "there is no certificate in it"),
            ("cut off", &chain[..200].to_owned(), &key, now, "it is not PEM, or cut off"),
            ("no key", &chain, &Secret::new("hello"), now, "no private key in PEM"),
            (
                "an encrypted key",
                &chain,
                &Secret::new("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"),
                now,
                "encrypted: write it without a passphrase",
            ),
        ] {
            let said = judge(pem, key, &names, now);
            assert!(said.iter().any(|why| why.contains(words)), "{what}: {said:?}");
        }
    }

    #[test]
    fn nobody_asks_for_what_is_there() {
        let names = ["a.example".to_owned()];
        let there = facts(&["a.example"], 1000 * DAY, 90);
        let never = Attempts::default();
        let day = |n: i64| 1000_u64.saturating_add_signed(n) * DAY;
        let ask = |words: &str| Decision::Ask(words.to_owned());
        let window = Some((day(40), day(42)));
        let cases = [
            ("none", None, &names[..], None, day(0), ask("there is none yet")),
            ("fresh", Some(&there), &names[..], None, day(59), Decision::Keep(day(60))),
            ("a third is left", Some(&there), &names[..], None, day(60), ask("the one there is ends on 1972-12-26")),
            ("over", Some(&there), &names[..], None, day(90), ask("the one there is ended on 1972-12-26")),
            // Its print is half of all: the middle of the window.
            ("before its moment", Some(&there), &names[..], window, day(41) - 1, Decision::Keep(day(41))),
            ("its moment", Some(&there), &names[..], window, day(41), ask("the authority asks for it")),
            ("a window of before", Some(&there), &names[..], Some((day(-9), day(0))), day(1), Decision::Keep(day(60))),
            ("a window too late", Some(&there), &names[..], Some((day(95), day(96))), day(59), Decision::Keep(day(60))),
        ];
        for (what, current, names, window, now, expected) in cases {
            assert_eq!(decide(current, names, window, &never, now), expected, "{what}");
        }
        let more = ["a.example".to_owned(), "b.example".to_owned()];
        assert_eq!(decide(Some(&there), &more, None, &never, day(1)), ask("the one there is is not for b.example"));
    }

    #[test]
    fn pauses_grow() {
        let after = |failures| Attempts { failures, at: 1000, ..Attempts::default() }.quiet_until(1001);
        let pauses = [0, 1, 2, 3, 5, 6, 40, u32::MAX].map(|n| after(n).saturating_sub(1000));
        assert_eq!(pauses, [0, 3600, 7200, 14_400, 57_600, 86_400, 86_400, 86_400]);
        let failed = Attempts::default().failed(1000 * DAY, "no".into(), None);
        let names = ["a.example".to_owned()];
        let waits = Decision::Wait(1000 * DAY + 3600, "there is none yet".into());
        assert_eq!(decide(None, &names, None, &failed, 1000 * DAY + 60), waits);
        assert!(matches!(decide(None, &names, None, &failed, 1000 * DAY + 3600), Decision::Ask(_)));
    }

    #[test]
    fn an_authority_is_left_alone_as_long_as_it_says() {
        let until = |wait| Attempts::default().failed(1000 * DAY, String::new(), wait).quiet_until(1000 * DAY);
        assert_eq!(until(Some(60)), 1000 * DAY + 3600, "not shorter than otherwise");
        assert_eq!(until(Some(3 * DAY)), 1003 * DAY);
        assert_eq!(until(Some(u64::MAX)), 1007 * DAY);
    }

    #[test]
    fn a_failure_of_the_future_keeps_nobody_waiting() {
        let names = ["a.example".to_owned()];
        let failed = Attempts::default().failed(1200 * DAY, "the clock".into(), Some(DAY));
        assert!(matches!(decide(None, &names, None, &failed, 1000 * DAY), Decision::Ask(_)));
        let of_another_machine = Attempts::default().failed(1000 * DAY + 600, "no".into(), None);
        assert!(matches!(decide(None, &names, None, &of_another_machine, 1000 * DAY), Decision::Wait(..)));
    }
}
