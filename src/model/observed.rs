//! What the engine has, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::base::name::ServiceName;
use crate::base::units::ByteSize;

use super::assets::Assets;
use super::container::label;
use super::parts::Parts;
use super::state::State;

/// Everything a plan needs to know of the engine.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Observed {
    /// The engine itself.
    pub engine: EngineFacts,
    /// The project's containers (label `stackctl.project`), running or not.
    pub containers: Vec<ObservedContainer>,
    /// All networks: ours, and others' subnets that ours must not overlap.
    pub networks: Vec<ObservedNetwork>,
    /// The project's volumes (label `stackctl.project`).
    pub volumes: Vec<ObservedVolume>,
    /// Images that were asked for and are there, by the reference asked for.
    pub images: BTreeMap<String, ObservedImage>,
    /// Of those images, the ones that are another in the registry by now; asked only where `pull_policy` says so.
    pub moved: BTreeSet<String>,
    /// Which bank of addresses the front door sends each service's traffic to: 0, or 1 where it was switched there.
    pub live: BTreeMap<String, u8>,
    /// Files out of images that the front door serves, by folder.
    pub assets: BTreeMap<String, Assets>,
    /// Major version of the server that wrote a service's data, as the data itself says; `None` where there is no data
    /// yet. Only of services whose container is there to be asked.
    pub written_by: BTreeMap<ServiceName, Option<u32>>,
    /// What earlier runs kept on the engine; `None` if there is no state volume.
    pub state: Option<State>,
    /// What containers of services have now, field by field, by name; only where somebody looked.
    pub fields: BTreeMap<String, Parts>,
    /// Which limits the engine keeps.
    pub keeps: Keeps,
    /// Files that are not as they were written, by volume; only where somebody looked.
    pub edited: BTreeMap<String, BTreeSet<String>>,
}

/// The engine itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EngineFacts {
    /// Version, such as `20.10.24`.
    pub version: String,
    /// API version in use, such as `1.41`.
    pub api: String,
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64` …
    pub arch: String,
    /// Its containers' addresses can be reached directly from here: a local unix socket on the same Linux host.
    pub local: bool,
}

/// A container of the project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservedContainer {
    /// Engine ID.
    pub id: String,
    /// Name without the leading `/`.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// ID of its image.
    pub image_id: String,
    /// `running`, `exited`, `created`, `restarting`, `paused`, `dead`, `removing`.
    pub state: String,
    /// The engine's words, such as `Up 3 minutes (healthy)`.
    pub status: String,
    /// Networks it is attached to, with the address where it has one now.
    pub networks: BTreeMap<String, Option<Ipv4Addr>>,
    /// Published ports: host address, host port, container port.
    pub ports: Vec<(String, u16, u16)>,
    /// Creation time, seconds since 1970.
    pub created: i64,
}

impl ObservedContainer {
    /// A label's value, empty if it is not there.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The service it belongs to.
    pub fn service(&self) -> &str {
        self.label(label::SERVICE)
    }

    /// Replica number, from 1; 0 for containers that are none.
    pub fn number(&self) -> u32 {
        self.label(label::COMPOSE_NUMBER).parse().unwrap_or(0)
    }

    /// Its static addresses by network, from its label: they hold while it is stopped, too.
    pub fn addresses(&self) -> BTreeMap<String, Ipv4Addr> {
        self.label(label::ADDRESSES)
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .filter_map(|(network, address)| Some((network.to_owned(), address.parse().ok()?)))
            .collect()
    }

    /// What it was made with, part by part; `None` if it is from a version that did not say.
    pub fn parts(&self) -> Option<Parts> {
        serde_json::from_str(self.label(label::PARTS)).ok()
    }

    /// Whether it runs (also while its process is being restarted).
    pub fn running(&self) -> bool {
        self.state == "running"
    }
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservedNetwork {
    /// Engine ID.
    pub id: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// No way out.
    pub internal: bool,
    /// IPv4 subnets: base and prefix length.
    pub subnets: Vec<(Ipv4Addr, u8)>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservedVolume {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// The limits of containers that an engine keeps: without the control groups for one, it leaves that out and goes on.
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of the engine")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Keeps {
    /// Memory.
    pub memory: bool,
    /// Share of processors.
    pub cpus: bool,
    /// Weight of processors.
    pub shares: bool,
    /// Number of processes.
    pub pids: bool,
}

impl Keeps {
    /// Those that it does not keep, as stack.toml names them.
    pub fn dropped(self) -> BTreeSet<String> {
        let all = [
            (self.memory, "memory"),
            (self.memory, "reserve.memory"),
            (self.cpus, "cpus"),
            (self.shares, "reserve.cpus"),
            (self.pids, "pids"),
        ];
        all.into_iter().filter(|(kept, _)| !kept).map(|(_, name)| name.to_owned()).collect()
    }
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservedImage {
    /// ID, `sha256:…`.
    pub id: String,
    /// Digests it is known by in registries.
    pub digests: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the variables it sets.
    pub env: BTreeSet<String>,
}

/// What the engine's host has; unknown where the engine does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Host {
    /// Processors.
    pub cpus: Option<u32>,
    /// Memory.
    pub memory: Option<ByteSize>,
    /// Which limits of containers the engine can keep.
    pub keeps: Keeps,
}

/// The disk that an engine's images and containers are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// What users may still write.
    pub free: ByteSize,
    /// Its size.
    pub total: ByteSize,
}

/// What takes room on an engine and is used by nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reclaimable {
    /// Images without a container.
    pub images: ByteSize,
    /// What builds keep for the next one.
    pub cache: ByteSize,
}

/// An image that was built for a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BuiltImage {
    /// ID, `sha256:…`.
    pub id: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Bytes, layers it shares with others included.
    pub size: u64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}
