//! Services that run to their end: once for each configuration, image and set of files, in the order of dependencies.

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::model::artifact::Artifact;
use crate::model::container::{Attachment, ContainerSpec};
use crate::model::runtime::Restart;
use crate::model::service::Kind;
use crate::plan::place::Placed;
use crate::plan::step::Action;

use super::{Draft, labels};

impl Draft<'_> {
    pub(super) fn is_job(&self, placed: &Placed) -> bool {
        self.inputs.stack.services.get(&placed.service).is_some_and(|s| s.kind == Kind::Job)
    }

    /// Whether a job has to run: it has not ended well as it is now, or what it worked on is not there any more.
    pub(super) fn job_is_due(&self, placed: &Placed) -> bool {
        let Some(service) = self.inputs.stack.services.get(&placed.service).filter(|s| s.kind == Kind::Job) else {
            return false;
        };
        let observed = self.inputs.observed;
        let done = observed.state.as_ref().and_then(|s| s.applied.get(placed.service.as_str()));
        let emptied = service
            .depends_on
            .iter()
            .filter_map(|name| self.inputs.stack.services.get(name))
            .flat_map(|needed| &needed.volumes)
            .map(|mount| self.inputs.stack.volume_name(&mount.volume))
            .any(|volume| !observed.volumes.iter().any(|v| v.name == volume));
        done != Some(&placed.hash) || emptied || observed.moved.contains(&placed.spec.image)
    }

    pub(super) fn job(&mut self, placed: &Placed, broken: &BTreeMap<ServiceName, Vec<usize>>, depends: &[usize]) {
        // Going back to a release does nothing again that changes data.
        if self.inputs.back.is_some() || !self.job_is_due(placed) {
            self.ready.insert(placed.service.clone(), Vec::new());
            return;
        }
        let mut after = self.needs(placed);
        after.extend(broken.get(&placed.service).into_iter().flatten());
        after.extend(depends);
        let name = format!("{}-{}-job", self.inputs.stack.project, placed.service);
        let container = Box::new(self.job_container(placed, name));
        let timeout = self.inputs.stack.services.get(&placed.service).and_then(|s| s.deploy.timeout);
        let action = Action::RunJob { container, service: placed.service.clone(), timeout };
        let run = self.add(action, "a job that has not ended well as it is now", after);
        self.gates.push(run);
        self.ready.insert(placed.service.clone(), vec![run]);
        let mark = Artifact::plain(format!("applied/{}", placed.service), placed.hash.clone());
        let what = format!("that {} has ended well", placed.service);
        self.add(Action::WriteState { what, files: vec![mark] }, "it need not run again", vec![run]);
    }

    /// A container of a service that runs to its end beside those that serve.
    pub(super) fn job_container(&self, placed: &Placed, name: String) -> ContainerSpec {
        // Any free address will do, and nobody shall find it by name.
        let anywhere = |n: &Attachment| Attachment { network: n.network.clone(), address: None, aliases: Vec::new() };
        ContainerSpec {
            name,
            hostname: None,
            networks: placed.spec.networks.iter().map(anywhere).collect(),
            restart: Restart::No,
            health: None,
            ports: Vec::new(),
            labels: labels::job(placed, self.inputs, self.release),
            ..placed.spec.clone()
        }
    }
}
