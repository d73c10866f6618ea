//! Steps of the front door, and of other programs that read their files again without a new container.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::limit::Limit;
use crate::model::proxy::Proxy;
use crate::model::service::{Preset, RELOADED};
use crate::plan::Inputs;
use crate::plan::place::{Placed, Replica};
use crate::plan::step::{Action, Step};

use crate::model::container::REDIS_RELOAD;

use super::{Draft, below_release, causes, labels};

/// Port of the front door's private listener, inside its container.
pub(super) const PRIVATE_PORT: u16 = 8081;

/// How long the front door may take to start.
pub(super) const DOOR_START: Span = Span::seconds(30);

impl Draft<'_> {
    /// Where a candidate can be asked through the running front door: the candidate, the private listener.
    pub(super) fn gate_address(
        &self,
        placed: &Placed,
        replica: &Replica,
        port: Option<u16>,
    ) -> Option<(SocketAddrV4, SocketAddrV4)> {
        let proxy = self.placement.proxy.as_ref()?;
        if !self.routed(&placed.service) || !self.inputs.observed.engine.local {
            return None;
        }
        let door = proxy.replicas.first().filter(|r| matches!(r.existing, Some((_, true))))?;
        Some((placed.socket_for(proxy, replica, port?)?, proxy.socket(door, PRIVATE_PORT)?))
    }

    /// Flags of the front door that say which generation of a service is live.
    pub(super) fn live_links(&self, which: impl Fn(&Placed) -> bool) -> BTreeMap<String, String> {
        let routed = self.placement.services.iter().filter(|p| self.routed(&p.service) && which(p));
        routed.map(|p| (format!("live/{}.b", p.service), flag(p.bank))).collect()
    }

    /// The front door: started at once where there is none, switched after every gate where there is one.
    pub(super) fn front_door(&mut self, broken: &BTreeMap<ServiceName, Vec<usize>>) {
        let placement = self.placement;
        let Some(placed) = &placement.proxy else { return };
        let Some(replica) = placed.replicas.first() else { return };
        let broken = broken.get(&placed.service).map_or(&[][..], Vec::as_slice);
        match &replica.existing {
            Some((name, true)) => self.change(placed, replica, name),
            Some((name, false)) => self.start_door(placed, replica, name, self.stopped(name), broken),
            None => self.start_door(placed, replica, &replica.create_as, "", broken),
        }
    }

    /// A front door that does not run: made if it is not there, and started, in the place of another if one runs.
    fn start_door(&mut self, placed: &Placed, replica: &Replica, name: &str, cause: &str, broken: &[usize]) {
        let observed = &self.inputs.observed.containers;
        let replaces = observed.iter().any(|c| placed.retired.contains(&c.name) && c.running());
        // It starts at once where nobody is behind it yet; else when everything is ready that it will send requests
        // to.
        let moves = self.placement.services.iter().any(|p| self.routed(&p.service) && p.bank != p.live);
        let gates = if replaces || moves || !cause.is_empty() { self.gates.clone() } else { Vec::new() };
        let mut before_files: Vec<usize> = self.secrets.into_iter().collect();
        if !replaces {
            before_files.extend(&gates);
        }
        let files = self.first_files(placed, before_files, !replaces);
        let mut after = gates.clone();
        after.extend(files);
        let mut cause = cause.to_owned();
        if replica.existing.is_none() {
            cause = self.cause(placed, replica);
            let mut needs = self.needs(placed);
            needs.extend(broken);
            needs.extend(files);
            after.push(self.create_door(placed, replica, &cause, needs));
        }
        if replaces {
            after.extend(self.unmark(placed, &after.clone()));
            after = self.stop_old(placed, &after);
            // While neither runs: the old one cannot reach what the new one sends requests to, nor the other way
            // round, if their networks differ.
            let back = self.links_now(placed);
            let mut links = self.all_links(placed);
            links.retain(|link, to| back.get(link) != Some(to));
            if !links.is_empty() {
                let (volume, service) = (self.reloaded(placed).name, placed.service.clone());
                let action = Action::Switch { volume, service, links, back };
                after.push(self.add(action, "its successor starts with other files", after.clone()));
            }
        }
        let start = self.add(Action::Start { container: name.to_owned() }, cause, after);
        let wait = self.wait_door(placed, replica, name, Some(start));
        self.mark(placed, vec![wait]);
        self.gates.push(wait);
    }

    /// Where the links of the front door's files lead now, as far as that is known.
    fn links_now(&self, placed: &Placed) -> BTreeMap<String, String> {
        let observed = self.inputs.observed;
        let applied = observed.state.as_ref().and_then(|s| s.applied.get(placed.service.as_str()));
        let current = applied.map(|hash| ("current".to_owned(), format!("releases/{hash}")));
        let live = observed.live.iter().map(|(service, bank)| (format!("live/{service}.b"), flag(*bank)));
        current.into_iter().chain(live).collect()
    }

    fn create_door(&mut self, placed: &Placed, replica: &Replica, cause: &str, needs: Vec<usize>) -> usize {
        let mut container = placed.spec.clone();
        container.name.clone_from(&replica.create_as);
        self.inputs.pinned(&placed.spec.image).clone_into(&mut container.image);
        container.hostname = Some(placed.service.to_string());
        container.labels = labels::replica(placed, replica, self.inputs, self.release);
        for attachment in &mut container.networks {
            attachment.address = replica.address(&attachment.network);
        }
        let action = Action::Create { container: Box::new(container), service: placed.service.clone() };
        self.add(action, cause, needs)
    }

    /// The right front door runs: its files may have changed.
    fn change(&mut self, placed: &Placed, replica: &Replica, name: &str) {
        if !self.proven(name) {
            let wait = self.wait_door(placed, replica, name, None);
            self.gates.push(wait);
        }
        if self.applied(placed) {
            self.switch_traffic(placed);
        } else {
            let done = self.reload(placed, name, self.gates.clone());
            self.gates.push(done);
        }
        self.watch(placed, name);
    }

    /// While the old containers are still there: are the new ones as good?
    fn watch(&mut self, proxy: &Placed, door: &str) {
        let placement = self.placement;
        let moving = || placement.services.iter().filter(|p| self.routed(&p.service) && p.bank != p.live);
        let back: BTreeMap<String, String> =
            moving().map(|p| (format!("live/{}.b", p.service), flag(p.live))).collect();
        let mut watches = Vec::new();
        for placed in moving().filter(|p| p.start_first) {
            let Some(service) = self.inputs.stack.services.get(&placed.service) else { continue };
            let Some(port) = service.port else { continue };
            let old = self.addresses_of_old(placed, port);
            if service.deploy.watch.0.is_zero() || old.is_empty() {
                continue;
            }
            watches.push(Action::Watch {
                service: placed.service.clone(),
                door: door.to_owned(),
                new: placed.replicas.iter().filter_map(|r| placed.socket_for(proxy, r, port)).collect(),
                old,
                time: service.deploy.watch,
                volume: self.reloaded(proxy).name,
                back: back.clone(),
                drain: placed.drain,
            });
        }
        let after = self.gates.clone();
        for action in watches {
            let step = self.add(action, "the old ones stay until it is as good", after.clone());
            self.gates.push(step);
        }
    }

    /// One switch for all services whose next generation is ready. No reload: the front door knows both banks.
    fn switch_traffic(&mut self, placed: &Placed) {
        let links = self.live_links(|p| p.bank != p.live);
        if links.is_empty() {
            return;
        }
        let (volume, service) = (self.reloaded(placed).name, placed.service.clone());
        let action = Action::Switch { volume, service, links, back: BTreeMap::new() };
        let step = self.add(action, "everything new is ready", self.gates.clone());
        self.gates.push(step);
    }

    fn wait_door(
        &mut self,
        placed: &Placed,
        replica: &Replica,
        container: &str,
        start: impl IntoIterator<Item = usize>,
    ) -> usize {
        let action = Action::WaitReady {
            container: container.to_owned(),
            service: placed.service.clone(),
            health: Some(crate::model::service::Health {
                ask: crate::model::service::Ask::Tcp,
                body: None,
                interval: Span::seconds(1),
                timeout: Span::seconds(2),
                retries: 3,
                start_period: DOOR_START,
                line: self.inputs.stack.proxy.as_ref().map_or(1, |p| p.line),
            }),
            address: placed.socket(replica, 80),
            hold: None,
            timeout: None,
        };
        self.add(action, "it must accept connections", start.into_iter().collect())
    }

    /// New files beside the old, asked whether they are right, switched, loaded, and marked as loaded.
    pub(super) fn reload(&mut self, placed: &Placed, container: &str, after: Vec<usize>) -> usize {
        let Some((hash, files)) = self.files.get(&placed.service) else { return 0 };
        let write = Action::WriteFiles {
            volume: self.reloaded(placed),
            service: placed.service.clone(),
            files: below_release(hash, files),
            links: BTreeMap::new(),
        };
        let said = causes::of_files(self.inputs, self.files, placed);
        let cause = match self.inputs.observed.edited.get(&self.reloaded(placed).name) {
            Some(files) => causes::edited(files),
            None => causes::of_reload(self.inputs, placed, &said),
        };
        let mut last = self.add(write, cause, self.secrets.into_iter().collect());
        if placed.service.as_str() == super::FRONT_DOOR {
            let test = Action::TestProxy {
                container: container.to_owned(),
                config: format!("{RELOADED}/releases/{hash}/nginx.conf"),
            };
            last = self.add(test, "a wrong one must not be loaded", vec![last]);
        }
        let mut before_switch = after;
        before_switch.push(last);
        before_switch.extend(self.unmark(placed, &before_switch.clone()));
        let mut links = BTreeMap::from([("current".to_owned(), format!("releases/{hash}"))]);
        if placed.service.as_str() == super::FRONT_DOOR {
            // Traffic moves with it: the new files may name services whose flag still leads nowhere.
            links.extend(self.live_links(|p| p.bank != p.live));
        }
        let (volume, service) = (self.reloaded(placed).name, placed.service.clone());
        let switch = Action::Switch { volume, service, links, back: BTreeMap::new() };
        let switch = self.add(switch, "everything behind it is ready", before_switch);
        let door = placed
            .replicas
            .first()
            .filter(|_| placed.service.as_str() == super::FRONT_DOOR && self.inputs.observed.engine.local);
        let reload = Action::Reload {
            container: container.to_owned(),
            service: placed.service.clone(),
            hash: hash.clone(),
            listener: door.and_then(|r| placed.socket(r, PRIVATE_PORT)),
            command: self
                .preset(placed)
                .filter(|p| *p == Preset::Redis)
                .map(|_| ["sh", "-c", REDIS_RELOAD].map(str::to_owned).to_vec()),
        };
        let reload = self.add(reload, "to load the switched files", vec![switch]);
        if placed.service.as_str() == super::FRONT_DOOR {
            self.tell_of_ports(reload);
        }
        self.mark_as(placed, &said, vec![reload]);
        reload
    }

    /// Whether the front door sends requests to another port of the service than the one it has now.
    pub(super) fn port_moves(&self, placed: &Placed) -> bool {
        let loaded = self.inputs.observed.state.as_ref().and_then(|s| s.loaded.get(super::FRONT_DOOR));
        let before = loaded.and_then(|parts| parts.get(&causes::port_of(&placed.service)));
        let now = self.inputs.stack.services.get(&placed.service).and_then(|s| s.port);
        self.routed(&placed.service) && before.is_some_and(|old| now.is_some_and(|port| port.to_string() != *old))
    }

    /// Traffic moves to containers that answer at another port, and the front door knows that port once it has loaded
    /// its files: in between it asks the new address at the old port.
    fn tell_of_ports(&mut self, reload: usize) {
        let placement = self.placement;
        let moving = placement.services.iter().filter(|p| p.bank != p.live && self.port_moves(p));
        let names: Vec<&str> = moving.map(|p| p.service.as_str()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            let what = format!("requests to {names} may be answered with 502 until Nginx knows the new port");
            self.interrupt(reload, what, Some(Span::seconds(1)));
        }
    }

    /// Files of a service that is about to be created.
    pub(super) fn first_files_of_service(&mut self, placed: &Placed) -> Vec<usize> {
        let after = self.secrets.into_iter().collect();
        self.first_files(placed, after, true).into_iter().collect()
    }

    pub(super) fn preset(&self, placed: &Placed) -> Option<Preset> {
        self.inputs.stack.services.get(&placed.service).and_then(|s| s.preset)
    }

    /// A database that runs and reads its files again: before those start that log in to it.
    pub(super) fn reload_database(&mut self, placed: &Placed, after: &[usize]) -> Option<usize> {
        let (name, running) = placed.replicas.first().and_then(|r| r.existing.clone())?;
        let database = matches!(self.preset(placed), Some(Preset::Postgres | Preset::Redis));
        (running && placed.reloads && database && !self.applied(placed))
            .then(|| self.reload(placed, &name, after.to_vec()))
    }

    /// A service that runs and reads its files again (Prometheus), once what the files name is there.
    pub(super) fn reload_service(&mut self, placed: &Placed) {
        let Some((name, _)) = placed.replicas.first().and_then(|r| r.existing.clone()) else { return };
        // A database has done so already, before its users start.
        let database = matches!(self.preset(placed), Some(Preset::Postgres | Preset::Redis));
        if placed.reloads && !database && !self.applied(placed) {
            self.reload(placed, &name, self.gates.clone());
        }
    }
}

