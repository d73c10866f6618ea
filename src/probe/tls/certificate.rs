//! Facts of a certificate, and what is to be thought of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::super::text::clean;
use super::provider;

/// A day in seconds.
const DAY: u64 = 86_400;

/// What a leaf certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Facts {
    /// Seconds since 1970.
    pub(in crate::probe) not_before: u64,
    /// Seconds since 1970.
    pub(in crate::probe) not_after: u64,
    /// Issuer and subject are the same.
    pub(in crate::probe) self_issued: bool,
    /// Issuer, for people.
    pub(in crate::probe) issuer: String,
    /// Key: what it is, and whether it is strong enough.
    pub(in crate::probe) key: Strength,
    /// Signature on it.
    pub(in crate::probe) signature: Strength,
    /// It names a responder that tells whether it was revoked (OCSP).
    pub(in crate::probe) responder: bool,
    /// It demands a stapled answer of that responder (RFC 7633, "must staple").
    pub(in crate::probe) must_staple: bool,
}

/// A name for an algorithm, and a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Strength {
    /// For people.
    pub(in crate::probe) name: String,
    /// `Some(true)` good, `Some(false)` too weak, `None` not what browsers commonly take.
    pub(in crate::probe) good: Option<bool>,
}

/// How much time is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) enum Expiry {
    NotYet,
    Enough,
    Soon,
    VerySoon,
    Over,
}

impl Facts {
    /// Reads a certificate.
    pub(in crate::probe) fn of(der: &[u8]) -> Result<Self, String> {
        let certificate =
            Certificate::from_der(der).map_err(|e| format!("unreadable certificate: {}", clean(e.to_string())))?;
        let tbs = certificate.tbs_certificate();
        let spki = tbs.subject_public_key_info();
        let curve =
            spki.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<x509_cert::spki::ObjectIdentifier>().ok());
        Ok(Self {
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            self_issued: tbs.issuer() == tbs.subject(),
            issuer: clean(tbs.issuer().to_string()),
            key: key(
                &spki.algorithm.oid.to_string(),
                curve.map(|c| c.to_string()).as_deref(),
                spki.subject_public_key.raw_bytes(),
            ),
            signature: signature(&certificate.signature_algorithm().oid.to_string()),
            // The access method id-ad-ocsp (1.3.6.1.5.5.7.48.1), and the number of status_request.
            responder: extension(tbs.extensions(), "1.3.6.1.5.5.7.1.1", &[6, 8, 43, 6, 1, 5, 5, 7, 48, 1]),
            must_staple: extension(tbs.extensions(), "1.3.6.1.5.5.7.1.24", &[2, 1, 5]),
        })
    }

    /// Fails under min(7 days, a sixth of the lifetime), warns under min(30 days, a third): short-lived certificates
    /// are renewed late by design.
    pub(in crate::probe) fn expiry(&self, now: u64) -> Expiry {
        let lifetime = self.not_after.saturating_sub(self.not_before);
        let left = self.not_after.saturating_sub(now);
        match () {
            () if now < self.not_before => Expiry::NotYet,
            () if now >= self.not_after => Expiry::Over,
            () if left < (7 * DAY).min(lifetime / 6) => Expiry::VerySoon,
            () if left < (30 * DAY).min(lifetime / 3) => Expiry::Soon,
            () => Expiry::Enough,
        }
    }
}

/// Whether an extension holds these bytes.
fn extension(all: Option<&x509_cert::ext::Extensions>, oid: &str, bytes: &[u8]) -> bool {
    all.into_iter().flatten().any(|extension| {
        extension.extn_id.to_string() == oid
            && extension.extn_value.as_bytes().windows(bytes.len()).any(|window| window == bytes)
    })
}

/// Mozilla guidelines 6.0: RSA of at least 2048 bits, P-256 or P-384.
fn key(algorithm: &str, curve: Option<&str>, bits: &[u8]) -> Strength {
    let named = |name: &str, good| Strength { name: name.into(), good };
    match (algorithm, curve) {
        ("1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10", _) => match modulus_bits(bits) {
            Some(size) => named(&format!("RSA {size}"), Some(size >= 2048)),
            None => named("RSA of unreadable size", None),
        },
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => named("P-256", Some(true)),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => named("P-384", Some(true)),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => named("P-521", None),
        ("1.2.840.10045.2.1", other) => named(&format!("curve {}", other.unwrap_or("unknown")), Some(false)),
        ("1.3.101.112", _) => named("Ed25519", None),
        (other, _) => named(&format!("key type {other}"), None),
    }
}

/// Size of the modulus in `SEQUENCE { INTEGER n, INTEGER e }`.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (_, inner) = tlv(der, 0x30)?;
    let (length, body) = tlv(inner, 0x02)?;
    let number = body.get(..length)?;
    let first = number.iter().position(|b| *b != 0)?;
    let leading = number[first].leading_zeros() as usize;
    Some((number.len() - first) * 8 - leading)
}

/// Length and rest of a DER element with this tag.
fn tlv(der: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    if *length < 0x80 {
        return Some((usize::from(*length), rest));
    }
    let count = usize::from(length & 0x7f);
    if count > 4 || rest.len() < count {
        return None;
    }
    let (digits, rest) = rest.split_at(count);
    Some((digits.iter().fold(0, |n, d| n << 8 | usize::from(*d)), rest))
}

