//! Keys that say where certificates come from.

use crate::base::name::{DomainName, SecretName};
use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::{At, Decode, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Command, Text, parsed, word};

table! {
    /// A certificate of your own.
    TlsFiles as "tls.files" {
        /// Certificate chain, PEM, leaf first; relative to stack.toml.
        cert: Text => r#""certs/site.pem""#,
        /// Private key, PEM; relative to stack.toml. Others must not be able to read it.
        key: Text => r#""certs/site.key""#,
    }
}

table! {
    /// Certificates of an authority that speaks ACME, asked for and renewed by stackctl. Whoever writes this agrees to the authority's terms of service. Until the first one is there, a trial certificate serves.
    AcmeKeys as "tls.acme" short for email {
        /// Where the authority may write to.
        email: EmailKey => r#""ops@example.com""#,
        /// The authority: `"letsencrypt"`, `"zerossl"` (which wants `eab_kid` and `eab_key`), or the URL of a directory.
        directory: DirectoryKey = "\"letsencrypt\"" => r#""zerossl""#,
        /// URL of the authority's directory for trying things out. It is asked first where it is not known yet that the authority finds our answers: before the first certificate, for new names, after a failure. Let's Encrypt's is known.
        staging: StagingKey => r#""https://ca.example.com/staging/directory""#,
        /// Names the certificate is for, if others than `domains`. Wildcards such as `"*.example.com"` need `dns`.
        names: Vec<At<CertifiedName>> => r#"["example.com", "*.example.com"]"#,
        /// Program that changes the DNS, run in the folder of stack.toml without a shell: `dns set NAME VALUE` adds a TXT record and ends when the world can see it, `dns unset NAME VALUE` takes it away. Without it, the authority asks the front door, at port 80.
        dns: Command => r#"["./dns"]"#,
        /// Longest time `dns` may take.
        timeout: Span = "\"5m\"" => r#""10m""#,
        /// ID of the key that binds the account to one you have with the authority (external account binding).
        eab_kid: Text => r#""kid-1""#,
        /// Secret with that key, as the authority gave it (base64).
        eab_key: SecretName => r#""zerossl_key""#,
        /// PEM file with the authorities that sign for the directory itself, for one of your own; relative to stack.toml.
        trust: Text => r#""certs/authority.pem""#,
    }
}

table! {
    /// Certificates of your own, or of an authority: one of the two.
    TlsKeys as "tls" never both of files, acme {
        /// Files with the chain and the key.
        files: TlsFiles => r#"{ cert = "certs/site.pem", key = "certs/site.key" }"#,
        /// An authority that speaks ACME: an e-mail address for Let's Encrypt, or a table.
        acme: AcmeKey => r#""ops@example.com""#,
    }
}

/// `acme`
#[derive(Debug, Clone, PartialEq)]
pub struct AcmeKey(pub AcmeKeys);

impl Decode for AcmeKey {
    fn shape() -> Shape {
        Shape::Either(vec![EmailKey::shape(), AcmeKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => AcmeKeys::decode(node, problems).map(Self),
            Value::Text(_) => {
                let email = At { value: EmailKey::decode(node, problems)?, span: node.span.clone() };
                Some(Self(AcmeKeys {
                    email: Some(email),
                    directory: None,
                    staging: None,
                    names: None,
                    dns: None,
                    timeout: None,
                    eab_kid: None,
                    eab_key: None,
                    trust: None,
                }))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// `email`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailKey(pub String);

impl Decode for EmailKey {
    fn shape() -> Shape {
        Shape::Text { what: "an e-mail address", pattern: "^[^@ ,?]+@[^@ ,?]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let plain = |part: &str| !part.is_empty() && !part.contains(['@', ',', '?']) && !part.contains(' ');
            match text.split_once('@') {
                Some((who, host)) if plain(who) && plain(host) => Ok(Self(text.to_owned())),
                _ => Err(format!("`{text}` is not an e-mail address; write `ops@example.com`")),
            }
        })
    }
}

/// URLs of directories by the names of their authorities, and where those let people try things out.
pub const DIRECTORIES: &[(&str, &str, Option<&str>)] = &[
    (
        "letsencrypt",
        "https://acme-v02.api.letsencrypt.org/directory",
        Some("https://acme-staging-v02.api.letsencrypt.org/directory"),
    ),
    ("zerossl", "https://acme.zerossl.com/v2/DV90", None),
];

/// `directory`: its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryKey(pub String);

impl Decode for DirectoryKey {
    fn shape() -> Shape {
        Shape::Text { what: "`letsencrypt`, `zerossl` or a URL", pattern: "^(letsencrypt|zerossl|https://.+)$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let known = DIRECTORIES.iter().find(|(name, ..)| *name == text).map(|(_, url, _)| (*url).to_owned());
            let own = || text.strip_prefix("https://").filter(|rest| !rest.is_empty()).map(|_| text.to_owned());
            known.or_else(own).map(Self).ok_or_else(|| {
                format!(
                    "`{text}` is not an authority; write `letsencrypt`, `zerossl` or an `https://` URL of a directory"
                )
            })
        })
    }
}

/// `staging`: its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagingKey(pub String);

impl Decode for StagingKey {
    fn shape() -> Shape {
        Shape::Text { what: "the URL of a directory", pattern: "^https://.+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| match text.strip_prefix("https://") {
            Some(rest) if !rest.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is not the URL of a directory; write an `https://` URL")),
        })
    }
}

/// One of `names`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedName(pub String);

impl Decode for CertifiedName {
    fn shape() -> Shape {
        Shape::Text { what: "a host name, or `*.` and a host name", pattern: "^([*][.])?[a-z0-9.-]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            match DomainName::parse(text.strip_prefix("*.").unwrap_or(text)) {
                Some(_) => Ok(Self(text.to_owned())),
                None => {
                    Err(format!("`{text}` is not a name for a certificate; write `example.com` or `*.example.com`"))
                }
            }
        })
    }
}

/// `tls`
#[derive(Debug, Clone, PartialEq)]
pub enum TlsKey {
    /// Plain HTTP.
    Off,
    /// A trial certificate.
    SelfSigned,
    /// Own files.
    Files(Box<TlsFiles>),
    /// An authority.
    Acme(Box<AcmeKeys>),
}

const TLS_WORDS: &[&str] = &["self-signed", "off"];

impl Decode for TlsKey {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Word(TLS_WORDS), TlsKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Text(_) => match word(node, TLS_WORDS, problems)? {
                "off" => Some(Self::Off),
                _ => Some(Self::SelfSigned),
            },
            Value::Table(_) => {
                let keys = TlsKeys::decode(node, problems)?;
                // One that is there but wrong has been reported already.
                let wrong = match (node.get("files").is_some(), node.get("acme").is_some()) {
                    (false, false) => Problem::error("`tls` as a table needs `acme` or `files`")
                        .fix("tls = { files = { cert = \"certs/site.pem\", key = \"certs/site.key\" } }"),
                    (true, true) => Problem::error("certificates come from `acme` or from `files`, not from both")
                        .help("take one of them away"),
                    _ => {
                        let files = keys.files.map(|f| Self::Files(Box::new(f.value)));
                        return files.or(keys.acme.map(|a| Self::Acme(Box::new(a.value.0))));
                    }
                };
                problems.push(wrong.at(node.span.clone()));
                None
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}
