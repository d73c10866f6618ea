//! A rendered file.

use serde::Serialize;

use crate::base::hash;
use crate::base::secret::Secret;

/// A file to be written somewhere: into a folder, or into a service's files volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// Path below the folder or volume, without a leading `/`.
    pub path: String,
    /// What is in it. All of it counts as secret where a part is.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner; 0 where it is not known.
    pub uid: u32,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Can be shown.
    Plain(String),
    /// Cannot.
    Secret(Secret),
    /// A program of ours.
    Program(Vec<u8>),
}

impl Content {
    /// The text, for the one who shows it to its owner; a program has none.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
            Self::Program(_) => "",
        }
    }

    /// The bytes, for the one who writes the file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Program(bytes) => bytes,
            Self::Plain(_) | Self::Secret(_) => self.expose().as_bytes(),
        }
    }
}

impl Artifact {
    /// A file anyone may read.
    pub fn plain(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), content: Content::Plain(text.into()), mode: 0o444, uid: 0 }
    }

    /// A file with a secret: readable by `uid` alone, or by everyone in the container if the user is not known.
    pub fn secret(path: impl Into<String>, secret: Secret, uid: Option<u32>) -> Self {
        let mode = if uid.is_some() { 0o400 } else { 0o444 };
        Self { path: path.into(), content: Content::Secret(secret), mode, uid: uid.unwrap_or(0) }
    }
}

/// Folder of the front door's certificate, below that of its files.
pub const CERTIFICATES: &str = "certs/";

/// Its key.
pub const KEY: &str = "certs/site.key";

/// The name of the front door's files: what they are without a certificate, and behind a dash what that is. With the same
/// first half a program need not load them to serve by them: each handshake looks for the certificate.
pub fn door_hash(configuration: &str, key: &[u8], artifacts: &[Artifact]) -> String {
    let certificate: Vec<Artifact> = artifacts.iter().filter(|a| a.path.starts_with(CERTIFICATES)).cloned().collect();
    if certificate.is_empty() {
        return configuration.to_owned();
    }
    format!("{configuration}-{}", files_hash(key, &certificate))
}

/// What of a name says which configuration it is: what the front door answers when it is asked what it serves by.
pub fn configuration_of(name: &str) -> &str {
    name.split_once('-').map_or(name, |(configuration, _)| configuration)
}

/// The name of a set of files: keyed, since secrets are among them; 16 hexadecimal digits. Order does not matter.
pub fn files_hash(key: &[u8], artifacts: &[Artifact]) -> String {
    let mut parts: Vec<String> = artifacts
        .iter()
        .map(|a| format!("{}\0{:o}\0{}\0{}", a.path, a.mode, a.uid, hash::sha256(a.content.bytes())))
        .collect();
    parts.sort();
    hash::fingerprint(key, parts.join("\n").as_bytes())
}
