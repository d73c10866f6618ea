//! Values that are made here.

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::base::hash;
use crate::base::secret::Secret;
use crate::model::secrets::{Recipe, SecretValues};

use super::trial;

/// Makes a value. `values` has those it is made from.
pub(super) fn generate(recipe: &Recipe, values: &SecretValues) -> Result<Secret, String> {
    Ok(match recipe {
        Recipe::Hex(bytes) => Secret::new(hash::hex(&random(*bytes)?)),
        Recipe::Base64(bytes) => Secret::new(base64(&random(*bytes)?)),
        Recipe::UrlSafe(characters) => {
            const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let bytes = random(*characters)?;
            let text: String = bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect();
            // Programs take a leading `-` for an option.
            Secret::new(text.replacen('-', "x", usize::from(text.starts_with('-'))))
        }
        Recipe::Uuid => uuid(&random(16)?),
        Recipe::Ed25519 => ed25519(&random(32)?),
        Recipe::Rsa(bits) => rsa(*bits)?,
        Recipe::Authority(names) => trial::authority(names)?,
        Recipe::Trial { names, authority } => {
            let authority = values.get(authority).ok_or("its authority has no value")?;
            trial::certificate(names, authority)?
        }
    })
}

fn random(bytes: u32) -> Result<Vec<u8>, String> {
    let mut out = vec![0; bytes as usize];
    SystemRandom::new().fill(&mut out).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(out)
}

/// Standard alphabet, with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |acc, b| acc << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(ALPHABET[(group >> (18 - 6 * i)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// RFC 9562, version 4, variant 1.
fn uuid(bytes: &[u8]) -> Secret {
    let mut text = hash::hex(bytes);
    text.replace_range(12..13, "4");
    let variant = ["8", "9", "a", "b"][usize::from(bytes[8] & 3)];
    text.replace_range(16..17, variant);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    Secret::new(text)
}

/// DER around the 32 bytes of a private key (RFC 8410, PKCS #8 version 1, which every OpenSSL reads).
const ED25519_PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// DER around the 32 bytes of a public key.
const ED25519_PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

fn ed25519(seed: &[u8]) -> Secret {
    Secret::new(pem("PRIVATE KEY", &[&ED25519_PRIVATE, seed].concat()))
}

fn rsa(bits: u32) -> Result<Secret, String> {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits as usize)
        .map_err(|_| "no RSA key could be made".to_owned())?;
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| "an RSA key cannot be written".to_owned())?;
    Ok(Secret::new(text.as_str()))
}

/// The public half of a pair that [`generate`] made: PEM, `SubjectPublicKeyInfo`.
pub(super) fn public_half(pair: &Secret) -> Result<Secret, String> {
    let (chain, _) = trial::split_pem(pair);
    if !chain.is_empty() {
        return Ok(Secret::new(chain));
    }
    let damaged = || "its pair is not a private key in PEM".to_owned();
    let der = unpem(pair.expose()).ok_or_else(damaged)?;
    if let Some(seed) = der.strip_prefix(&ED25519_PRIVATE) {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| damaged())?;
        return Ok(Secret::new(pem("PUBLIC KEY", &[&ED25519_PUBLIC[..], key.public_key().as_ref()].concat())));
    }
    let key = RsaPrivateKey::from_pkcs8_der(&der).map_err(|_| damaged())?;
    let text = key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|_| damaged())?;
    Ok(Secret::new(text))
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64(der);
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn unpem(text: &str) -> Option<Vec<u8>> {
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()?;
    Some(key.secret_der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_published_one() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    /// What OpenSSL says about a key on its standard input.
    fn openssl(arguments: &[&str], input: &str) -> String {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| unreachable!("openssl: {e}"));
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().unwrap_or_else(|e| unreachable!("openssl: {e}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn pairs_are_what_openssl_reads() {
        for (recipe, words) in [(Recipe::Ed25519, "ED25519 Private-Key"), (Recipe::Rsa(2048), "Private-Key: (2048 bit")]
        {
            let pair = generate(&recipe, &SecretValues::new()).unwrap_or_else(|e| unreachable!("{e}"));
            let public = public_half(&pair).unwrap_or_else(|e| unreachable!("{e}"));
            assert!(openssl(&["pkey", "-text", "-noout"], pair.expose()).contains(words));
            assert_eq!(openssl(&["pkey", "-pubout"], pair.expose()), public.expose());
        }
    }

    #[test]
    fn generated_secrets_have_their_size_and_differ() {
        let make = |r| generate(&r, &SecretValues::new()).map(|s| s.expose().to_owned()).unwrap_or_default();
        assert_eq!(make(Recipe::Hex(32)).len(), 64);
        assert_eq!(make(Recipe::UrlSafe(32)).len(), 32);
        assert_ne!(make(Recipe::UrlSafe(32)), make(Recipe::UrlSafe(32)));
        let uuid = make(Recipe::Uuid);
        assert_eq!((uuid.len(), &uuid[14..15], uuid.matches('-').count()), (36, "4", 4));
        assert!("89ab".contains(&uuid[19..20]) && uuid != make(Recipe::Uuid));
    }
}
