//! Steps of the front door, and of other programs that read their files again without a new container.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::plan::Inputs;
use crate::plan::place::{Placed, Replica};
use crate::plan::spec::RELOADED;
use crate::plan::step::{Action, Step};

use super::{Draft, below_release, labels};

/// Port of the front door's private listener, inside its container.
pub(super) const PRIVATE_PORT: u16 = 8081;

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

    /// Flags of the front door that say which generation of a service is live: a link to a file that is there for
    /// bank 1, to one that never is for bank 0.
    pub(super) fn live_links(&self, which: impl Fn(&Placed) -> bool) -> BTreeMap<String, String> {
        let routed = self.placement.services.iter().filter(|p| self.routed(&p.service) && which(p));
        routed.map(|p| (format!("live/{}.b", p.service), if p.bank == 1 { "on" } else { "off" }.to_owned())).collect()
    }

    /// The front door: started at once where there is none, switched after every gate where there is one.
    pub(super) fn front_door(&mut self, broken: &BTreeMap<ServiceName, Vec<usize>>) {
        let placement = self.placement;
        let Some(placed) = &placement.proxy else { return };
        let Some(replica) = placed.replicas.first() else { return };
        if let Some((name, running)) = &replica.existing {
            self.change(placed, replica, name, *running);
        } else {
            self.new_door(placed, replica, broken.get(&placed.service).map_or(&[], Vec::as_slice));
        }
    }

    fn new_door(&mut self, placed: &Placed, replica: &Replica, broken: &[usize]) {
        let mut needs = self.needs(placed);
        needs.extend(broken);
        // Where one is running, its successor only takes over when everything behind it is ready.
        let replaced = !placed.retired.is_empty();
        let gates = if replaced { self.gates.clone() } else { Vec::new() };
        let mut before_files = self.secrets.into_iter().collect::<Vec<_>>();
        before_files.extend(&gates);
        needs.extend(self.first_files(placed, before_files));
        let mut container = placed.spec.clone();
        container.name.clone_from(&replica.create_as);
        container.hostname = Some(placed.service.to_string());
        container.labels = labels::replica(placed, replica, self.inputs, self.release);
        for attachment in &mut container.networks {
            attachment.address = replica.address(&attachment.network);
        }
        let cause = if replaced { "its configuration or image changed" } else { "new in the stack" };
        let action = Action::Create { container: Box::new(container), service: placed.service.clone() };
        let create = self.add(action, cause, needs);
        let mut after = vec![create];
        after.extend(gates);
        let after = self.stop_old(placed, &after);
        let start = self.add(Action::Start { container: replica.create_as.clone() }, cause, after);
        let wait = self.wait_door(placed, replica, &replica.create_as, start);
        self.mark(placed, vec![wait]);
        self.gates.push(wait);
    }

    /// The proxy runs (or is only stopped) with the right container: its files may have changed.
    fn change(&mut self, placed: &Placed, replica: &Replica, name: &str, running: bool) {
        if running {
            if !self.applied(placed) {
                let done = self.reload(placed, name, self.gates.clone());
                self.gates.push(done);
            }
            self.switch_traffic(placed);
            return;
        }
        let files = if self.applied(placed) { None } else { self.first_files(placed, self.gates.clone()) };
        let mut after = self.gates.clone();
        after.extend(files);
        let start = self.add(Action::Start { container: name.to_owned() }, "it is stopped", after);
        let wait = self.wait_door(placed, replica, name, start);
        if files.is_some() {
            self.mark(placed, vec![wait]);
        }
        self.gates.push(wait);
    }

    /// One switch for all services whose next generation is ready. No reload: the front door knows both banks.
    fn switch_traffic(&mut self, placed: &Placed) {
        let links = self.live_links(|p| p.bank != p.live);
        if links.is_empty() {
            return;
        }
        let action = Action::Switch { volume: self.reloaded(placed).name, service: placed.service.clone(), links };
        let step = self.add(action, "everything new is ready", self.gates.clone());
        self.gates.push(step);
    }

    fn wait_door(&mut self, placed: &Placed, replica: &Replica, container: &str, start: usize) -> usize {
        let action = Action::WaitReady {
            container: container.to_owned(),
            service: placed.service.clone(),
            health: Some(crate::model::service::Health {
                ask: crate::model::service::Ask::Tcp,
                interval: crate::base::units::Span::seconds(1),
                timeout: crate::base::units::Span::seconds(2),
                retries: 3,
                start_period: crate::base::units::Span::seconds(30),
                line: self.inputs.stack.proxy.as_ref().map_or(1, |p| p.line),
            }),
            address: placed.socket(replica, 80),
        };
        self.add(action, "it must accept connections", vec![start])
    }

    /// New files beside the old, asked whether they are right, switched, loaded, and marked as loaded.
    fn reload(&mut self, placed: &Placed, container: &str, after: Vec<usize>) -> usize {
        let Some((hash, files)) = self.files.get(&placed.service) else { return 0 };
        let write = Action::WriteFiles {
            volume: self.reloaded(placed),
            service: placed.service.clone(),
            files: below_release(hash, files),
            links: BTreeMap::new(),
        };
        let mut last = self.add(write, "its configuration changed", self.secrets.into_iter().collect());
        if placed.service.as_str() == super::FRONT_DOOR {
            let test = Action::TestProxy {
                container: container.to_owned(),
                config: format!("{RELOADED}/releases/{hash}/nginx.conf"),
            };
            last = self.add(test, "a wrong one must not be loaded", vec![last]);
        }
        let mut before_switch = after;
        before_switch.push(last);
        let switch = Action::Switch {
            volume: self.reloaded(placed).name,
            service: placed.service.clone(),
            links: BTreeMap::from([("current".to_owned(), format!("releases/{hash}"))]),
        };
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
        };
        let reload = self.add(reload, "to load the switched files", vec![switch]);
        self.mark(placed, vec![reload]);
        reload
    }

    /// Files of a service that is about to be created.
    pub(super) fn first_files_of_service(&mut self, placed: &Placed) -> Vec<usize> {
        let after = self.secrets.into_iter().collect();
        self.first_files(placed, after).into_iter().collect()
    }

    /// A service that runs and reads its files again (Prometheus), once what the files name is there.
    pub(super) fn reload_service(&mut self, placed: &Placed) {
        let Some((name, _)) = placed.replicas.first().and_then(|r| r.existing.clone()) else { return };
        if placed.reloads && !self.applied(placed) {
            self.reload(placed, &name, self.gates.clone());
        }
    }
}

/// What the reader should know.
pub(super) fn notes(inputs: &Inputs<'_>, steps: &[Step]) -> Vec<String> {
    let mut out = Vec::new();
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
