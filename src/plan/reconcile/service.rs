//! Steps of one service, up to the moment its new containers are ready.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::observed::ObservedContainer;
use crate::model::service::Ask;
use crate::plan::place::{Placed, Replica, proven};
use crate::plan::step::Action;

use super::proxy::{DOOR_START, GATED};
use super::{Draft, FRONT_DOOR, SETTLE, causes, labels};

impl Draft<'_> {
    /// Plans a service. Services come in start order, so that what it depends on has been planned.
    pub(super) fn service(&mut self, placed: &Placed, broken: &BTreeMap<ServiceName, Vec<usize>>) {
        let depends = self.dependencies(&placed.service);
        if self.is_job(placed) {
            self.job(placed, broken, &depends);
            return;
        }
        let mut ready = Vec::new();
        let missing = placed.replicas.iter().any(|r| r.existing.is_none());
        let mut before_start = depends;
        let mut needs = Vec::new();
        if missing {
            needs = self.needs(placed);
            needs.extend(broken.get(&placed.service).into_iter().flatten());
            let mut first = self.first_files_of_service(placed);
            needs.append(&mut first);
            needs.extend(self.owe(placed));
            if let Some(job) = self.pre_deploy(placed, &needs, &before_start) {
                self.jobs.insert(placed.spec.image.clone(), job);
                self.gates.push(job);
            }
            // A worker of the same image works on what the job prepares.
            before_start.extend(self.jobs.get(&placed.spec.image));
        }
        let mut made = Vec::new();
        // At another port it has not been seen ready; nor need one be that traffic has left: a killed run may have
        // stopped it and another one started it again.
        let asked = placed.bank == placed.live && !self.port_moves(placed);
        for replica in &placed.replicas {
            match &replica.existing {
                Some((name, true)) if *name == replica.name && self.proven(name) && asked => {}
                Some((name, running)) => {
                    let mut after = before_start.clone();
                    if !running {
                        // It reads them when it starts: nothing is left to load then.
                        if self.starts_with_files(placed) {
                            after.extend(self.first_files_of_service(placed));
                        }
                        if !placed.start_first {
                            after = self.stop_old(placed, &after);
                        }
                        let cause = self.stopped(name);
                        after = vec![self.add(Action::Start { container: name.clone() }, cause, after)];
                    }
                    ready.push(self.wait(placed, replica, name, after));
                }
                None => {
                    let mut before = before_start.clone();
                    before.extend(self.turn(placed, &made));
                    let step = self.create(placed, replica, &needs, &before);
                    made.push(step);
                    ready.push(step);
                }
            }
        }
        ready.extend(self.reload_database(placed, &before_start));
        self.gates.extend(&ready);
        if missing || self.starts_with_files(placed) {
            self.mark(placed, ready.clone());
        }
        self.ready.insert(placed.service.clone(), ready);
    }

    /// What the next new container waits for: those that come first, and its turn.
    fn turn(&self, placed: &Placed, made: &[usize]) -> Vec<usize> {
        let Some(service) = self.inputs.stack.services.get(&placed.service) else { return Vec::new() };
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let canary = made.get(..number(service.deploy.canary)).unwrap_or_default();
        let turn = service.deploy.parallel.and_then(|p| made.get(made.len().checked_sub(number(p))?));
        canary.iter().chain(turn).copied().collect()
    }

    /// Why a container has to be started that is there.
    pub(super) fn stopped(&self, name: &str) -> &'static str {
        let paused = |c: &ObservedContainer| c.name == name && c.state == "paused";
        if self.inputs.observed.containers.iter().any(paused) { "it is paused" } else { "it is stopped" }
    }

    /// Whether a container has been seen ready.
    pub(super) fn proven(&self, name: &str) -> bool {
        self.inputs.observed.containers.iter().any(|c| c.name == name && proven(c, self.inputs))
    }

    fn dependencies(&self, service: &ServiceName) -> Vec<usize> {
        let needed = self.inputs.stack.services.get(service).map(|s| &s.depends_on);
        let ours = needed.into_iter().flatten().filter_map(|n| self.ready.get(n)).flatten().copied();
        let theirs = self.inputs.stack.elsewhere.iter().filter(|(_, there)| there.users.contains(service));
        ours.chain(theirs.filter_map(|(name, _)| self.elsewhere.get(name)).copied()).collect()
    }

    /// Why a replica is made.
    pub(super) fn cause(&self, placed: &Placed, replica: &Replica) -> String {
        causes::of_replica(self.inputs, placed, replica)
    }

    /// Create, start and wait; for a service that owns data, stopping the old one in between.
    fn create(&mut self, placed: &Placed, replica: &Replica, needs: &[usize], before_start: &[usize]) -> usize {
        let mut container = placed.spec.clone();
        container.name.clone_from(&replica.create_as);
        self.inputs.pinned(&placed.spec.image).clone_into(&mut container.image);
        container.hostname = Some(format!("{}-{}", placed.service, replica.number));
        container.labels = labels::replica(placed, replica, self.inputs, self.release);
        for attachment in &mut container.networks {
            attachment.address = replica.address(&attachment.network);
        }
        let cause = self.cause(placed, replica);
        let action = Action::Create { container: Box::new(container), service: placed.service.clone() };
        let create = self.add(action, cause.clone(), needs.to_vec());
        let mut after = before_start.to_vec();
        after.push(create);
        if !placed.start_first {
            after = self.stop_old(placed, &after);
        }
        let start = self.add(Action::Start { container: replica.create_as.clone() }, cause, after);
        self.wait(placed, replica, &replica.create_as, vec![start])
    }

    /// Two containers cannot share a database's volume or a published port: the old one stops before the new one
    /// starts. Everything the new one needs is there by then, so that the gap is as short as it can be.
    pub(super) fn stop_old(&mut self, placed: &Placed, after: &[usize]) -> Vec<usize> {
        let running: Vec<String> = self
            .inputs
            .observed
            .containers
            .iter()
            .filter(|c| placed.retired.contains(&c.name) && c.running())
            .map(|c| c.name.clone())
            .collect();
        let mut out = after.to_vec();
        let before: Vec<usize> = after.iter().chain(self.images.values()).copied().collect();
        for container in running {
            let action = Action::Stop { container, grace: placed.spec.stop_timeout };
            let stopped = self.add(action, "two cannot run at once", before.clone());
            let what = format!("{} is away until its successor is ready", placed.service);
            self.interrupt(stopped, what, Some(self.away(placed)));
            out.push(stopped);
        }
        out
    }

    /// How long a service is away that stops before its successor starts.
    fn away(&self, placed: &Placed) -> Span {
        let health = self.inputs.stack.services.get(&placed.service).and_then(|s| s.health.as_ref());
        let start =
            if placed.service.as_str() == FRONT_DOOR { DOOR_START } else { health.map_or(SETTLE, |h| h.start_period) };
        Span(placed.spec.stop_timeout.0 + start.0)
    }

    /// Waits for a container; one that gets traffic is then asked through the front door, if that runs already.
    pub(super) fn wait(&mut self, placed: &Placed, replica: &Replica, container: &str, after: Vec<usize>) -> usize {
        let service = self.inputs.stack.services.get(&placed.service);
        let health = service.and_then(|s| s.health.clone());
        let port = service.and_then(|s| s.port);
        let address = port.and_then(|p| placed.socket(replica, p));
        let path = match health.as_ref().map(|h| &h.ask) {
            Some(Ask::Http(path)) => Some(path.clone()),
            _ => None,
        };
        let deploy = service.map(|s| s.deploy.clone()).unwrap_or_default();
        let action = Action::WaitReady {
            container: container.to_owned(),
            service: placed.service.clone(),
            health,
            address,
            hold: Some(deploy.min_healthy).filter(|s| !s.0.is_zero()),
            timeout: deploy.timeout,
        };
        let wait = self.add(action, "traffic only goes to what is ready", after);
        match (path, self.gate_address(placed, replica, port)) {
            (Some(path), Some((candidate, listener))) => {
                let action = Action::Gate {
                    container: container.to_owned(),
                    service: placed.service.clone(),
                    candidate,
                    listener,
                    path,
                };
                if port.is_some_and(|p| self.door_knows(p)) {
                    return self.add(action, GATED, vec![wait]);
                }
                self.late.push(action);
                wait
            }
            _ => wait,
        }
    }
}
