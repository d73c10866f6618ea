//! An engine in memory, whole enough for the real program: what it has (`World`), what each call does to it (`calls`,
//! `volumes`, `networks`, `images`), and a socket that speaks as engines do, with faults where a test wants them (`wire`).
//! Containers answer on their addresses (`town`), so that health checks, gates and the front door's private listener are
//! asked for real.
//!
//! The model of `tests/plan` does whole steps; this one is asked call by call.

mod calls;
mod images;
mod networks;
mod town;
mod volumes;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;

pub(crate) use wire::{Fault, Refusal, Seen, Wire};

/// What a front door makes of its configuration.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The name of its files.
    hash: String,
    /// Addresses of each bank of each service, stand-ins left out.
    upstreams: BTreeMap<String, BTreeMap<char, Vec<Ipv4Addr>>>,
}

/// A file of a volume.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum File {
    Text { content: Vec<u8>, mode: u32, uid: u64, changed: u64 },
    Link(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    /// As it was asked for.
    pub(crate) body: Value,
    /// `created`, `running`, `exited`.
    pub(crate) state: &'static str,
    pub(crate) networks: BTreeMap<String, Option<Ipv4Addr>>,
    /// The configuration that a front door has read.
    pub(crate) loaded: Option<Arc<Loaded>>,
}

impl Container {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.body["Labels"][name].as_str().unwrap_or_default()
    }

    pub(crate) fn service(&self) -> &str {
        self.label("stackctl.service")
    }

    pub(crate) fn running(&self) -> bool {
        self.state == "running"
    }

    /// Volume and target of each mount.
    fn mounts(&self) -> impl Iterator<Item = (&str, &str)> {
        let mounts = self.body["HostConfig"]["Mounts"].as_array().into_iter().flatten();
        mounts.filter(|m| m["Type"] == "volume").filter_map(|m| Some((m["Source"].as_str()?, m["Target"].as_str()?)))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    pub(crate) labels: Value,
    pub(crate) files: BTreeMap<String, File>,
}

/// All that an engine has.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) containers: Vec<Container>,
    /// As they were asked for, by name.
    pub(crate) networks: BTreeMap<String, Value>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    /// ID by reference.
    pub(crate) images: BTreeMap<String, String>,
    /// Commands: container and words.
    pub(crate) execs: BTreeMap<String, (String, Vec<String>)>,
    pub(crate) next: u32,
    /// Files that were away for a moment while somebody had them.
    pub(crate) gaps: BTreeSet<String>,
}

impl World {
    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.id == name || c.name == name)
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|c| c.id == name || c.name == name)
    }

    /// What is left when a client's connections are gone: its lock and its helpers end.
    pub(crate) fn without_client(mut self) -> Self {
        self.containers.retain(|c| !(c.body["StdinOnce"] == true && c.running()));
        self.execs.clear();
        self
    }

    /// All that makes a difference to the next run: no numbers, no times, nothing of the history.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut containers: Vec<_> = self.containers.iter().collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        for c in containers {
            let mut body = c.body.clone();
            for told in ["stackctl.since", "stackctl.release"] {
                if let Some(labels) = body["Labels"].as_object_mut() {
                    labels.remove(told);
                }
            }
            let order: BTreeMap<String, Value> = serde_json::from_value(body).unwrap();
            format!("{} {order:?} {} {:?} {:?}", c.name, c.state, c.networks, c.loaded.is_some()).hash(&mut hasher);
        }
        format!("{:?} {:?}", self.networks, self.images).hash(&mut hasher);
        for (name, volume) in &self.volumes {
            name.hash(&mut hasher);
            for (path, file) in &volume.files {
                if path.starts_with("history/") || path.ends_with("releases.json") {
                    continue;
                }
                path.hash(&mut hasher);
                match file {
                    File::Text { content, .. } => content.hash(&mut hasher),
                    File::Link(to) => to.hash(&mut hasher),
                }
            }
        }
        hasher.finish()
    }

    /// The project's containers that are there for good: services, with the image that each runs.
    pub(crate) fn services(&self) -> BTreeMap<String, String> {
        let ours = self.containers.iter().filter(|c| c.label("stackctl.role") == "service" && c.running());
        ours.map(|c| (c.name.clone(), c.body["Image"].as_str().unwrap_or_default().to_owned())).collect()
    }

    /// Containers of ours that only runs need: none may be left.
    pub(crate) fn helpers(&self) -> Vec<&str> {
        let helper = |c: &&Container| ["lock", "files", "relay", "job"].contains(&c.label("stackctl.role"));
        self.containers.iter().filter(helper).map(|c| c.name.as_str()).collect()
    }

    /// Routed services that a visitor gets no answer from; `proxy` where there is no front door.
    pub(crate) fn unserved(&self) -> BTreeSet<String> {
        let door = self.containers.iter().find(|c| c.service() == "proxy" && c.running() && c.loaded.is_some());
        let Some(door) = door else { return BTreeSet::from(["proxy".to_owned()]) };
        let mut out = BTreeSet::new();
        for (service, banks) in door.loaded.iter().flat_map(|loaded| &loaded.upstreams) {
            let live = self.flag(door, service);
            let there = |address: &Ipv4Addr| {
                self.containers.iter().any(|c| c.running() && c.networks.values().flatten().any(|a| a == address))
            };
            if !banks.get(&live).into_iter().flatten().any(there) {
                out.insert(service.clone());
            }
        }
        out
    }

    fn flag(&self, door: &Container, service: &str) -> char {
        let flag = format!("live/{service}.b");
        let on = door.mounts().any(|(volume, _)| {
            let files = self.volumes.get(volume).map(|v| &v.files);
            files.and_then(|f| f.get(&flag)).is_some_and(|file| *file == File::Link("on".to_owned()))
        });
        if on { 'b' } else { 'a' }
    }

    /// What the front door reads when it starts or is told to read again.
    fn configuration(&self, container: &Container) -> Option<Arc<Loaded>> {
        container.mounts().find_map(|(volume, _)| {
            let files = &self.volumes.get(volume)?.files;
            let File::Link(folder) = files.get("current")? else { return None };
            let File::Text { content, .. } = files.get(&format!("{folder}/nginx.conf"))? else { return None };
            let text = String::from_utf8_lossy(content);
            let after = text.split_once("location = /stackctl/release {").map_or("", |(_, rest)| rest);
            let hash = after.split_once("return 200 ").and_then(|(_, rest)| rest.split_once(';'));
            let hash = hash.map_or("", |(hash, _)| hash).trim_matches('"').to_owned();
            Some(Arc::new(Loaded { hash, upstreams: upstreams(&text) }))
        })
    }
}

/// Addresses of each bank of each service, stand-ins left out.
fn upstreams(configuration: &str) -> BTreeMap<String, BTreeMap<char, Vec<Ipv4Addr>>> {
    let mut out: BTreeMap<String, BTreeMap<char, Vec<Ipv4Addr>>> = BTreeMap::new();
    let mut at = None;
    for line in configuration.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("upstream ").and_then(|l| l.strip_suffix(" {")) {
            let (service, bank) = name.rsplit_once('_').unwrap_or((name, "a"));
            at = Some((service.to_owned(), bank.chars().next().unwrap_or('a')));
        } else if line == "}" {
            at = None;
        } else if let (Some((service, bank)), Some(server)) = (&at, line.strip_prefix("server "))
            && !line.contains(" backup")
            && let Some(address) = server.split(':').next().and_then(|a| a.parse().ok())
        {
            out.entry(service.clone()).or_default().entry(*bank).or_default().push(address);
        }
    }
    out
}
