//! How a container runs, beyond image, command and files: what is handed to the engine as it is. Where nothing is
//! asked for, nothing is in here, so that it leaves no trace in a container's hash.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::base::units::ByteSize;

/// How a container runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Runtime {
    /// Folder its command starts in.
    pub working_dir: Option<String>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<ByteSize>,
    /// What it gets before others do.
    pub reserve: Reserve,
    /// Limits of its processes, by the names of setrlimit(2) in lower case.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Names it finds in `/etc/hosts`: an address, or `host-gateway`.
    pub extra_hosts: BTreeMap<String, String>,
    /// Name servers that are asked for names outside the stack.
    pub dns: Vec<IpAddr>,
    /// The user's own labels.
    pub labels: BTreeMap<String, String>,
    /// Where its output goes; `None`: `json-file`, rotated.
    pub logging: Option<Logging>,
}

/// What a container gets before others do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reserve {
    /// Cores it gets while all processors are busy.
    pub cpus: Option<f64>,
    /// Memory it keeps while the host runs out of it.
    pub memory: Option<ByteSize>,
}

impl Reserve {
    /// The weight of the processors' scheduler that stands for the cores: 1024 for each, as the engine's default for
    /// a container is 1024; 2 to 262144 (cgroups(7), `cpu.shares`).
    pub fn shares(&self) -> Option<i64> {
        #[allow(clippy::cast_possible_truncation, reason = "clamped to six digits")]
        self.cpus.map(|cpus| (cpus * 1024.0).round().clamp(2.0, 262_144.0) as i64)
    }
}

/// A limit of a process; -1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The process may raise it up to `hard`.
    pub soft: i64,
    /// Nobody may raise it.
    pub hard: i64,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub host: String,
    /// Path in the container.
    pub container: String,
    /// Some of `r`, `w`, `m` (mknod).
    pub permissions: String,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The engine's driver.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

impl Default for Logging {
    /// `json-file` that cannot fill the disk: five files of 10 MB.
    fn default() -> Self {
        Self { driver: "json-file".to_owned(), options: Self::rotation() }
    }
}

impl Logging {
    /// Options that keep `json-file` and `local` small.
    pub fn rotation() -> BTreeMap<String, String> {
        [("max-size", "10m"), ("max-file", "5")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }
}

/// When the engine restarts a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    No,
    /// When it exits other than 0.
    OnFailure,
    /// Whenever it is not running, and when the engine starts.
    Always,
    /// Like `always`, but not when the engine starts after somebody stopped it.
    UnlessStopped,
}

impl Restart {
    /// As the engine spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}
