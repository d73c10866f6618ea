//! What goes once the new serves: old containers, services that are no longer in the file, files nobody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::container::label;
use crate::model::observed::ObservedContainer;
use crate::plan::place::Placed;
use crate::plan::step::Action;

use super::{Draft, FRONT_DOOR};

/// What a stack loses with a container that its file no longer names. Asked about, running or not: the name may be
/// missing by mistake, and what the container wrote outside of volumes goes with it.
fn gone(container: &ObservedContainer) -> String {
    if container.service() != FRONT_DOOR {
        return format!("{} goes for good; its volumes stay", container.service());
    }
    let ports: BTreeSet<String> = container.ports.iter().map(|(_, port, _)| port.to_string()).collect();
    let ports: Vec<String> = ports.into_iter().collect();
    let at = if ports.is_empty() { String::new() } else { format!(" at port {}", ports.join(", ")) };
    format!("nobody answers{at} any more")
}

impl Draft<'_> {
    /// Old containers: drained, stopped, removed; then their successors get the final names.
    pub(super) fn retire(&mut self) {
        let placement = self.placement;
        let gates = self.gates.clone();
        let mut freed: BTreeMap<String, usize> = BTreeMap::new();
        for placed in placement.services.iter().chain(&placement.proxy) {
            self.retire_service(placed, &gates, &mut freed);
        }
        for container in self.orphans() {
            let service = container.service().to_owned();
            let cause = format!("`{service}` is no longer in the file");
            let grace = Span::seconds(30);
            let mut after = gates.clone();
            let mut first = None;
            if container.running() {
                let stop = Action::Stop { container: container.name.clone(), grace };
                let stop = self.add(stop, cause.clone(), after);
                first = Some(stop);
                after = vec![stop];
            }
            let remove = self.add(Action::Remove { container: container.name.clone() }, cause, after);
            freed.insert(container.name.clone(), remove);
            self.interrupt(first.unwrap_or(remove), gone(&container), None);
        }
    }

    fn orphans(&self) -> Vec<ObservedContainer> {
        let known: BTreeSet<&str> =
            self.placement.services.iter().chain(&self.placement.proxy).map(|p| p.service.as_str()).collect();
        let containers = self.inputs.observed.containers.iter();
        containers.filter(|c| c.label(label::ROLE) == "service" && !known.contains(c.service())).cloned().collect()
    }

    fn retire_service(&mut self, placed: &Placed, gates: &[usize], freed: &mut BTreeMap<String, usize>) {
        let observed = &self.inputs.observed.containers;
        let running = |name: &str| observed.iter().any(|c| c.name == name && c.running());
        let stopped_already = |steps: &[crate::plan::step::Step], name: &str| {
            steps.iter().position(|s| matches!(&s.action, Action::Stop { container, .. } if container == name))
        };
        let mut after = gates.to_vec();
        if let Some(drain) = self.drain(placed) {
            after = vec![self.add(drain, "requests under way may end", gates.to_vec())];
        }
        let wanted = u32::try_from(placed.replicas.len()).unwrap_or(u32::MAX);
        for name in &placed.retired {
            let surplus = observed.iter().any(|c| c.name == *name && c.number() > wanted);
            let fewer = format!("{wanted} of {} are wanted", placed.service);
            let why = if surplus { fewer.as_str() } else { "its successor serves" };
            let mut before_remove = after.clone();
            if let Some(stop) = stopped_already(&self.steps, name) {
                before_remove.push(stop);
            } else if running(name) {
                let action = Action::Stop { container: name.clone(), grace: placed.spec.stop_timeout };
                let stop = self.add(action, why, after.clone());
                if placed.replicas.is_empty() && self.routed(&placed.service) {
                    let what = format!("the front door answers 503 for {}: it has no replicas", placed.service);
                    self.interrupt(stop, what, None);
                }
                before_remove = vec![stop];
            }
            let step = self.add(Action::Remove { container: name.clone() }, why, before_remove);
            freed.insert(name.clone(), step);
        }
        for replica in &placed.replicas {
            let now = replica.existing.as_ref().map_or(&replica.create_as, |e| &e.0);
            if *now != replica.name {
                let after = freed.get(&replica.name).copied().into_iter().chain(gates.iter().copied());
                let after = after.chain(self.calls_by_name(now)).collect();
                let action = Action::Rename { container: now.clone(), to: replica.name.clone() };
                let cause = if now.contains('.') { "its predecessor is gone" } else { "renamed by hand" };
                self.add(action, cause, after);
            }
        }
    }

    /// Steps that still call a container by its present name.
    fn calls_by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let calls = move |action: &Action| match action {
            Action::Drain { door: container, .. }
            | Action::Reload { container, .. }
            | Action::Update { container, .. }
            | Action::Disconnect { container, .. } => container == name,
            _ => false,
        };
        self.steps.iter().enumerate().filter(move |(_, s)| calls(&s.action)).map(|(index, _)| index)
    }

    /// The front door's connections to the containers that go.
    fn drain(&self, placed: &Placed) -> Option<Action> {
        let proxy = self.placement.proxy.as_ref().filter(|_| self.routed(&placed.service) && placed.start_first)?;
        let door = proxy.replicas.first().and_then(|r| r.existing.as_ref()).filter(|e| e.1)?.0.clone();
        let port = self.inputs.stack.services.get(&placed.service)?.port?;
        let addresses = self.addresses_of_old(placed, port);
        (!addresses.is_empty() && !placed.drain.0.is_zero()).then(|| Action::Drain {
            service: placed.service.clone(),
            door,
            addresses,
            time: placed.drain,
        })
    }

    /// Where containers answer that run and are about to go.
    pub(super) fn addresses_of_old(&self, placed: &Placed, port: u16) -> Vec<SocketAddrV4> {
        let observed = self.inputs.observed.containers.iter();
        let going = observed.filter(|c| placed.retired.contains(&c.name) && c.running());
        going.flat_map(|c| c.addresses().into_values()).map(|a| SocketAddrV4::new(a, port)).collect()
    }

    /// Networks and files volumes of ours that nothing uses any more. Never a data volume.
    pub(super) fn tidy(&mut self) {
        let removals: Vec<usize> = self
            .steps
            .iter()
            .enumerate()
            .filter(|(_, s)| matches!(s.action, Action::Remove { .. }))
            .map(|(i, _)| i)
            .chain(self.gates.iter().copied())
            .collect();
        let networks: BTreeSet<&str> = self.placement.networks.iter().map(|n| n.name.as_str()).collect();
        let project = self.inputs.stack.project.as_str();
        let stale: Vec<String> = self
            .inputs
            .observed
            .networks
            .iter()
            .filter(|n| {
                n.labels.get(label::PROJECT).is_some_and(|p| p == project) && !networks.contains(n.name.as_str())
            })
            .map(|n| n.name.clone())
            .collect();
        for network in stale {
            self.add(Action::RemoveNetwork { network }, "nothing uses it any more", removals.clone());
        }
        self.drop_assets(&removals);
        // A one-off container may still read an older set of files; the next run after it takes them away.
        if self.inputs.observed.containers.iter().any(|c| c.label(label::ROLE) == "run") {
            return;
        }
        let used: BTreeSet<String> = self
            .placement
            .services
            .iter()
            .chain(&self.placement.proxy)
            .flat_map(|p| p.spec.mounts.iter().map(|m| m.volume.clone()))
            .collect();
        let stale: Vec<(String, Option<ServiceName>)> = self
            .inputs
            .observed
            .volumes
            .iter()
            .filter(|v| v.labels.get(label::ROLE).is_some_and(|r| r == "files") && !used.contains(&v.name))
            .map(|v| (v.name.clone(), None))
            .collect();
        for (volume, _) in stale {
            self.add(Action::RemoveVolume { volume }, "files of containers that are gone", removals.clone());
        }
    }
}
