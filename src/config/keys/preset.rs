//! Kinds of values that only keys of presets take.

use crate::base::problem::Problems;
use crate::config::decode::{Decode, MapKey};
use crate::config::shape::Shape;
use crate::config::tree::Node;
use crate::config::values::{parsed, plain, word};
use crate::model::service::Demand;

/// What Redis does when its memory is full (redis.io/docs, "Key eviction").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy(pub &'static str);

const POLICIES: &[&str] = &[
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

impl Decode for Policy {
    fn shape() -> Shape {
        Shape::Word(POLICIES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, POLICIES, problems).map(Self)
    }
}

/// What those who connect to PostgreSQL demand of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseTls(pub Demand);

const DEMANDS: &[&str] = &["require", "verify-full"];

impl Decode for DatabaseTls {
    fn shape() -> Shape {
        Shape::Word(DEMANDS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self(if word(node, DEMANDS, problems)? == "require" { Demand::Require } else { Demand::VerifyFull }))
    }
}

/// What of Redis's data is left after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// All but the last second.
    Aof,
    /// What was there at the last snapshot.
    Rdb,
    /// Nothing.
    Off,
}

const PERSISTENCES: &[&str] = &["aof", "rdb", "off"];

impl Decode for Persistence {
    fn shape() -> Shape {
        Shape::Word(PERSISTENCES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(match word(node, PERSISTENCES, problems)? {
            "aof" => Self::Aof,
            "rdb" => Self::Rdb,
            _ => Self::Off,
        })
    }
}

/// The name of an extension of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension(pub String);

impl Decode for Extension {
    fn shape() -> Shape {
        Shape::Text { what: "the name of an extension such as \"pg_trgm\"", pattern: "^[a-z0-9_-]{1,63}$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
            if !text.is_empty() && text.len() <= 63 && text.bytes().all(fine) {
                Ok(Self(text.to_owned()))
            } else {
                Err(format!("`{text}` is not the name of an extension; `uuid-ossp` or `pg_trgm` is one"))
            }
        })
    }
}

/// The name of an external label of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalLabel(pub String);

impl MapKey for ExternalLabel {
    const WHAT: &'static str = "label";
    const RULE: &'static str =
        "letters, digits and `_`, no digit first; `project`, `stage` and names that begin with `__` are taken";
    fn parse(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let taken = ["project", "stage"].contains(&text) || text.starts_with("__");
        let sane = !text.is_empty()
            && text.len() <= 128
            && text.bytes().all(fine)
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && !taken;
        sane.then(|| Self(text.to_owned()))
    }
}

/// The value of an external label of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelText(pub String);

impl Decode for LabelText {
    fn shape() -> Shape {
        Shape::Text { what: "a text without `$`", pattern: "^[^$]*$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            if text.contains('$') {
                Err("`$` means a variable to Prometheus 3 and itself to Prometheus 2".to_owned())
            } else {
                Ok(Self(text.to_owned()))
            }
        })
    }
}

/// `preset`: its name, and the tag of its image. Which there are is known elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetTag(pub String);

impl Decode for PresetTag {
    fn shape() -> Shape {
        Shape::Text {
            what: "a preset such as \"postgres:15\"",
            pattern: "^(alertmanager|grafana|postgres|prometheus|qdrant|redis)(:.*)?$",
        }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        plain(node, &Self::shape(), problems).map(Self)
    }
}
