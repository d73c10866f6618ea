//! Keys of what a service is for and what it can reach: kind, files, secrets, ports of the host.

use std::net::{IpAddr, Ipv4Addr};

use crate::base::name::SecretName;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::{At, Decode, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Int, Text, is_absolute, parsed, plain, word};
use crate::model::container::Publish;
use crate::model::service::{Grant, Kind, PullPolicy};

/// `kind`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindKey(pub Kind);

const KINDS: &[&str] = &["web", "worker", "job"];

impl Decode for KindKey {
    fn shape() -> Shape {
        Shape::Word(KINDS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self(match word(node, KINDS, problems)? {
            "web" => Kind::Web,
            "job" => Kind::Job,
            _ => Kind::Worker,
        }))
    }
}

/// `pull_policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullKey(pub PullPolicy);

const PULLS: &[&str] = &["missing", "always", "never", "send"];

impl Decode for PullKey {
    fn shape() -> Shape {
        Shape::Word(PULLS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self(match word(node, PULLS, problems)? {
            "always" => PullPolicy::Always,
            "never" => PullPolicy::Never,
            "send" => PullPolicy::Send,
            _ => PullPolicy::Missing,
        }))
    }
}

/// `env_file`: a file, or a list of them; later ones win.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvFiles(pub Vec<At<Text>>);

