//! What is allowed, and still wrong or unwise: checks of a whole stack by what its values mean. Errors where it cannot
//! work, warnings where it works and should not.

mod door;
mod environment;
mod image;
pub mod placeholder;
mod url;

use std::collections::BTreeMap;

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::Problems;
use crate::model::proxy::Proxy;
use crate::model::secrets::SecretSpec;
use crate::model::service::Service;

use super::keys::File;

/// What the checks look at.
pub(super) struct Stack<'a> {
    /// The file's text: what a value looked like before variables were put in.
    pub(super) text: &'a str,
    /// The keys, with their places.
    pub(super) file: &'a File,
    /// The services they became.
    pub(super) services: &'a BTreeMap<ServiceName, Service>,
    /// Secrets by name, those of presets too.
    pub(super) secrets: &'a BTreeMap<SecretName, SecretSpec>,
    /// The front door.
    pub(super) proxy: Option<&'a Proxy>,
    /// Prefix of container names.
    pub(super) project: &'a str,
}

/// Runs all of them.
pub(super) fn check(stack: &Stack<'_>, problems: &mut Problems) {
    environment::check(stack, problems);
    door::check(stack, problems);
    image::check(stack, problems);
}

/// Whether a name ends the way names of secrets do: `DB_PASSWORD`, `OPENAI_API_KEY`; not `PASSWORD_FILE`,
/// `TOKEN_EXPIRE_MINUTES`.
pub(super) fn names_a_secret(name: &str) -> bool {
    const ENDS: &[&str] = &[
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "SECRET_KEY",
        "PRIVATE_KEY",
        "ACCESS_KEY",
        "ENCRYPTION_KEY",
        "SIGNING_KEY",
        "CREDENTIALS",
    ];
    let name = name.to_ascii_uppercase();
    ENDS.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '-', '.'])))
}

/// Beginnings of credentials that their makers chose to be recognised by.
const KNOWN: &[(&str, &str)] = &[
    ("sk-ant-", "an Anthropic API key"),
    ("sk-proj-", "an OpenAI API key"),
    ("gsk_", "a Groq API key"),
    ("pplx-", "a Perplexity API key"),
    ("AIza", "a Google API key"),
    ("AKIA", "an AWS access key"),
    ("ghp_", "a GitHub token"),
    ("github_pat_", "a GitHub token"),
    ("glpat-", "a GitLab token"),
    ("xoxb-", "a Slack token"),
    ("https://hooks.slack.com/services/", "a Slack webhook, whose address is its secret"),
    ("-----BEGIN", "a private key or certificate"),
];

/// What a value is, if its beginning gives it away.
fn known_credential(value: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(start, _)| value.len() >= start.len() + 8 && value.starts_with(start)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in ["PASSWORD", "DB_PASSWORD", "OPENAI_API_KEY", "JWT_SECRET", "SECRET_KEY", "slack_token"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["PASSWORD_FILE", "ACCESS_TOKEN_EXPIRE_MINUTES", "COMPASS", "ALGORITHM", "NOSECRET", "KEY_ID"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
