//! An engine in memory: does what the real one would do with each step, and refuses what the real one would refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use stackctl::base::name::SecretName;
use stackctl::base::secret::Secret;
use stackctl::engine::state::{carrier_name, volume_name};
use stackctl::model::artifact::Artifact;
use stackctl::model::container::{ContainerSpec, label};
use stackctl::model::observed::{
    EngineFacts, Observed, ObservedContainer, ObservedImage, ObservedNetwork, ObservedVolume,
};
use stackctl::model::stack::Stack;
use stackctl::model::state::{Release, State};
use stackctl::plan::{Action, Step};

/// What a front door knows from its file: by service and bank, where to connect to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Door {
    pub(crate) routes: BTreeMap<String, [Vec<Ipv4Addr>; 2]>,
    /// Limits and all else that makes one file differ from another.
    pub(crate) rest: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) spec: ContainerSpec,
    pub(crate) image: String,
    /// `created`, `running`, `exited`.
    pub(crate) state: &'static str,
    /// Somebody has seen it answer since it was started.
    pub(crate) ready: bool,
    pub(crate) networks: BTreeMap<String, Option<Ipv4Addr>>,
    /// Folder of the files it has loaded, for those that read them again.
    pub(crate) loaded: Option<String>,
}

impl Container {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.spec.labels.get(name).map_or("", String::as_str)
    }

    pub(crate) fn service(&self) -> &str {
        self.label(label::SERVICE)
    }

    pub(crate) fn running(&self) -> bool {
        self.state == "running"
    }

    fn serves_at(&self, addresses: &[Ipv4Addr]) -> bool {
        self.running() && self.ready && self.networks.values().flatten().any(|a| addresses.contains(a))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    labels: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) links: BTreeMap<String, String>,
}

