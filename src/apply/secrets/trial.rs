//! Trial certificates, and the stack's own small authority that signs them: who trusts that one meets no warning, and
//! it can sign for nothing but the stack's own names.
//!
//! Key and certificate are one PEM text, key first: they are made, kept and replaced together.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};

use crate::base::secret::Secret;

/// How long a trial certificate holds: the most that browsers still accepted of public ones.
const LEAF: Duration = Duration::from_secs(397 * 86_400);

/// How long its authority holds: people put it into their trust by hand.
const AUTHORITY: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Clocks differ: what is made now is valid on a machine that is an hour late.
const EARLIER: Duration = Duration::from_secs(3600);

/// Key and certificate of an authority for these names.
pub(super) fn authority(names: &[String]) -> Result<Secret, String> {
    let mut params = of_authority(names);
    valid(&mut params, AUTHORITY);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(join_pem(&certificate.pem(), &key.serialize_pem()))
}

/// What can be said of an authority without its key: the same every time.
fn of_authority(names: &[String]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    let first = names.first().map_or("localhost", String::as_str);
    subject.push(DnType::OrganizationName, "stackctl trial");
    subject.push(DnType::CommonName, format!("Trial authority of {first}"));
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let allowed = |name: &String| match name.parse::<IpAddr>() {
        Ok(address) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, if address.is_ipv4() { 32 } else { 128 }))
        }
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    };
    let permitted_subtrees = names.iter().map(allowed).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    params
}

/// Key and certificate for these names, signed by their authority. ECDSA P-256.
pub(super) fn certificate(names: &[String], authority: &Secret) -> Result<Secret, String> {
    let (_, authority_key) = split_pem(authority);
    let authority_key = KeyPair::from_pem(authority_key.expose()).map_err(failed)?;
    let issuer = Issuer::new(of_authority(names), authority_key);
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    valid(&mut params, LEAF);
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, names.first().map_or("localhost", String::as_str));
    params.distinguished_name = subject;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(join_pem(&certificate.pem(), &key.serialize_pem()))
}

fn valid(params: &mut CertificateParams, long: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + long).into();
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn failed(error: rcgen::Error) -> String {
    format!("no certificate could be made: {error}")
}

/// Key and certificate in one text, as they are stored.
pub(in crate::apply) fn join_pem(chain: &str, key: &str) -> Secret {
    Secret::new(format!("{key}{chain}"))
}

/// Takes key and certificate apart again: chain, key.
pub(in crate::apply) fn split_pem(bundle: &Secret) -> (String, Secret) {
    let text = bundle.expose();
    let at = text.find("-----BEGIN CERTIFICATE-----").unwrap_or(text.len());
    let (key, chain) = text.split_at(at);
    (chain.to_owned(), Secret::new(key))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    /// What OpenSSL says of a certificate under an authority.
    fn verified(authority: &str, leaf: &str, name: &[&str]) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let (ca, site) = (folder.path().join("ca.pem"), folder.path().join("site.pem"));
        std::fs::write(&ca, authority).unwrap();
        std::fs::write(&site, leaf).unwrap();
        let mut command = std::process::Command::new("openssl");
        command.args(["verify", "-x509_strict", "-purpose", "sslserver"]).args(name).arg("-CAfile").arg(ca).arg(site);
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    }

    #[test]
    fn openssl_believes_them_for_their_own_names_only() {
        let own = ["localhost".to_owned(), "a.example".to_owned(), "10.0.0.1".to_owned()];
        let ca = authority(&own).unwrap();
        let (root, _) = split_pem(&ca);
        let (leaf, key) = split_pem(&certificate(&own, &ca).unwrap());
        assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
        for name in [["-verify_hostname", "localhost"], ["-verify_hostname", "a.example"], ["-verify_ip", "10.0.0.1"]] {
            let (good, said) = verified(&root, &leaf, &name);
            assert!(good, "{said}");
        }
        // With the authority's key in hand, nobody can make one for another site that its friends would believe.
        let (_, key) = split_pem(&ca);
        let issuer = Issuer::new(of_authority(&own), KeyPair::from_pem(key.expose()).unwrap());
        for other in ["bank.example", "10.0.0.2"] {
            let stranger = CertificateParams::new(vec![other.to_owned()]).unwrap();
            let stranger = stranger.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem();
            let (good, said) = verified(&root, &stranger, &[]);
            assert!(!good && said.contains("permitted subtree violation"), "{other}: {said}");
        }
    }

    #[test]
    fn our_own_judgement_agrees() {
        let own = ["localhost".to_owned()];
        let ca = authority(&own).unwrap();
        let (leaf, key) = split_pem(&certificate(&own, &ca).unwrap());
        let now = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(crate::model::certificate::judge(&leaf, &key, &own, now), [""; 0]);
    }
}