fn signature(oid: &str) -> Strength {
    let (name, good) = match oid {
        "1.2.840.113549.1.1.11" => ("RSA with SHA-256", Some(true)),
        "1.2.840.113549.1.1.12" => ("RSA with SHA-384", Some(true)),
        "1.2.840.113549.1.1.13" => ("RSA with SHA-512", Some(true)),
        "1.2.840.113549.1.1.10" => ("RSA-PSS", Some(true)),
        "1.2.840.10045.4.3.2" => ("ECDSA with SHA-256", Some(true)),
        "1.2.840.10045.4.3.3" => ("ECDSA with SHA-384", Some(true)),
        "1.2.840.10045.4.3.4" => ("ECDSA with SHA-512", Some(true)),
        "1.3.101.112" => ("Ed25519", None),
        "1.2.840.113549.1.1.5" => ("RSA with SHA-1", Some(false)),
        "1.2.840.113549.1.1.4" => ("RSA with MD5", Some(false)),
        "1.2.840.10045.4.1" => ("ECDSA with SHA-1", Some(false)),
        other => return Strength { name: format!("signature {other}"), good: None },
    };
    Strength { name: name.into(), good }
}

/// Public roots (Mozilla's list, compiled in) and those of the user.
pub(in crate::probe) fn roots(extra: Option<&str>) -> RootCertStore {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra {
        store.add_parsable_certificates(from_pem(pem));
    }
    store
}

/// All certificates of a PEM text that can be read.
pub(in crate::probe) fn from_pem(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .filter_map(Result::ok)
        .filter(|der| Certificate::from_der(der).is_ok())
        .collect()
}

/// Whether the served chain leads to a trusted root by itself: nothing is fetched, because browsers on phones do not
/// fetch either. `at` is clamped into the leaf's validity, since expiry is a question of its own.
pub(in crate::probe) fn chain(
    served: &[CertificateDer<'static>],
    roots: &RootCertStore,
    facts: &Facts,
    now: u64,
) -> Result<(), String> {
    let Some((leaf, intermediates)) = served.split_first() else {
        return Err("no certificate was served".into());
    };
    let parsed = ParsedCertificate::try_from(leaf).map_err(|e| clean(e.to_string()))?;
    let at = now.clamp(facts.not_before, facts.not_after.saturating_sub(1).max(facts.not_before));
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, at, algorithms)
        .map_err(|e| clean(e.to_string()))
}

/// Whether the certificate is for this name (subject alternative names only, as browsers do).
pub(in crate::probe) fn names(leaf: &CertificateDer<'_>, name: &str) -> Result<(), String> {
    let parsed = ParsedCertificate::try_from(leaf).map_err(|e| clean(e.to_string()))?;
    let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("`{}` is no host name", clean(name)))?;
    verify_server_name(&parsed, &server).map_err(|e| clean(e.to_string()))
}

/// Seconds since 1970.
pub(in crate::probe) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn facts(lifetime_days: u64) -> Facts {
        Facts {
            not_before: 1000 * DAY,
            not_after: (1000 + lifetime_days) * DAY,
            self_issued: false,
            issuer: String::new(),
            key: Strength { name: String::new(), good: None },
            signature: Strength { name: String::new(), good: None },
            responder: false,
            must_staple: false,
        }
    }

    #[test]
    fn thresholds_follow_the_lifetime() {
        for (lifetime, left, expected) in [
            (365, 31, Expiry::Enough),
            (365, 29, Expiry::Soon),
            (365, 6, Expiry::VerySoon),
            (90, 29, Expiry::Soon),
            (47, 16, Expiry::Enough),
            (47, 15, Expiry::Soon),
            (6, 3, Expiry::Enough),
            (6, 1, Expiry::Soon),
            (6, 0, Expiry::Over),
        ] {
            let facts = facts(lifetime);
            assert_eq!(facts.expiry(facts.not_after - left * DAY), expected, "{left} of {lifetime} days left");
        }
        assert_eq!(facts(90).expiry(999 * DAY), Expiry::NotYet);
    }

    #[test]
    fn key_sizes() {
        let rsa = |bytes: usize| {
            let mut der = vec![0x30, 0x82, 0, 0, 0x02, 0x82];
            der.extend(u16::try_from(bytes + 1).unwrap().to_be_bytes());
            der.push(0);
            der.extend(vec![0x80; bytes]);
            key("1.2.840.113549.1.1.1", None, &der)
        };
        assert_eq!(rsa(256), Strength { name: "RSA 2048".into(), good: Some(true) });
        assert_eq!(rsa(128), Strength { name: "RSA 1024".into(), good: Some(false) });
        assert_eq!(key("1.2.840.113549.1.1.1", None, &[0x30]).good, None);
        assert_eq!(key("1.2.840.10045.2.1", Some("1.3.132.0.10"), &[]).good, Some(false));
    }

    #[test]
    fn rubbish_is_no_certificate() {
        assert!(Facts::of(b"\x30\x82\xff\xff").is_err());
        assert!(Facts::of(b"").is_err());
        assert!(from_pem("-----BEGIN CERTIFICATE-----\nnope\n-----END CERTIFICATE-----").is_empty());
    }

    #[test]
    fn public_roots_are_there() {
        assert!(roots(None).len() > 100);
    }
}
