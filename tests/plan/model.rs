//! An engine in memory: does what the real one would do with each step, and refuses what the real one would refuse.
//! Copies are cheap, since thousands are made: what did not change is shared.

mod act;
mod hold;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stackctl::engine::state::{carrier_name, volume_name};
use stackctl::model::artifact::configuration_of;
use stackctl::model::assets;
use stackctl::model::container::{ContainerSpec, EnvValue, label};
use stackctl::model::observed::{
    EngineFacts, Keeps, Observed, ObservedContainer, ObservedImage, ObservedNetwork, ObservedVolume,
};
use stackctl::model::parts::Parts;
use stackctl::model::stack::Stack;
use stackctl::model::state::{Release, State};

/// What a front door knows from its file: by service and bank, where to connect to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Door {
    pub(crate) routes: BTreeMap<String, [Vec<SocketAddrV4>; 2]>,
    /// Ports at which its private listener asks a candidate.
    pub(crate) ports: BTreeSet<u16>,
    /// Limits and all else that makes one file differ from another.
    pub(crate) rest: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) spec: Arc<ContainerSpec>,
    pub(crate) image: String,
    /// `created`, `running`, `exited`.
    pub(crate) state: &'static str,
    /// Somebody has seen it answer since it was started.
    pub(crate) ready: bool,
    pub(crate) networks: BTreeMap<String, Option<Ipv4Addr>>,
    /// Folder of the files it has loaded, for those that read them again.
    pub(crate) loaded: Option<String>,
    /// Fields that somebody has changed: what they are now, `None` for nothing.
    pub(crate) by_hand: BTreeMap<&'static str, Option<&'static str>>,
}

/// Service, hash of the configuration, image.
pub(crate) type Version = (String, String, String);

impl Container {
    pub(crate) fn version(&self) -> Version {
        (self.service().to_owned(), self.label(label::CONFIG).to_owned(), self.image.clone())
    }

    /// The configuration it has loaded. Which certificate that is for, each handshake finds out.
    pub(crate) fn configuration(&self) -> Option<&str> {
        Some(configuration_of(self.loaded.as_deref()?.strip_prefix("releases/")?))
    }

    pub(crate) fn label(&self, name: &str) -> &str {
        self.spec.labels.get(name).map_or("", String::as_str)
    }

    pub(crate) fn service(&self) -> &str {
        self.label(label::SERVICE)
    }

    pub(crate) fn running(&self) -> bool {
        self.state == "running"
    }

    /// The port it listens on; those that say nothing about it have always had the same one.
    fn port(&self) -> Option<u16> {
        match self.spec.env.get("LISTEN") {
            Some(EnvValue::Plain(port)) => port.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn serves_at(&self, sockets: &[SocketAddrV4]) -> bool {
        let at = |socket: &SocketAddrV4| {
            self.port().is_none_or(|p| p == socket.port()) && self.networks.values().any(|a| *a == Some(*socket.ip()))
        };
        self.running() && self.ready && sockets.iter().any(at)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Volume {
    labels: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) links: BTreeMap<String, String>,
}

/// Shared until it changes; two are the same where nobody has written to either since.
#[derive(Debug, Clone)]
pub(crate) struct Shared<T>(pub(crate) Arc<T>);

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How much of a step of several calls is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// The first call and not the last, where there are several; else nothing.
    Half,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) project: String,
    pub(crate) containers: Vec<Arc<Container>>,
    pub(crate) networks: Vec<ObservedNetwork>,
    pub(crate) volumes: BTreeMap<String, Arc<Volume>>,
    /// ID by reference.
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) state: Option<Shared<State>>,
    /// Files that somebody has edited, by volume: the real engine is asked for what is in them.
    pub(crate) edited: BTreeMap<String, BTreeSet<String>>,
    /// Versions whose `pre_deploy` job has ended well.
    jobs: BTreeSet<Version>,
}

type Done = Result<(), String>;

impl World {
    pub(crate) fn new(project: &str) -> Self {
        let foreign = ObservedNetwork {
            id: "net-bridge".into(),
            name: "bridge".into(),
            subnets: vec![(Ipv4Addr::new(172, 17, 0, 0), 16)],
            ..ObservedNetwork::default()
        };
        Self {
            project: project.to_owned(),
            containers: Vec::new(),
            networks: vec![foreign],
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            state: None,
            edited: BTreeMap::new(),
            jobs: BTreeSet::new(),
        }
    }

    /// What `up` does before it plans: the state volume and its key.
    pub(crate) fn ensure_state(&mut self, stack: &Stack) {
        if self.state.is_none() {
            self.state = Some(Shared(Arc::new(State { key: b"key".to_vec(), ..State::default() })));
            let labels = [(label::PROJECT, self.project.as_str()), (label::ROLE, "carrier")];
            let labels: BTreeMap<_, _> = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            self.volumes.insert(volume_name(&stack.project), Arc::new(Volume { labels, ..Volume::default() }));
        }
    }