impl Decode for EnvFiles {
    fn shape() -> Shape {
        Shape::Either(vec![Text::shape(), Shape::List(Box::new(Text::shape()))])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::decode(node, problems).map(Self),
            Value::Text(_) => {
                Text::decode(node, problems).map(|value| Self(vec![At { value, span: node.span.clone() }]))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

table! {
    /// A secret's file, and who may read it.
    SecretUseKeys as "a secret's file" short for source {
        /// The secret.
        source: SecretName => r#""licence""#,
        /// Permission bits, in octal. Without it: the owner may read where a number is known (`user`, `uid`), else everyone in the container.
        mode: FileMode => r#""0440""#,
        /// Number of the user it belongs to, instead of the service's own.
        uid: Int<0, 4_294_967_294> => "33",
    }
}

/// `secrets`: a name, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// The secret.
    pub name: SecretName,
    /// What is said about its file.
    pub grant: Grant,
}

impl Decode for SecretUse {
    fn shape() -> Shape {
        Shape::Either(vec![SecretName::shape(), SecretUseKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => {
                let keys = SecretUseKeys::decode(node, problems)?;
                let Some(source) = keys.source else {
                    if node.get("source").is_none() {
                        let problem = Problem::error("this says nothing about which secret").at(node.span.clone());
                        problems.push(problem.help("`source` names it: `{ source = \"NAME\", mode = \"0440\" }`"));
                    }
                    return None;
                };
                let uid = keys.uid.and_then(|u| u32::try_from(u.value.0).ok());
                Some(Self { name: source.value, grant: Grant { mode: keys.mode.map(|m| m.value.0), uid } })
            }
            Value::Text(_) => SecretName::decode(node, problems).map(|name| Self { name, grant: Grant::default() }),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// Permission bits of a file that is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl Decode for FileMode {
    fn shape() -> Shape {
        Shape::Text { what: "permission bits such as \"0440\"", pattern: "^0?[0-7]{3}$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Integer(number) = node.value {
            // 440 is meant as it looks; TOML's 0o440 is another number.
            let digits = number.to_string();
            let meant = if mode_of(&digits).is_ok() { format!("0{digits}") } else { format!("{number:04o}") };
            let problem = Problem::error("permission bits are a string in octal").at(node.span.clone());
            problems.push(problem.fix(format!("\"{meant}\"")));
            return None;
        }
        parsed(node, &Self::shape(), problems, mode_of)
    }
}

fn mode_of(text: &str) -> Result<FileMode, String> {
    let digits = if text.len() == 4 { text.strip_prefix('0') } else { Some(text) };
    let bits = digits.filter(|d| d.len() == 3).and_then(|d| u32::from_str_radix(d, 8).ok());
    match bits {
        Some(bits) if bits & 0o444 != 0 && bits & 0o333 == 0 => Ok(FileMode(bits)),
        Some(_) => Err(format!("`{text}` lets somebody do more than read the file, or nobody read it; write `0440`")),
        None => Err(format!("`{text}` is not a mode; write octal digits, such as `0440`")),
    }
}

/// `files`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    /// Path relative to stack.toml.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
}

/// Folders that are the image itself: what is put over them hides it.
const WHOLE_FOLDERS: &[&str] = &[
    "/bin",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/run/secrets",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/var",
    "/var/lib",
];

impl Decode for FileKey {
    fn shape() -> Shape {
        Shape::Text { what: "a file and its place, such as \"conf/app.toml:/etc/app/app.toml\"", pattern: "^[^:]+:/" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let sample = "write `conf/app.toml:/etc/app/app.toml`";
            let (source, target) = text.split_once(':').ok_or_else(|| format!("`{text}` says no place; {sample}"))?;
            let target = target.strip_suffix(":ro").unwrap_or(target);
            let target = target.strip_suffix('/').filter(|t| !t.is_empty()).unwrap_or(target);
            if source.is_empty() || source.starts_with(['/', '~']) || source.split('/').any(|part| part == "..") {
                return Err(format!("`{source}` is not a path below the folder of stack.toml; {sample}"));
            }
            if !is_absolute(target) {
                return Err(format!("`{target}` is not an absolute path in the container; {sample}"));
            }
            if WHOLE_FOLDERS.contains(&target) || target.starts_with("/proc/") || target.starts_with("/sys/") {
                return Err(format!("`{target}` would hide that folder of the image; name a file or folder in it"));
            }
            let source = source.trim_start_matches("./").trim_end_matches('/');
            let source = if source.is_empty() { "." } else { source };
            Ok(Self { source: source.to_owned(), target: target.to_owned() })
        })
    }
}

/// `publish`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishKey(pub Publish);

impl Decode for PublishKey {
    fn shape() -> Shape {
        Shape::Text {
            what: "a port of the host's loopback address, such as \"127.0.0.1:15432:5432\"",
            pattern: "^127\\.[0-9.]+:[0-9]+:[0-9]+$",
        }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = plain(node, &Self::shape(), problems)?;
        let mut parts = text.rsplit(':');
        let port = |part: Option<&str>| part.and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0);
        let (container, host) = (port(parts.next()), port(parts.next()));
        let rest: Vec<&str> = parts.collect();
        let address = match rest.as_slice() {
            [] => None,
            parts => parts.iter().rev().copied().collect::<Vec<_>>().join(":").parse::<IpAddr>().ok(),
        };
        let (Some(container_port), Some(host_port)) = (container, host) else {
            problems.push(
                Problem::error(format!("`{text}` is not a published port"))
                    .at(node.span.clone())
                    .label("allowed: an address, a port of the host, a port of the container")
                    .fix("\"127.0.0.1:15432:5432\""),
            );
            return None;
        };
        match address {
            Some(IpAddr::V4(address)) if address.is_loopback() => {
                Some(Self(Publish { address, host_port, container_port }))
            }
            _ => {
                problems.push(
                    Problem::error(format!("`{text}` would be open to everyone who reaches the host"))
                        .at(node.span.clone())
                        .label("allowed: a loopback address of IPv4")
                        .help("the engine's ports go around the host's firewall; visitors come through `[routes]`")
                        .fix(format!("\"{}:{host_port}:{container_port}\"", Ipv4Addr::LOCALHOST)),
                );
                None
            }
        }
    }
}

/// One of `volumes`. What is wrong with it is said where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeText(pub String);

impl Decode for VolumeText {
    fn shape() -> Shape {
        Shape::Text {
            what: "a volume and its place, such as \"uploads:/app/uploads\"",
            pattern: "^[a-z0-9][a-z0-9_.-]*:/[^:]*(:r[ow])?$",
        }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        plain(node, &Self::shape(), problems).map(Self)
    }
}
