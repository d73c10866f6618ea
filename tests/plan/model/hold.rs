//! What is asked of the model: whom visitors reach, who has which address, what is left.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;

use stackctl::model::container::label;

use super::{Container, Door, Version, World};

thread_local! {
    /// The same few files are looked at after every step.
    static READ: RefCell<BTreeMap<String, Rc<Door>>> = const { RefCell::new(BTreeMap::new()) };
}

impl World {
    pub(crate) fn door(&self) -> Option<&Container> {
        self.containers.iter().map(AsRef::as_ref).find(|c| c.service() == "proxy" && c.running())
    }

    /// What the running front door has loaded.
    pub(crate) fn loaded(&self) -> Option<Rc<Door>> {
        let folder = self.door()?.loaded.as_ref()?;
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project))?;
        let text = volume.files.get(&format!("{folder}/nginx.conf"))?;
        if let Some(known) = READ.with_borrow(|read| read.get(text).cloned()) {
            return Some(known);
        }
        let door: Rc<Door> = Rc::new(serde_json::from_str(text).ok()?);
        READ.with_borrow_mut(|read| read.insert(text.clone(), Rc::clone(&door)));
        Some(door)
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

    fn links(&self) -> impl Iterator<Item = (&str, &str)> {
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project));
        volume.into_iter().flat_map(|v| v.links.iter().map(|(link, to)| (link.as_str(), to.as_str())))
    }

    /// Which image's files a link of a folder leads to.
    pub(crate) fn files_at(&self, key: &str, name: &str) -> Option<&str> {
        let (_, to) = self.links().find(|(link, _)| *link == format!("live/{key}.{name}"))?;
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project))?;
        volume.files.get(&format!("{}/app.css", to.strip_prefix("../")?)).map(String::as_str)
    }

    /// Folders of which there are files.
    pub(crate) fn served_files(&self) -> BTreeSet<String> {
        let keys = self.links().filter_map(|(link, _)| link.strip_prefix("live/")?.strip_suffix(".current"));
        let keys: BTreeSet<String> = keys.map(str::to_owned).collect();
        keys.into_iter().filter(|key| self.has_files_of_live(key)).collect()
    }

    /// Whether visitors get the files of the image of everybody who answers.
    pub(crate) fn has_files_of_live(&self, key: &str) -> bool {
        let there: Vec<&str> =
            ["current", "next", "before"].iter().filter_map(|name| self.files_at(key, name)).collect();
        let service = key.split('.').next().unwrap_or_default();
        let door = self.loaded();
        let banks = door.as_ref().and_then(|door| door.routes.get(service));
        let addresses = banks.map(|banks| &banks[usize::from(self.flag(service))]);
        let mut live = self.containers.iter().filter(|c| c.service() == service);
        !there.is_empty()
            && live.all(|c| addresses.is_none_or(|a| !c.serves_at(a)) || there.contains(&c.image.as_str()))
    }

    /// All copies of folders.
    pub(crate) fn kept_files(&self) -> BTreeSet<&str> {
        let volume = self.volumes.get(&format!("{}_proxy-files", self.project));
        let files = volume.into_iter().flat_map(|v| v.files.keys());
        files.filter_map(|path| path.strip_prefix("assets/")?.split('/').next()).collect()
    }

    /// What a service's image is: as its name says, or as what runs by it does.
    pub(crate) fn image_of(&self, reference: &str, service: &str) -> Option<&str> {
        let runs = || self.containers.iter().find(|c| c.service() == service).map(|c| c.image.as_str());
        self.images.get(reference).map(String::as_str).or_else(runs)
    }

    /// Addresses that are kept for whoever has them: by containers, running or not, and by the files that the front door
    /// has loaded.
    pub(crate) fn kept(&self) -> BTreeSet<Ipv4Addr> {
        let door = self.loaded();
        let known = door.iter().flat_map(|door| door.routes.values().flatten().flatten()).map(|socket| *socket.ip());
        self.containers.iter().flat_map(|c| c.networks.values().flatten()).copied().chain(known).collect()
    }

    /// Somebody else's container at an address the front door takes for a service's, among those that were kept.
    pub(crate) fn misrouted(&self, kept: &BTreeSet<Ipv4Addr>) -> Option<String> {
        let door = self.loaded()?;
        for (service, banks) in &door.routes {
            for container in self.containers.iter().filter(|c| c.running() && c.service() != service) {
                let live = &banks[usize::from(self.flag(service))];
                let known = |address: &Ipv4Addr| live.iter().any(|socket| socket.ip() == address);
                if container.networks.values().flatten().any(|a| kept.contains(a) && known(a)) {
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
        self.jobs.contains(&container.version())
    }

    /// Versions that somebody has started.
    pub(crate) fn started(&self) -> BTreeSet<Version> {
        self.containers.iter().filter(|c| c.state != "created").map(|c| c.version()).collect()
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