/// How much of a step of several calls is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// The first call and not the last, where there are several; else nothing.
    Half,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    project: String,
    pub(crate) containers: Vec<Container>,
    pub(crate) networks: Vec<ObservedNetwork>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    /// ID by reference.
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) state: Option<State>,
    /// Configurations whose `pre_deploy` job has ended well: service, hash, image.
    jobs: BTreeSet<(String, String, String)>,
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
            jobs: BTreeSet::new(),
        }
    }

    /// What `up` does before it plans: the state volume and its key.
    pub(crate) fn ensure_state(&mut self, stack: &Stack) {
        if self.state.is_none() {
            self.state = Some(State { key: b"key".to_vec(), ..State::default() });
            let labels = [(label::PROJECT, self.project.as_str()), (label::ROLE, "carrier")];
            let labels: BTreeMap<_, _> = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            self.volumes.insert(volume_name(&stack.project), Volume { labels, ..Volume::default() });
        }
    }

    /// What `up` does after a run.
    pub(crate) fn record(&mut self, number: u32, result: &str) {
        if let Some(state) = &mut self.state {
            state.releases.push(Release { number, result: result.to_owned(), ..Release::default() });
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Container, String> {
        self.containers.iter_mut().find(|c| c.name == name).ok_or_else(|| format!("no such container: {name}"))
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
            state: self.state.clone(),
        }
    }

    /// Does a step. `Half` stands for a client that was killed in the middle of it.
    #[expect(clippy::too_many_lines, reason = "one arm an action")]
    pub(crate) fn apply(&mut self, step: &Step, extent: Extent) -> Done {
        let whole = extent == Extent::Whole;
        match &step.action {
            Action::WriteState { files, .. } => {
                let count = if whole { files.len() } else { files.len() / 2 };
                self.write_state(&files[..count])
            }
            Action::WriteFiles { volume, files, links, .. } => {
                let there = self.volumes.entry(volume.name.clone()).or_default();
                if there.labels.is_empty() {
                    there.labels.clone_from(&volume.labels);
                }
                if whole {
                    there.files.extend(files.iter().map(|f| (f.path.clone(), f.content.expose().to_owned())));
                    there.links.extend(links.clone());
                }
                Ok(())
            }
            Action::Switch { volume, links, .. } => {
                let there = self.volumes.get_mut(volume).ok_or_else(|| format!("no such volume: {volume}"))?;
                if whole {
                    there.links.extend(links.clone());
                } else if let Some(first) = links.keys().next() {
                    // An archive replaces a link by taking it away first.
                    there.links.remove(first);
                }
                Ok(())
            }
            Action::Create { container, .. } => self.create(container, extent),
            Action::RunJob { container, service, .. } => {
                self.create(container, Extent::Whole)?;
                self.start(&container.name)?;
                if whole {
                    let image = self.find_mut(&container.name)?.image.clone();
                    let config = container.labels.get(label::CONFIG).cloned().unwrap_or_default();
                    self.jobs.insert((service.to_string(), config, image));
                    self.containers.retain(|c| c.name != container.name);
                }
                Ok(())
            }
            _ if !whole => Ok(()),
            Action::Pull { image } | Action::Build { image, .. } => {
                self.images.insert(image.clone(), format!("sha256:{image}"));
                Ok(())
            }
            Action::CreateNetwork { network } => {
                if self.networks.iter().any(|n| n.name == network.name) {
                    return Err(format!("network {} exists", network.name));
                }
                self.networks.push(ObservedNetwork {
                    id: format!("net-{}", network.name),
                    name: network.name.clone(),
                    labels: network.labels.clone(),
                    internal: network.internal,
                    subnets: vec![(network.subnet.host(0), 24)],
                });
                Ok(())
            }
            Action::CreateVolume { volume } => {
                let there = self.volumes.entry(volume.name.clone()).or_default();
                there.labels.clone_from(&volume.labels);
                Ok(())
            }
            Action::Reach { .. } => Ok(()),
            Action::Start { container } => self.start(container),
            Action::WaitReady { container, .. } => {
                let found = self.find_mut(container)?;
                if !found.running() {
                    return Err(format!("{container} is not running: it never gets ready"));
                }
                found.ready = true;
                Ok(())
            }
            Action::Gate { container, listener, .. } => self.gate(container, *listener.ip()),
            Action::TestProxy { container, config } => self.test_proxy(container, config),
            Action::Reload { container, hash, .. } => {
                if !self.find_mut(container)?.running() {
                    return Err(format!("{container} is not running"));
                }
                self.load(container)?;
                if self.find(container).and_then(|c| c.loaded.clone()) != Some(format!("releases/{hash}")) {
                    return Err(format!("{container} does not serve by {hash}"));
                }
                Ok(())
            }
            Action::Drain { door, .. } | Action::Watch { door, .. } => match self.find(door) {
                Some(found) if found.running() => Ok(()),
                _ => Err(format!("{door} is not running")),
            },
            Action::Stop { container, .. } => {
                if let Ok(found) = self.find_mut(container)
                    && found.running()
                {
                    (found.state, found.ready, found.loaded) = ("exited", false, None);
                }
                Ok(())
            }
            Action::Remove { container } => {
                if *container == format!("{}-stackctl", self.project) {
                    return Ok(());
                }
                self.containers.retain(|c| c.name != *container);
                Ok(())
            }
            Action::Rename { container, to } => {
                if self.find(to).is_some() {
                    return Err(format!("the name {to} is taken"));
                }
                let found = self.find_mut(container)?;
                found.name.clone_from(to);
                Ok(())
            }
            Action::RemoveNetwork { network } => self.remove_network(network),
            Action::RemoveVolume { volume } => {
                let user = self.containers.iter().find(|c| c.spec.mounts.iter().any(|m| m.volume == *volume));
                if let Some(user) = user {
                    return Err(format!("volume {volume} is in use by {}", user.name));
                }
                self.volumes.remove(volume);
                if volume.ends_with("_stackctl") {
                    self.state = None;
                }
                Ok(())
            }
        }
    }

    fn write_state(&mut self, files: &[Artifact]) -> Done {
        let state = self.state.as_mut().ok_or("no state volume")?;
        for file in files {
            let text = file.content.expose().to_owned();
            if let Some(service) = file.path.strip_prefix("applied/").and_then(|p| p.strip_suffix(".parts")) {
                state.loaded.insert(service.to_owned(), serde_json::from_str(&text).map_err(|e| e.to_string())?);
            } else if let Some(service) = file.path.strip_prefix("applied/") {
                state.applied.remove(service);
                if !text.is_empty() {
                    state.applied.insert(service.to_owned(), text);
                }
            } else if let Some(name) = file.path.strip_prefix("secrets/").and_then(SecretName::parse) {
                state.secrets.insert(name, Secret::new(text));
            } else {
                return Err(format!("{} is no file of the state", file.path));
            }
        }
        Ok(())
    }

    fn create(&mut self, spec: &ContainerSpec, extent: Extent) -> Done {
        if self.find(&spec.name).is_some() {
            return Err(format!("the name {} is taken", spec.name));
        }
        let image = self.images.get(&spec.image).ok_or_else(|| format!("no such image: {}", spec.image))?.clone();
        for mount in &spec.mounts {
            if !self.volumes.contains_key(&mount.volume) {
                return Err(format!("{} mounts {}, which is not there", spec.name, mount.volume));
            }
        }
        let joined = if extent == Extent::Whole { spec.networks.len() } else { 1 };
        let mut networks = BTreeMap::new();
        for attachment in spec.networks.iter().take(joined) {
            if !self.networks.iter().any(|n| n.name == attachment.network) {
                return Err(format!("no such network: {}", attachment.network));
            }
            networks.insert(attachment.network.clone(), attachment.address);
        }
        self.containers.push(Container {
            name: spec.name.clone(),
            spec: spec.clone(),
            image,
            state: "created",
            ready: false,
            networks,
            loaded: None,
        });
        Ok(())
    }

    pub(crate) fn start(&mut self, name: &str) -> Done {
        let container = self.find(name).ok_or_else(|| format!("no such container: {name}"))?.clone();
        if container.running() {
            return Ok(());
        }
        for other in self.containers.iter().filter(|c| c.running()) {
            for (network, address) in &container.networks {
                if address.is_some() && other.networks.get(network) == Some(address) {
                    return Err(format!("{name}: address {address:?} is in use by {}", other.name));
                }
            }
            for port in &container.spec.ports {
                if other.spec.ports.iter().any(|p| p.host_port == port.host_port) {
                    return Err(format!("{name}: port {} is in use by {}", port.host_port, other.name));
                }
            }
            let data = |c: &Container| -> BTreeSet<String> {
                let writable = c.spec.mounts.iter().filter(|m| !m.read_only && m.volume.ends_with("-data"));
                writable.map(|m| m.volume.clone()).collect()
            };
            if data(&container).intersection(&data(other)).next().is_some() {
                return Err(format!("{name} and {} would write to the same volume", other.name));
            }
        }
        for mount in container.spec.mounts.iter().filter(|m| m.read_only) {
            if self.volumes.get(&mount.volume).is_none_or(|v| v.files.is_empty()) {
                return Err(format!("{name} starts without its files in {}", mount.volume));
            }
        }
        let found = self.find_mut(name)?;
        found.state = "running";
        self.load(name)
    }

    /// Follows `current`, as programs do that read their files at the start and when told.
    fn load(&mut self, name: &str) -> Done {
        let container = self.find(name).ok_or("gone")?;
        let reloaded = format!("{}_{}-files", self.project, container.service());
        if !container.spec.mounts.iter().any(|m| m.volume == reloaded) {
            return Ok(());
        }
        let volume = self.volumes.get(&reloaded).ok_or("no files volume")?;
        let current = volume.links.get("current").ok_or_else(|| format!("{name}: `current` leads nowhere"))?.clone();
        if !volume.files.keys().any(|f| f.starts_with(&format!("{current}/"))) {
            return Err(format!("{name}: {current} is empty"));
        }
        self.find_mut(name)?.loaded = Some(current);
        Ok(())
    }

    fn gate(&self, container: &str, listener: Ipv4Addr) -> Done {
        let candidate = self.find(container).ok_or_else(|| format!("no such container: {container}"))?;
        if !candidate.running() {
            return Err(format!("{container} is not running"));
        }
        match self.door() {
            Some(door) if door.networks.values().flatten().any(|a| *a == listener) => Ok(()),
            _ => Err(format!("no front door listens at {listener}")),
        }
    }

    fn test_proxy(&self, container: &str, config: &str) -> Done {
        if !self.find(container).is_some_and(Container::running) {
            return Err(format!("{container} is not running"));
        }
        let path = config.trim_start_matches("/run/stackctl/");
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project)).ok_or("no files")?;
        volume.files.get(path).map(drop).ok_or_else(|| format!("{path} is not there"))
    }

    fn remove_network(&mut self, name: &str) -> Done {
        // A stopped container keeps its place only in its own settings.
        let user = self.containers.iter().find(|c| c.running() && c.networks.contains_key(name));
        if let Some(user) = user {
            return Err(format!("network {name} has {}", user.name));
        }
        self.networks.retain(|n| n.name != name);
        Ok(())
    }

    // What people do by hand.

    pub(crate) fn lose_network(&mut self, name: &str) {
        for container in &mut self.containers {
            container.networks.remove(name);
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

    pub(crate) fn remove_by_hand(&mut self, name: &str) {
        self.containers.retain(|c| c.name != name);
    }

    /// An image's tag means another image now.
    pub(crate) fn move_tag(&mut self, reference: &str) {
        if let Some(id) = self.images.get_mut(reference) {
            id.push('\'');
        }
    }

    // What holds.

    pub(crate) fn door(&self) -> Option<&Container> {
        self.containers.iter().find(|c| c.service() == "proxy" && c.running())
    }

    /// What the running front door has loaded.
    pub(crate) fn loaded(&self) -> Option<Door> {
        let folder = self.door()?.loaded.as_ref()?;
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project))?;
        serde_json::from_str(volume.files.get(&format!("{folder}/nginx.conf"))?).ok()
    }

    pub(crate) fn flag(&self, service: &str) -> u8 {
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project));
        let link = volume.and_then(|v| v.links.get(&format!("live/{service}.b")));
        u8::from(link.is_some_and(|l| l == "on"))
    }

    /// Routed services that the front door finds nobody for; `proxy` alone if there is no front door.
    pub(crate) fn unserved(&self) -> BTreeSet<String> {
        let Some(door) = self.loaded().filter(|_| self.door().is_some_and(|d| d.ready)) else {
            return BTreeSet::from(["proxy".to_owned()]);
        };
        door.routes
            .iter()
            .filter(|(service, banks)| {
                let addresses = &banks[usize::from(self.flag(service))];
                !self.containers.iter().any(|c| c.service() == **service && c.serves_at(addresses))
            })
            .map(|(service, _)| service.clone())
            .collect()
    }

    /// Addresses that somebody has, running or not: kept for them.
    pub(crate) fn kept(&self) -> BTreeSet<Ipv4Addr> {
        self.containers.iter().flat_map(|c| c.networks.values().flatten()).copied().collect()
    }

    /// Somebody else's container at an address the front door takes for a service's. Only among `kept` addresses:
    /// when somebody removes a container by hand, its address is free, and nothing says that the front door still
    /// has it.
    pub(crate) fn misrouted(&self, kept: &BTreeSet<Ipv4Addr>) -> Option<String> {
        let door = self.loaded()?;
        for (service, banks) in &door.routes {
            for container in self.containers.iter().filter(|c| c.running() && c.service() != service) {
                let known = &banks[usize::from(self.flag(service))];
                if container.networks.values().flatten().any(|a| kept.contains(a) && known.contains(a)) {
                    return Some(format!("requests for {service} reach {}", container.name));
                }
            }
        }
        None
    }

    /// Addresses that two running containers have.
    pub(crate) fn doubled(&self) -> Option<String> {
        let mut seen: BTreeMap<(&String, Ipv4Addr), &str> = BTreeMap::new();
        for container in self.containers.iter().filter(|c| c.running()) {
            for (network, address) in &container.networks {
                if let Some(other) = address.and_then(|a| seen.insert((network, a), &container.name)) {
                    return Some(format!("{other} and {} share {address:?}", container.name));
                }
            }
        }
        None
    }

    /// Whether the job of a configuration has run.
    pub(crate) fn job_ran(&self, container: &Container) -> bool {
        let key = (container.service().to_owned(), container.label(label::CONFIG).to_owned(), container.image.clone());
        self.jobs.contains(&key)
    }

    pub(crate) fn data_volumes(&self) -> BTreeSet<String> {
        let data = self.volumes.iter().filter(|(_, v)| v.labels.get(label::ROLE).is_some_and(|r| r == "data"));
        data.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn files_volumes(&self) -> BTreeSet<String> {
        let files = self.volumes.iter().filter(|(_, v)| v.labels.get(label::ROLE).is_some_and(|r| r == "files"));
        files.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn our_networks(&self) -> BTreeSet<String> {
        let ours = self.networks.iter().filter(|n| n.labels.get(label::PROJECT).is_some_and(|p| *p == self.project));
        ours.map(|n| n.name.clone()).collect()
    }
}
