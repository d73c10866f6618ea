//! What a fault is: how it is made, how it is mended, and who finds it. The tables are TOML files beside this one, a
//! family each, read when the tests run.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::support::root;

/// Files of the families, in the order of the document.
const FAMILIES: [&str; 11] =
    ["door", "tls", "headers", "limits", "containers", "stores", "watching", "secrets", "network", "app", "outside"];

/// Faults of one kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    pub(super) family: String,
    #[serde(rename = "fault")]
    pub(super) faults: Vec<Fault>,
}

/// A way to break a healthy stack.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// What is wrong, for people.
    pub(super) what: String,
    /// The check that comes first.
    pub(super) cause: String,
    /// Checks that fail, warn, and cannot be judged any more: the cause is one of them.
    #[serde(default)]
    pub(super) fails: Vec<String>,
    #[serde(default)]
    pub(super) warns: Vec<String>,
    #[serde(default)]
    pub(super) unsure: Vec<String>,
    /// A piece of the line of stack.toml that the cause names; without it, it must not name one.
    pub(super) line: Option<String>,
    /// What is asked.
    #[serde(default)]
    pub(super) asks: Asks,
    /// Part of the spread that every run of the tests tries.
    #[serde(default)]
    pub(super) often: bool,

    // How it is made: one of these.
    /// Text of Nginx's files (file, old, new) is replaced, and Nginx told to read them. `RATE_ZONE` stands for the zone of the
    /// limit.
    pub(super) nginx: Option<Vec<[String; 3]>>,
    /// Nginx serves another certificate.
    pub(super) certificate: Option<Certificate>,
    /// Text of Prometheus's files (file, old, new), the same way.
    pub(super) prometheus: Option<Vec<[String; 3]>>,
    /// Arguments of `docker`, one command after the other. `APP_IMAGE`, `APP_ID`, `REDIS_IMAGE` and `WORKER_FILES` (a
    /// volume) stand for the stack's.
    pub(super) docker: Option<Vec<Vec<String>>>,
    /// Those that mend it.
    #[serde(default)]
    pub(super) mend: Vec<Vec<String>>,
    /// A line for a shell in the stack's folder; `STACKCTL` is the program.
    pub(super) shell: Option<String>,
    /// The line that mends it.
    pub(super) undo: Option<String>,
    /// `up` mends it.
    #[serde(default)]
    pub(super) up: bool,
    /// A container is made anew by hand.
    pub(super) replaced: Option<Replaced>,
    /// stack.toml says something else (old, new) than what runs.
    pub(super) stack: Option<Vec<[String; 2]>>,
    /// The stack gets something else from outside.
    pub(super) given: Option<BTreeMap<String, String>>,
}

/// A certificate of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    pub(super) names: Vec<String>,
    /// First and last day, counted from today.
    pub(super) days: [i64; 2],
    #[serde(default)]
    pub(super) ed25519: bool,
}

/// What a container is, all else as it was.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replaced {
    pub(super) container: String,
    /// As the engine's API has it.
    pub(super) with: serde_json::Value,
}

/// What is asked of the broken stack, and of the healthy one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Asks {
    /// Everything that disturbs nobody.
    #[default]
    Quick,
    /// The same, without a long wait for the front door to become healthy.
    Impatient,
    /// The limits.
    Limits,
    /// The history of the repository.
    Repository,
    /// What can be seen without the engine.
    Outside,
    /// What can be seen without stack.toml.
    Site,
}

impl Asks {
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Quick => &["--json", "verify", "--quick"],
            Self::Impatient => &["--json", "verify", "--quick", "--deadline", "12s"],
            Self::Limits => &["--json", "verify", "--only", "RL"],
            Self::Repository => &["--json", "verify", "--only", "SEC-1"],
            Self::Outside => &["--json", "verify", "--quick", "--outside"],
            Self::Site => &["--json", "verify", "--quick", "--url", "https://localhost:18462"],
        }
    }
}

impl Asks {
    /// What is asked, where it is not the usual.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Quick | Self::Impatient => "",
            Self::Limits => "; limits measured",
            Self::Repository => "; history searched",
            Self::Outside => "; `--outside`",
            Self::Site => "; `--url`",
        }
    }
}

impl Fault {
    /// Verdicts that get worse, by check.
    pub(super) fn finds(&self) -> BTreeMap<&str, &str> {
        let all = [(&self.fails, "fail"), (&self.warns, "warn"), (&self.unsure, "inconclusive")];
        all.iter().flat_map(|(ids, verdict)| ids.iter().map(|id| (id.as_str(), *verdict))).collect()
    }

    /// How it is made, in words; one way only.
    pub(super) fn way(&self) -> &'static str {
        let ways = [
            (self.nginx.is_some(), "Nginx's files"),
            (self.certificate.is_some(), "another certificate"),
            (self.prometheus.is_some(), "Prometheus's files"),
            (self.docker.is_some(), "`docker`"),
            (self.shell.is_some(), "a shell"),
            (self.replaced.is_some(), "a container made anew"),
            (self.stack.is_some(), "another stack.toml"),
            (self.given.is_some(), "another environment"),
        ];
        let mut given = ways.iter().filter(|(given, _)| *given);
        match (given.next(), given.next()) {
            (Some((_, way)), None) => way,
            _ => panic!("{}: made in one way", self.what),
        }
    }
}

/// One of the stacks that are broken side by side: nothing of one is the other's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    pub(super) name: &'static str,
    /// Port of plain HTTP; HTTPS has the next one.
    pub(super) port: u16,
}

pub(super) const LANES: [Lane; 2] = [Lane { name: "t-fault", port: 18461 }, Lane { name: "t-faulb", port: 18471 }];

impl Lane {
    /// What is written for the first lane, for this one: names, PostgreSQL's names, ports.
    pub(super) fn own(self, text: &str) -> String {
        let tens = |port: u16| (port / 10).to_string();
        text.replace(LANES[0].name, self.name)
            .replace(&LANES[0].name.replace('-', "_"), &self.name.replace('-', "_"))
            .replace(&tens(LANES[0].port), &tens(self.port))
    }
}

/// All of them, as the tables have them.
pub(super) fn families() -> Vec<Family> {
    families_of(LANES[0])
}

/// All of them, for a lane.
pub(super) fn families_of(lane: Lane) -> Vec<Family> {
    let folder = root().join("tests/real/faults");
    let read = |name: &str| {
        let file = folder.join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        toml::from_str(&lane.own(&text)).unwrap_or_else(|e| panic!("{name}.toml: {e}"))
    };
    FAMILIES.iter().map(|name| read(name)).collect()
}
