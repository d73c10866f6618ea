//! Values of secrets: stored ones, fresh ones, those of the environment and of files, and texts put together from them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};

use crate::base::hash;
use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::config::interpolate::Variables;
use crate::engine::state::secret_file;
use crate::files;
use crate::model::artifact::Artifact;
use crate::model::secrets::{Recipe, SecretSource, SecretValues};
use crate::model::stack::Stack;
use crate::model::state::State;

use super::error::ApplyError;

/// All values of a stack.
pub(super) struct Resolved {
    /// By name; optional ones that have no value are not there.
    pub(super) values: SecretValues,
    /// Files of the state volume to write: generated secrets that are new, and others whose value is.
    pub(super) new: Vec<Artifact>,
    /// Secrets whose value was drawn by lot just now.
    pub(super) fresh: BTreeSet<SecretName>,
}

/// Finds or makes every secret's value. All that are missing are reported at once.
pub(super) fn resolve(
    stack: &Stack,
    state: Option<&State>,
    variables: &Variables,
    folder: &Path,
) -> Result<Resolved, ApplyError> {
    let mut values = SecretValues::new();
    let mut new = Vec::new();
    let mut fresh = BTreeSet::new();
    let mut problems = Vec::new();
    for (name, spec) in &stack.secrets {
        let stored = state.and_then(|s| s.secrets.get(name));
        if stored.is_none() && matches!(spec.source, SecretSource::Generate(_)) {
            fresh.insert(name.clone());
        }
        let value = match &spec.source {
            SecretSource::Derived(_) => continue,
            SecretSource::Generate(recipe) => match stored {
                Some(value) => Ok(Some(value.clone())),
                None => generate(recipe).map(Some),
            },
            // A checkout without the variable goes on with the value that is deployed.
            SecretSource::Env(variable) => match variables.get(variable).filter(|v| !v.is_empty()) {
                Some(value) => Ok(Some(Secret::new(value.clone()))),
                None => Ok(stored.cloned()),
            },
            SecretSource::File(path) => from_file(&folder.join(path)).map(Some),
        };
        match value {
            Ok(Some(value)) => {
                if stored != Some(&value) {
                    new.push(secret_file(name, &value));
                }
                values.insert(name.clone(), value);
            }
            Ok(None) if spec.optional => {}
            Ok(None) => problems.push(missing(name, spec.line, &spec.source)),
            Err(why) => problems.push(format!("secret `{name}` (line {}): {why}", spec.line)),
        }
    }
    if !problems.is_empty() {
        return Err(ApplyError::Secrets(problems));
    }
    derive(stack, &mut values);
    Ok(Resolved { values, new, fresh })
}

/// The values of a release gone back to. Generated secrets stay as they are now: what they open (a database, its
/// backups, sessions) has not gone back with them.
pub(super) fn resolve_past(stack: &Stack, state: Option<&State>, past: &SecretValues) -> Result<Resolved, ApplyError> {
    let mut values = SecretValues::new();
    let mut new = Vec::new();
    let mut problems = Vec::new();
    for (name, spec) in &stack.secrets {
        let stored = state.and_then(|s| s.secrets.get(name));
        let value = match &spec.source {
            SecretSource::Derived(_) => continue,
            SecretSource::Generate(_) => stored.or_else(|| past.get(name)),
            SecretSource::Env(_) | SecretSource::File(_) => past.get(name),
        };
        match value {
            Some(value) => {
                if stored != Some(value) {
                    new.push(secret_file(name, value));
                }
                values.insert(name.clone(), value.clone());
            }
            None if spec.optional => {}
            None => problems.push(format!("the release's record has no value for secret `{name}`")),
        }
    }
    if !problems.is_empty() {
        return Err(ApplyError::Secrets(problems));
    }
    derive(stack, &mut values);
    Ok(Resolved { values, new, fresh: BTreeSet::new() })
}

/// Texts that are put together from other secrets.
fn derive(stack: &Stack, values: &mut SecretValues) {
    for (name, spec) in &stack.secrets {
        if let SecretSource::Derived(template) = &spec.source {
            let value = template.fill(values);
            values.insert(name.clone(), value);
        }
    }
}

fn missing(name: &SecretName, line: u32, source: &SecretSource) -> String {
    match source {
        SecretSource::Env(variable) => {
            format!("secret `{name}` (line {line}) has no value: set `{variable}` in the environment or in .env")
        }
        _ => format!("secret `{name}` (line {line}) has no value"),
    }
}

fn from_file(path: &Path) -> Result<Secret, String> {
    let text = files::read_text(path).map_err(|e| e.to_string())?;
    let mode = std::fs::metadata(path).map_or(0, |m| m.mode());
    // A certificate is public; what looks like a private key, or like anything else, is not.
    if mode & 0o077 != 0 && !text.starts_with("-----BEGIN CERTIFICATE-----") {
        return Err(format!("others can read {0}; run `chmod 600 {0}`", path.display()));
    }
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(Secret::new(value))
}

/// Makes a value.
fn generate(recipe: &Recipe) -> Result<Secret, String> {
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
        Recipe::SelfSigned(names) => self_signed(names)?,
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

/// Key and certificate in one PEM text, key first: they are made, kept and replaced together. ECDSA P-256, valid for
/// 397 days, the most that browsers still accepted of public ones.
fn self_signed(names: &[String]) -> Result<Secret, String> {
    let fail = |e: rcgen::Error| format!("no certificate could be made: {e}");
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(fail)?;
    let now = std::time::SystemTime::now();
    params.not_before = now.into();
    params.not_after = (now + std::time::Duration::from_secs(397 * 86_400)).into();
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(rcgen::DnType::CommonName, names.first().map_or("localhost", String::as_str));
    params.distinguished_name = subject;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().map_err(fail)?;
    let certificate = params.self_signed(&key).map_err(fail)?;
    Ok(Secret::new(format!("{}{}", key.serialize_pem(), certificate.pem())))
}

/// Key and certificate in one text, as they are stored.
pub(super) fn join_pem(chain: &str, key: &str) -> Secret {
    Secret::new(format!("{key}{chain}"))
}

/// Takes key and certificate apart again: chain, key.
pub(super) fn split_pem(bundle: &Secret) -> (String, Secret) {
    let text = bundle.expose();
    let at = text.find("-----BEGIN CERTIFICATE-----").unwrap_or(text.len());
    let (key, chain) = text.split_at(at);
    (chain.to_owned(), Secret::new(key))
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

    #[test]
    fn generated_secrets_have_their_size_and_differ() {
        let make = |r| generate(&r).map(|s| s.expose().to_owned()).unwrap_or_default();
        assert_eq!(make(Recipe::Hex(32)).len(), 64);
        assert_eq!(make(Recipe::UrlSafe(32)).len(), 32);
        assert_ne!(make(Recipe::UrlSafe(32)), make(Recipe::UrlSafe(32)));
        let (chain, key) = split_pem(&Secret::new(make(Recipe::SelfSigned(vec!["localhost".into()]))));
        assert!(
            chain.starts_with("-----BEGIN CERTIFICATE-----") && chain.trim_end().ends_with("-----END CERTIFICATE-----")
        );
        assert!(key.expose().contains("PRIVATE KEY-----"));
    }
}
