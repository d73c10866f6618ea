//! Keys of what runs beside containers.

use crate::base::calendar::Calendar;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::{Decode, MapKey, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Command, parsed};

table! {
    /// How a service runs on a host without containers: `render` writes a systemd unit for it, and all it needs, below `native/`.
    NativeKeys as "native" short for folder {
        /// Folder on the host with the program. Programs are looked for in its `.venv/bin` and `venv/bin` first.
        folder: HostFolder => r#""/opt/app""#,
        /// User it runs as, made with the units. Without it, the stack's name.
        user: UserName => r#""app""#,
        /// Arguments instead of `command`, where they are others than in the container.
        command: Command => r#"["gunicorn", "app:app"]"#,
    }
}

table! {
    /// A command that a systemd timer starts: in a container like those of the service, or beside it on the host.
    JobKeys as "a job" {
        /// The command: a list of words. No shell is involved.
        command: Command => r#"["python", "-m", "app.cleanup"]"#,
        /// When: `"daily"`, `"Mon..Fri 02:00"`, `"*-*-01 04:30 Europe/Berlin"`, as systemd.time(7) writes it.
        schedule: Calendar => r#""Mon..Fri 02:00""#,
    }
}

/// `native`: a folder, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum NativeKey {
    /// Nothing else said.
    Folder(HostFolder),
    /// In detail.
    Keys(Box<NativeKeys>),
}

impl Decode for NativeKey {
    fn shape() -> Shape {
        Shape::Either(vec![HostFolder::shape(), NativeKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Text(_) => HostFolder::decode(node, problems).map(Self::Folder),
            Value::Table(_) => {
                if node.get("folder").is_none() {
                    problems.push(
                        Problem::error("`native` needs a `folder`").at(node.span.clone()).fix("folder = \"/opt/app\""),
                    );
                }
                NativeKeys::decode(node, problems).map(|keys| Self::Keys(Box::new(keys)))
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// A job, and what it lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct JobKey {
    /// What is written and right.
    pub keys: JobKeys,
    /// Keys that are not written: not the same as those that are wrong.
    pub missing: Vec<&'static str>,
}

impl Decode for JobKey {
    fn shape() -> Shape {
        JobKeys::shape()
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let missing = ["command", "schedule"].into_iter().filter(|key| node.get(key).is_none()).collect();
        JobKeys::decode(node, problems).map(|keys| Self { keys, missing })
    }
}

/// A folder of the host that a unit can name without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFolder(pub String);

impl Decode for HostFolder {
    fn shape() -> Shape {
        Shape::Text { what: "a folder of the host such as \"/opt/app\"", pattern: "^/[A-Za-z0-9._/+@-]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"._/+@-".contains(&b);
            let inside = text.split('/').all(|part| part != "..");
            if text.len() > 1 && text.starts_with('/') && text.bytes().all(fine) && inside {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            } else {
                Err(format!("`{text}` is not a folder that a unit can name; `/opt/app` is one"))
            }
        })
    }
}

/// The name of a user of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(pub String);

impl Decode for UserName {
    fn shape() -> Shape {
        Shape::Text { what: "the name of a user", pattern: "^[a-z_][a-z0-9_-]{0,30}$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
            let start = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            if start && text.len() <= 31 && text.bytes().all(fine) && text != "root" {
                Ok(Self(text.to_owned()))
            } else {
                Err(format!("`{text}` is not a user a service should run as; lower-case letters and digits, not root"))
            }
        })
    }
}

/// The name of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName(pub String);

impl MapKey for JobName {
    const WHAT: &'static str = "job";
    const RULE: &'static str = "lower-case letters, digits and `-`, up to 32";
    fn parse(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let sane = !text.is_empty() && text.len() <= 32 && text.bytes().all(fine) && !text.starts_with('-');
        sane.then(|| Self(text.to_owned()))
    }
}

impl Decode for Calendar {
    fn shape() -> Shape {
        Shape::Text { what: "a time such as \"daily\" or \"Mon..Fri 02:00\"", pattern: "^[A-Za-z0-9*:.,/_+ -]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, str::parse)
    }
}
