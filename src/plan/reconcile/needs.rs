//! What has to be there before a container is made: networks, images, volumes, files, and what runs elsewhere.

use std::collections::BTreeMap;

use crate::model::container::{VolumeSpec, label};
use crate::model::service::{Image, PullPolicy};
use crate::plan::image;
use crate::plan::place::Placed;
use crate::plan::step::Action;

use super::{Draft, labels};

impl Draft<'_> {
    pub(super) fn networks(&mut self) {
        let placement = self.placement;
        for network in &placement.networks {
            if !self.inputs.observed.networks.iter().any(|n| n.name == network.name) {
                let action = Action::CreateNetwork { network: network.clone() };
                let step = self.add(action, "the stack has none of this name", vec![]);
                self.networks.insert(network.name.clone(), step);
            }
        }
    }

    /// Whether a service is about to get a container it does not have.
    pub(super) fn starts(&self, placed: &Placed) -> bool {
        placed.replicas.iter().any(|r| r.existing.is_none()) || self.job_is_due(placed)
    }

    /// What runs elsewhere is asked before anything starts that needs it: from here, if the engine is here.
    pub(super) fn reach_elsewhere(&mut self) {
        let (stack, placement) = (self.inputs.stack, self.placement);
        for (name, there) in &stack.elsewhere {
            let wanted = placement.services.iter().any(|p| there.users.contains(&p.service) && self.starts(p));
            if wanted && self.inputs.observed.engine.local {
                let action = Action::Reach { service: name.clone(), host: there.host.clone(), port: there.port };
                let step = self.add(action, "those that start need it", vec![]);
                self.elsewhere.insert(name.clone(), step);
            }
        }
    }

    fn is_sent(&self, placed: &Placed) -> bool {
        self.inputs.stack.services.get(&placed.service).is_some_and(|s| s.pull == PullPolicy::Send)
    }

    /// The step that brings a service's image, if it is not there.
    pub(super) fn image(&mut self, placed: &Placed) -> Option<usize> {
        let reference = &placed.spec.image;
        let moved = self.inputs.observed.moved.contains(reference);
        if self.inputs.observed.images.contains_key(reference) && !moved {
            return None;
        }
        if let Some(step) = self.images.get(reference) {
            return Some(*step);
        }
        let declared = self.inputs.stack.services.get(&placed.service).map(|s| &s.image);
        let action = match declared {
            Some(Image::Build(build)) if self.inputs.back.is_none() => Action::Build {
                image: image::reference(&self.inputs.stack.services[&placed.service], self.inputs),
                build: build.clone(),
                context: self.inputs.contexts.get(&build.name).cloned().unwrap_or_default(),
            },
            _ if self.inputs.back.is_none() && self.is_sent(placed) => Action::Send { image: reference.clone() },
            _ => Action::Pull { image: self.inputs.pinned(reference).to_owned() },
        };
        let cause = match action {
            Action::Build { .. } => "its files are new",
            Action::Send { .. } if moved => "this machine has another one by that name",
            _ if self.inputs.locked.is_some_and(|l| l.contains_key(reference)) => "stack.lock names it",
            _ if moved => "the registry has another one by that name",
            _ => "the engine does not have it",
        };
        let step = self.add(action, cause, vec![]);
        self.images.insert(reference.clone(), step);
        Some(step)
    }

    /// Steps that everything a container needs waits for: image, networks, volumes, files.
    pub(super) fn needs(&mut self, placed: &Placed) -> Vec<usize> {
        let mut after: Vec<usize> = self.image(placed).into_iter().chain(self.secrets).collect();
        after.extend(placed.spec.networks.iter().filter_map(|n| self.networks.get(&n.network)));
        let stack = self.inputs.stack;
        for (name, service) in stack.data_volumes() {
            let wanted = placed.spec.mounts.iter().any(|m| m.volume == name);
            let there = self.inputs.observed.volumes.iter().any(|v| v.name == name);
            if !wanted || there {
                continue;
            }
            let known = self
                .steps
                .iter()
                .position(|s| matches!(&s.action, Action::CreateVolume { volume } if volume.name == name));
            let step = known.unwrap_or_else(|| {
                let key = name.strip_prefix(&format!("{}_", stack.project)).unwrap_or(&name).to_owned();
                let mut labels = labels::volume(stack, service.name.as_str(), "data", Some(&key));
                labels.extend(service.data_version.map(|v| (label::DATA_VERSION.to_owned(), v.to_string())));
                let volume = VolumeSpec { labels, name: name.clone() };
                self.add(Action::CreateVolume { volume }, "for its data", vec![])
            });
            after.push(step);
        }
        if let Some((name, files)) = &placed.fixed_files {
            let volume = VolumeSpec {
                name: name.clone(),
                labels: labels::volume(stack, placed.service.as_str(), "files", None),
            };
            let action = Action::WriteFiles {
                volume,
                service: placed.service.clone(),
                files: files.clone(),
                links: BTreeMap::new(),
            };
            let step =
                self.add(action, "secrets and configuration it reads at start", self.secrets.into_iter().collect());
            after.push(step);
        }
        after
    }
}
