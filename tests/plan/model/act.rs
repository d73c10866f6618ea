//! What the engine does with each step: all of it, or what a client that is killed in the middle has asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use stackctl::base::name::SecretName;
use stackctl::base::secret::Secret;
use stackctl::model::artifact::Artifact;
use stackctl::model::assets;
use stackctl::model::container::{ContainerSpec, label};
use stackctl::model::observed::ObservedNetwork;
use stackctl::plan::{Action, Step};

use super::{Container, Done, Extent, World};

/// What an engine sets while a container runs.
const LIMITS: &[&str] = &["memory", "cpus", "pids", "restart"];

impl World {
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
                let there = self.volume_mut(&volume.name);
                if there.labels.is_empty() {
                    there.labels.clone_from(&volume.labels);
                }
                if whole {
                    self.edited.remove(&volume.name);
                    let there = self.volume_mut(&volume.name);
                    there.files.extend(files.iter().map(|f| (f.path.clone(), f.content.expose().to_owned())));
                    there.links.extend(links.clone());
                }
                Ok(())
            }
            Action::CopyFiles { volume, image, key, slot, .. } => {
                let id = self.images.get(image).ok_or_else(|| format!("no such image: {image}"))?.clone();
                let there = self.volume_mut(&volume.name);
                there.labels.clone_from(&volume.labels);
                let folder = assets::folder(key, *slot);
                there.files.retain(|path, _| !path.starts_with(&format!("{folder}/")));
                let said = if whole { id.as_str() } else { assets::COPYING };
                there.links.insert(assets::image_of(key, *slot), said.to_owned());
                if whole {
                    there.files.insert(format!("{folder}/app.css"), id);
                    there.links.insert(format!("live/{key}.next"), assets::target(key, Some(*slot)));
                }
                Ok(())
            }
            Action::DropFiles { volume, folders, links, .. } => {
                let there = self.volume_mut(volume);
                if whole {
                    there.files.retain(|path, _| !folders.iter().any(|f| path.starts_with(&format!("{f}/"))));
                    there.links.extend(links.clone());
                }
                Ok(())
            }
            Action::Switch { volume, links, .. } => {
                let there = self.volumes.get_mut(volume).ok_or_else(|| format!("no such volume: {volume}"))?;
                let there = Arc::make_mut(there);
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
            Action::PostDeploy { container, service, .. } => {
                let config = container.labels.get(label::CONFIG).map(String::as_str);
                let mut own = self
                    .containers
                    .iter()
                    .filter(|c| c.service() == service.as_str() && c.label(label::ROLE) == "service");
                if let Some(old) = own.find(|c| Some(c.label(label::CONFIG)) != config) {
                    return Err(format!("`post_deploy` of {service} runs while {} is there", old.name));
                }
                self.create(container, Extent::Whole)?;
                self.start(&container.name)?;
                if whole {
                    self.containers.retain(|c| c.name != container.name);
                }
                Ok(())
            }
            _ if !whole => Ok(()),
            Action::Pull { image } | Action::Send { image } | Action::Build { image, .. } => {
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
                let there = self.volume_mut(&volume.name);
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
            Action::Gate { container, candidate, listener, .. } => self.gate(container, *candidate, *listener.ip()),
            Action::TestProxy { container, config } => self.test_proxy(container, config),
            Action::Reload { container, hash, .. } => {
                if !self.find_mut(container)?.running() {
                    return Err(format!("{container} is not running"));
                }
                self.load(container)?;
                if self.find(container).and_then(Container::configuration) != Some(hash) {
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
            Action::Update { container, limits } => {
                let found = self.find_mut(container)?;
                if *limits != found.spec.limits() {
                    return Err(format!("{container} gets limits that it was not made with"));
                }
                found.by_hand.retain(|field, _| !LIMITS.contains(field));
                Ok(())
            }
            Action::Disconnect { container, network } => {
                self.find_mut(container)?.networks.remove(network);
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
        let state = Arc::make_mut(&mut self.state.as_mut().ok_or("no state volume")?.0);
        for file in files {
            let text = file.content.expose().to_owned();
            if let Some(service) = file.path.strip_prefix("applied/").and_then(|p| p.strip_suffix(".parts")) {
                state.loaded.insert(service.to_owned(), serde_json::from_str(&text).map_err(|e| e.to_string())?);
            } else if file.path == "applied/proxy.about" {
                let read = || serde_json::from_str(&text).map_err(|e| e.to_string());
                state.about = if text.is_empty() { Vec::new() } else { read()? };
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
        self.containers.push(Arc::new(Container {
            name: spec.name.clone(),
            spec: Arc::new(spec.clone()),
            image,
            state: "created",
            ready: false,
            networks,
            loaded: None,
            by_hand: BTreeMap::new(),
        }));
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
    pub(crate) fn load(&mut self, name: &str) -> Done {
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

    /// Forgets which files a service has loaded.
    pub(crate) fn unmark(&mut self, service: &str) {
        if let Some(state) = &mut self.state {
            Arc::make_mut(&mut state.0).applied.remove(service);
        }
    }

    fn gate(&self, container: &str, asked: SocketAddrV4, listener: Ipv4Addr) -> Done {
        let candidate = self.find(container).ok_or_else(|| format!("no such container: {container}"))?;
        if !candidate.running() {
            return Err(format!("{container} is not running"));
        }
        if !candidate.serves_at(&[asked]) {
            return Err(format!("{container} does not answer at {asked}"));
        }
        if self.loaded().is_none_or(|door| !door.ports.contains(&asked.port())) {
            return Err(format!("the front door lets nobody ask at port {}", asked.port()));
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
}
