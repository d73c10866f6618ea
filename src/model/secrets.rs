//! Secrets: where each comes from, and texts that are put together from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::base::units::Span;

/// Values of secrets by name.
pub type SecretValues = BTreeMap<SecretName, Secret>;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSpec {
    /// Line of stack.toml that declares it, or that made a preset imply it; from 1.
    pub line: u32,
    /// How to get its value.
    pub source: SecretSource,
    /// The stack works without it.
    pub optional: bool,
    /// Group of which at least one must have a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<String>,
    /// Fewest characters outside development; `None`: [`super::placeholder::SHORTEST`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
}

impl SecretSpec {
    /// One without which the stack does not work, declared on this line (from 1).
    pub fn required(line: u32, source: SecretSource) -> Self {
        Self { line, source, optional: false, one_of: None, min_length: None }
    }
}

/// How to get a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// Made once and kept on the engine.
    Generate(Recipe),
    /// From an environment variable or `.env`.
    Env(String),
    /// From a file beside stack.toml.
    File(String),
    /// The one line a program prints. Never given to a shell.
    Command {
        /// Program and arguments.
        words: Vec<String>,
        /// Longest time it may take.
        timeout: Span,
    },
    /// The entry of its own name in an encrypted file beside stack.toml.
    Age(String),
    /// Put onto the engine by `stackctl secrets set`.
    Stored,
    /// Certificate and key that an authority gave, or that were imported: `stackctl cert` puts them onto the engine.
    Issued,
    /// The public half of a generated pair.
    PublicOf(SecretName),
    /// Put together from others.
    Derived(Template),
}

/// How a generated secret is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// This many random bytes as hexadecimal.
    Hex(u32),
    /// This many random bytes as base64.
    Base64(u32),
    /// This many characters safe in URLs (letters, digits, `-`, `_`).
    UrlSafe(u32),
    /// A random UUID (version 4).
    Uuid,
    /// An Ed25519 key pair: the private key as PEM (PKCS #8); the public one is another secret.
    Ed25519,
    /// An RSA key pair of this many bits, alike.
    Rsa(u32),
    /// Certificate and key (PEM, key first) of an authority that may sign for these host names only.
    Authority(Vec<String>),
    /// Certificate and key (PEM, key first) for these host names, signed by that authority.
    Trial {
        /// Host names, and IP addresses.
        names: Vec<String>,
        /// The secret that is the authority.
        authority: SecretName,
    },
}

impl Recipe {
    /// Whether a public half comes with it.
    pub fn is_pair(&self) -> bool {
        matches!(self, Self::Ed25519 | Self::Rsa(_))
    }
}

impl SecretSource {
    /// In a word or two, for people: never a part of a value.
    pub fn words(&self) -> String {
        match self {
            Self::Generate(_) => "generated".to_owned(),
            Self::Env(variable) => format!("env {variable}"),
            Self::File(path) => format!("file {path}"),
            // Arguments may hold what a variable of the environment was filled in with.
            Self::Command { words, .. } => format!("command {}", words.first().map_or("", String::as_str)),
            Self::Age(path) => path.clone(),
            Self::Stored => "stored".to_owned(),
            Self::Issued => "issued".to_owned(),
            Self::PublicOf(pair) => format!("public half of {pair}"),
            Self::Derived(_) => "derived".to_owned(),
        }
    }
}

/// A text with secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Vec<Piece>);

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The value of a secret.
    Secret(SecretName),
    /// The value of a secret, percent-encoded for a URL (RFC 3986, all but unreserved characters).
    Encoded(SecretName),
    /// The value of a secret as one quoted word of a configuration file, see [`quoted`].
    Quoted(SecretName),
    /// The path of the file that holds a secret.
    File(SecretName),
    /// The role that logs in to a database: what is kept under the name, or else the text. No secret.
    Role(SecretName, String),
}

/// Folder in which containers find their secrets.
pub const SECRETS_FOLDER: &str = "/run/secrets";

impl Template {
    /// A text without secrets.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// Secrets whose values appear in the text.
    pub fn values(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret(name) | Piece::Encoded(name) | Piece::Quoted(name) => Some(name),
            Piece::Text(_) | Piece::File(_) | Piece::Role(..) => None,
        })
    }

    /// Secrets whose files the text names.
    pub fn files(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::File(name) => Some(name),
            Piece::Text(_) | Piece::Secret(_) | Piece::Encoded(_) | Piece::Quoted(_) | Piece::Role(..) => None,
        })
    }

    /// Whether the text holds the value of a secret.
    pub fn is_secret(&self) -> bool {
        self.values().next().is_some()
    }

    /// Whether it is nothing but a reference to an optional secret that has no value: then its variable is left out, so
    /// that the program does not look for a file that is not there.
    pub fn names_nothing(&self, values: &SecretValues) -> bool {
        matches!(self.0.as_slice(), [Piece::Secret(name) | Piece::File(name)] if !values.contains_key(name))
    }

    /// The text with values put in; a missing value is empty (an optional secret that is not set).
    pub fn fill(&self, values: &SecretValues) -> Secret {
        let value = |name: &SecretName| values.get(name).map_or("", Secret::expose);
        Secret::new(self.0.iter().fold(String::new(), |mut out, piece| {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Secret(name) => out.push_str(value(name)),
                Piece::Encoded(name) => out.push_str(&percent_encode(value(name))),
                Piece::Quoted(name) => out.push_str(&quoted(value(name))),
                Piece::Role(name, first) => {
                    let kept = Some(value(name)).filter(|kept| !kept.is_empty());
                    out.push_str(kept.unwrap_or(first));
                }
                Piece::File(name) => {
                    out.push_str(SECRETS_FOLDER);
                    out.push('/');
                    out.push_str(name.as_str());
                }
            }
            out
        }))
    }
}

/// Percent-encoding of all but RFC 3986's unreserved characters.
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A value in double quotes, with `"` and `\\` escaped, and control characters as `\\xNN`: so redis.conf reads it
/// (redis.io/docs, "Configuration"), and YAML (1.2, section 5.7).
pub fn quoted(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_stay_on_their_line() {
        assert_eq!(quoted("a\"b\\c\nd é"), "\"a\\\"b\\\\c\\x0ad é\"");
    }

    #[test]
    fn a_password_cannot_break_a_url() {
        let name = SecretName::parse("pw").unwrap_or_else(|| unreachable!());
        let url = Template(vec![
            Piece::Text("postgresql://u:".into()),
            Piece::Encoded(name.clone()),
            Piece::Text("@db/x".into()),
        ]);
        let values = SecretValues::from([(name, Secret::new("a/b@c:d?é"))]);
        assert_eq!(url.fill(&values).expose(), "postgresql://u:a%2Fb%40c%3Ad%3F%C3%A9@db/x");
        assert!(url.is_secret());
    }
}