/// Where a flag leads: to a file that is there for bank 1, to one that never is for bank 0.
fn flag(bank: u8) -> String {
    if bank == 1 { "on" } else { "off" }.to_owned()
}

/// What the reader should know.
pub(super) fn notes(inputs: &Inputs<'_>, steps: &[Step]) -> Vec<String> {
    let mut out = Vec::new();
    let doors = || inputs.observed.containers.iter().filter(|c| c.service() == super::FRONT_DOOR);
    let replaced = steps
        .iter()
        .any(|s| matches!(&s.action, Action::Stop { container, .. } if doors().any(|door| door.name == *container)));
    let counts = |proxy: &Proxy| proxy.routes.iter().any(|r| r.limit.as_ref().is_some_and(Limit::needs_njs));
    if replaced && inputs.stack.proxy.as_ref().is_some_and(counts) {
        out.push("quotas start anew: they are counted in the memory of Nginx, whose container is replaced".to_owned());
    }
    let reloads = steps
        .iter()
        .any(|s| matches!(&s.action, Action::Reload { service, .. } if service.as_str() == super::FRONT_DOOR));
    if let Some(proxy) = inputs.stack.proxy.as_ref().filter(|_| reloads) {
        let tag = proxy.image.rsplit(':').next().unwrap_or_default();
        let mut numbers = tag.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(99));
        if version < (1, 27, 4) {
            out.push(format!(
                "`{}` drops idle keep-alive connections when it reloads; clients that do not retry lose a request. \
                 Nginx 1.27.4 and later do not.",
                proxy.image
            ));
        }
    }
    out
}
