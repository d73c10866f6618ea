//! Steps of the front door, and of other programs that read their files again without a new container.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::artifact::configuration_of;
use crate::model::parts::Parts;
use crate::model::service::{Preset, RELOADED};
use crate::plan::loaded;
use crate::plan::place::{Placed, Replica};
use crate::plan::step::Action;

use crate::model::container::REDIS_RELOAD;

use super::files::below_release;
use super::{Draft, causes, labels};

/// Port of the front door's private listener, inside its container.
pub(super) const PRIVATE_PORT: u16 = 8081;

/// Why a candidate is asked through the front door.
pub(super) const GATED: &str = "the front door must be able to use it";

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
        current.into_iter().chain(live).chain(self.asset_links_now()).collect()
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
        let ahead = self.loads_ahead();
        if !self.applied(placed) {
            let done = self.reload(placed, name, self.gates.clone(), ahead);
            self.gates.push(done);
        }
        let after = self.gates.clone();
        for action in std::mem::take(&mut self.late) {
            let step = self.add(action, GATED, after.clone());
            self.gates.push(step);
        }
        if ahead || self.applied(placed) {
            self.switch_traffic(placed, ahead);
        }
        self.watch(placed, name);
    }

    /// Whether the front door has to load its files before traffic moves: they say at which port those that come are
    /// to be asked. Those that serve stay where they are asked.
    fn loads_ahead(&self) -> bool {
        let moves = |p: &Placed| p.bank != p.live && self.port_moves(p);
        !self.late.is_empty() || self.placement.services.iter().any(moves)
    }

    /// What the files say that the front door has loaded; nothing where nobody knows.
    pub(super) fn loaded(&self) -> Option<&Parts> {
        let state = self.inputs.observed.state.as_ref()?;
        state.loaded.get(super::FRONT_DOOR).filter(|parts| !parts.is_empty())
    }

    /// Whether the front door's private listener lets a candidate at this port through, by the files that it has loaded.
    /// After a run that ended while it loaded some, nobody knows; where an earlier version did not keep it, asking
    /// tells.
    pub(super) fn door_knows(&self, port: u16) -> bool {
        let said = |parts: &Parts| {
            parts.iter().any(|(name, value)| name.starts_with(causes::PORT_OF) && *value == port.to_string())
        };
        let asked = |parts: &Parts| loaded::sockets(parts).any(|(_, sockets)| sockets.iter().any(|s| s.port() == port));
        let state = self.inputs.observed.state.as_ref();
        let settled = state.is_none_or(|s| s.applied.contains_key(super::FRONT_DOOR));
        settled && self.loaded().is_none_or(|parts| asked(parts) || said(parts))
    }

    /// Whether the front door has a route to a service already, as far as anybody knows.
    fn was_routed(&self, service: &ServiceName) -> bool {
        let about = self.inputs.observed.state.iter().flat_map(|state| &state.about);
        self.loaded().is_none_or(|parts| parts.contains_key(&causes::port_of(service)))
            || about.flat_map(loaded::sockets).any(|((named, _), _)| named == service.as_str())
    }

    /// While the old containers are still there: are the new ones as good?
    fn watch(&mut self, proxy: &Placed, door: &str) {
        let placement = self.placement;
        let moving = || placement.services.iter().filter(|p| self.routed(&p.service) && p.bank != p.live);
        let mut back: BTreeMap<String, String> =
            moving().map(|p| (format!("live/{}.b", p.service), flag(p.live))).collect();
        back.extend(self.asset_links_now());
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

    /// One switch for all services whose next generation is ready. No reload: the front door knows both banks. Where it
    /// has loaded its files ahead, new routes have got their flags with them.
    fn switch_traffic(&mut self, placed: &Placed, ahead: bool) {
        let mut links = self.live_links(|p| p.bank != p.live && (!ahead || self.was_routed(&p.service)));
        links.extend(self.asset_links(false));
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

    /// New files beside the old, asked whether they are right, switched, loaded, and marked as loaded. `ahead`: before
    /// traffic moves, so that all of it can be taken back.
    pub(super) fn reload(&mut self, placed: &Placed, container: &str, after: Vec<usize>, ahead: bool) -> usize {
        let Some((hash, files)) = self.files.get(&placed.service) else { return 0 };
        let write = Action::WriteFiles {
            volume: self.reloaded(placed),
            service: placed.service.clone(),
            files: below_release(hash, files),
            links: BTreeMap::new(),
        };
        let said = causes::of_files(self.inputs, self.placement, self.files, placed);
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
            links.extend(self.live_links(|p| p.bank != p.live && (!ahead || !self.was_routed(&p.service))));
            if !ahead {
                links.extend(self.asset_links(false));
            }
        }
        let mut back = if ahead { self.links_now(placed) } else { BTreeMap::new() };
        back.retain(|link, _| links.contains_key(link));
        let (volume, service) = (self.reloaded(placed).name, placed.service.clone());
        let switch = Action::Switch { volume, service, links, back };
        let renewed = !ahead && self.only_certificate(placed, &said);
        let cause = if ahead {
            "those that come are asked at another port"
        } else if renewed {
            "each handshake looks where it leads: nothing is reloaded"
        } else {
            "everything behind it is ready"
        };
        let switch = self.add(switch, cause, before_switch);
        if renewed {
            let mark = self.mark_as(placed, &said, vec![switch]);
            self.forget_key(placed, &said, mark);
            return switch;
        }
        let door = placed
            .replicas
            .first()
            .filter(|_| placed.service.as_str() == super::FRONT_DOOR && self.inputs.observed.engine.local);
        let reload = Action::Reload {
            container: container.to_owned(),
            service: placed.service.clone(),
            hash: configuration_of(hash).to_owned(),
            listener: door.and_then(|r| placed.socket(r, PRIVATE_PORT)),
            command: self
                .preset(placed)
                .filter(|p| *p == Preset::Redis)
                .map(|_| ["sh", "-c", REDIS_RELOAD].map(str::to_owned).to_vec()),
        };
        let reload = self.add(reload, "to load the switched files", vec![switch]);
        let mark = self.mark_as(placed, &said, vec![reload]);
        if !ahead {
            self.forget_key(placed, &said, mark);
        }
        // Whoever goes on after a killed run must know at which port those are asked that traffic moves to.
        mark.filter(|_| ahead).unwrap_or(reload)
    }

    /// Whether the front door sends requests to another port of the service than the one it has now.
    pub(super) fn port_moves(&self, placed: &Placed) -> bool {
        let said = || self.loaded()?.get(&causes::port_of(&placed.service))?.parse().ok();
        let before = loaded::port_in(&self.known, &placed.service, placed.bank).or_else(said);
        let now = self.inputs.stack.services.get(&placed.service).and_then(|s| s.port);
        before.is_some_and(|old: u16| now.is_some_and(|port| port != old)) && self.routed(&placed.service)
    }

    /// Files of a service that is about to be created.
    pub(super) fn first_files_of_service(&mut self, placed: &Placed) -> Vec<usize> {
        let after = self.secrets.into_iter().collect();
        self.first_files(placed, after, true).into_iter().collect()
    }

    pub(super) fn preset(&self, placed: &Placed) -> Option<Preset> {
        self.inputs.stack.services.get(&placed.service).and_then(|s| s.preset)
    }

    /// A database whose files those that log in to it wait for: others read theirs when all else is there.
    fn reloads_first(&self, placed: &Placed) -> bool {
        placed.reloads && matches!(self.preset(placed), Some(Preset::Postgres | Preset::Redis))
    }

    /// A database that runs and reads its files again: before those start that log in to it.
    pub(super) fn reload_database(&mut self, placed: &Placed, after: &[usize]) -> Option<usize> {
        let (name, running) = placed.replicas.first().and_then(|r| r.existing.clone())?;
        if !running || !self.reloads_first(placed) || self.applied(placed) {
            return None;
        }
        let loaded = self.reload(placed, &name, after.to_vec(), false);
        // All that Redis reads again is who may log in: it was given another password than it has. (`secrets rotate`
        // has it let both in, and has done so before a plan like this one.)
        if self.preset(placed) == Some(Preset::Redis) {
            let what = format!("{} refuses the old password until those who log in have the new one", placed.service);
            self.interrupt(loaded, what, None);
        }
        Some(loaded)
    }

    /// Whether a database that is there and does not run is to start with files that it has not loaded yet.
    pub(super) fn starts_with_files(&self, placed: &Placed) -> bool {
        let stopped = placed.replicas.iter().any(|r| matches!(r.existing, Some((_, false))));
        stopped && self.reloads_first(placed) && !self.applied(placed)
    }

    /// A service that runs and reads its files again (Prometheus), once what the files name is there.
    pub(super) fn reload_service(&mut self, placed: &Placed) {
        let Some((name, _)) = placed.replicas.first().and_then(|r| r.existing.clone()) else { return };
        // A database has done so already, before its users start.
        if placed.reloads && !self.reloads_first(placed) && !self.applied(placed) {
            self.reload(placed, &name, self.gates.clone(), false);
        }
    }
}

/// Where a flag leads: to a file that is there for bank 1, to one that never is for bank 0.
fn flag(bank: u8) -> String {
    if bank == 1 { "on" } else { "off" }.to_owned()
}