    /// What `up` does after a run.
    pub(crate) fn record(&mut self, number: u32, result: &str) {
        if let Some(state) = &mut self.state {
            Arc::make_mut(&mut state.0).releases.push(Release {
                number,
                result: result.to_owned(),
                ..Release::default()
            });
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name).map(AsRef::as_ref)
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Container, String> {
        let found = self.containers.iter_mut().find(|c| c.name == name);
        found.map(Arc::make_mut).ok_or_else(|| format!("no such container: {name}"))
    }

    pub(crate) fn observe(&self, stack: &Stack) -> Observed {
        let mut containers: Vec<ObservedContainer> = self
            .containers
            .iter()
            .map(|c| ObservedContainer {
                id: format!("id-{}", c.name),
                name: c.name.clone(),
                labels: c.spec.labels.clone(),
                image_id: c.image.clone(),
                state: c.state.to_owned(),
                status: String::new(),
                networks: c.networks.iter().map(|(n, a)| (n.clone(), a.filter(|_| c.running()))).collect(),
                ports: Vec::new(),
                created: 0,
            })
            .collect();
        if self.state.is_some() {
            let labels = [(label::PROJECT, self.project.as_str()), (label::ROLE, "carrier")];
            containers.push(ObservedContainer {
                id: "carrier".into(),
                name: carrier_name(&stack.project),
                labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
                state: "running".into(),
                ..ObservedContainer::default()
            });
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        let flags = self.volumes.get(&format!("{}_proxy-files", self.project)).map(|v| &v.links);
        let image = |(reference, id): (&String, &String)| {
            (reference.clone(), ObservedImage { id: id.clone(), ..ObservedImage::default() })
        };
        Observed {
            moved: BTreeSet::new(),
            engine: EngineFacts { local: true, ..EngineFacts::default() },
            containers,
            networks: self.networks.clone(),
            volumes: self
                .volumes
                .iter()
                .map(|(name, v)| ObservedVolume { name: name.clone(), labels: v.labels.clone() })
                .collect(),
            images: self.images.iter().map(image).collect(),
            live: flags
                .into_iter()
                .flatten()
                .filter_map(|(link, to)| {
                    let service = link.strip_prefix("live/")?.strip_suffix(".b")?;
                    Some((service.to_owned(), u8::from(to == "on")))
                })
                .collect(),
            assets: assets::read(
                flags.into_iter().flatten().filter_map(|(link, to)| Some((link.strip_prefix("live/")?, to.as_str()))),
            ),
            written_by: BTreeMap::new(),
            fields: self.touched(),
            keeps: Keeps { memory: true, cpus: true, shares: true, pids: true },
            edited: self.edited.clone(),
            state: self.state.as_ref().map(|s| State::clone(&s.0)),
        }
    }

    /// Fields of containers that somebody has touched; the others are as they were made (`engine::fields`).
    fn touched(&self) -> BTreeMap<String, Parts> {
        let touched = self.containers.iter().filter(|c| !c.by_hand.is_empty());
        let fields = |c: &Arc<Container>| {
            let mut fields = c.spec.shown(b"key");
            for (field, value) in &c.by_hand {
                fields.remove(*field);
                fields.extend(value.map(|v| ((*field).to_owned(), v.to_owned())));
            }
            (c.name.clone(), fields)
        };
        touched.map(fields).collect()
    }

    // What people do by hand.

    pub(crate) fn set(&mut self, name: &str, field: &'static str, value: Option<&'static str>) {
        if let Ok(found) = self.find_mut(name) {
            found.by_hand.insert(field, value);
        }
    }

    pub(crate) fn join(&mut self, name: &str, network: &str) {
        if !self.networks.iter().any(|n| n.name == network) {
            self.networks.push(ObservedNetwork {
                id: network.into(),
                name: network.into(),
                ..ObservedNetwork::default()
            });
        }
        if let Ok(found) = self.find_mut(name) {
            found.networks.insert(network.to_owned(), None);
        }
    }

    pub(crate) fn pause(&mut self, name: &str) {
        if let Ok(found) = self.find_mut(name)
            && found.running()
        {
            (found.state, found.ready) = ("paused", false);
        }
    }

    pub(crate) fn rename(&mut self, name: &str, to: &str) {
        if let Ok(found) = self.find_mut(name) {
            to.clone_into(&mut found.name);
        }
    }

    /// A file of a volume; the next look finds it.
    pub(crate) fn edit(&mut self, volume: &str, path: &str, text: &str) {
        self.volume_mut(volume).files.insert(path.to_owned(), text.to_owned());
        let shown = path.rsplit('/').next().unwrap_or(path);
        self.edited.entry(volume.to_owned()).or_default().insert(shown.to_owned());
    }

    pub(crate) fn lose_network(&mut self, name: &str) {
        for container in &mut self.containers {
            Arc::make_mut(container).networks.remove(name);
        }
        self.networks.retain(|n| n.name != name);
    }

    pub(crate) fn stop_by_hand(&mut self, name: &str) {
        if let Ok(found) = self.find_mut(name)
            && found.running()
        {
            (found.state, found.ready, found.loaded) = ("exited", false, None);
        }
    }

    /// A volume that is about to change; made where there is none.
    pub(crate) fn volume_mut(&mut self, name: &str) -> &mut Volume {
        Arc::make_mut(self.volumes.entry(name.to_owned()).or_default())
    }

    pub(crate) fn remove_by_hand(&mut self, name: &str) {
        self.containers.retain(|c| c.name != name);
    }

    /// An image's tag means another image now.
    pub(crate) fn move_tag(&mut self, reference: &str) {
        if let Some(id) = self.images.get_mut(reference) {
            id.push('\'');
        }
    }
}
