//! Commands of the user's own around a release: before traffic moves, when it is out, when it has failed.

use std::collections::BTreeMap;

use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::container::{ContainerSpec, EnvValue, label};
use crate::model::state::State;
use crate::plan::place::{Placed, image_is};
use crate::plan::step::{Action, OnFailure};

use super::Draft;

/// Longest time for `on_failure` where the file says nothing: somebody waits, and the lock is held.
const ON_FAILURE: Span = Span::seconds(60);

impl Draft<'_> {
    /// Whether the release makes a service anew: a container of this configuration was never started. Where the image
    /// is gone, nobody knows whether what is pulled in its place is the same.
    fn is_new(&self, placed: &Placed) -> bool {
        let known = self.inputs.observed.images.contains_key(&placed.spec.image);
        let started = || {
            placed.there(self.inputs.observed).any(|c| {
                c.label(label::CONFIG) == placed.hash && c.state != "created" && image_is(c, &placed.spec, self.inputs)
            })
        };
        !(known && started())
    }

    pub(super) fn pre_deploy(&mut self, placed: &Placed, needs: &[usize], depends: &[usize]) -> Option<usize> {
        let service = self.inputs.stack.services.get(&placed.service)?;
        let command = service.pre_deploy.clone().filter(|_| self.inputs.back.is_none())?;
        if !self.is_new(placed) {
            return None;
        }
        let container = Box::new(self.hook(placed, "pre-deploy", command, BTreeMap::new()));
        let timeout = service.deploy.timeout;
        let action = Action::RunJob { container, service: placed.service.clone(), timeout };
        let after = needs.iter().chain(depends).copied().collect();
        Some(self.add(action, "once per release, before it gets traffic", after))
    }

    /// Writes down that `post_deploy` is to run, before there is anything that it is about: whoever goes on after a
    /// killed run must know.
    pub(super) fn owe(&mut self, placed: &Placed) -> Option<usize> {
        let service = self.inputs.stack.services.get(&placed.service)?;
        if service.post_deploy.is_none() || self.inputs.back.is_some() || !self.is_new(placed) {
            return None;
        }
        let note = Artifact::plain(owed(placed), placed.hash.clone());
        let what = format!("that `post_deploy` of {} is to run", placed.service);
        self.owed.insert(placed.service.clone());
        Some(self.add(Action::WriteState { what, files: vec![note] }, "in case this run ends in between", vec![]))
    }

    /// When all else is done: the new serve, and the old are gone.
    pub(super) fn post_deploys(&mut self) {
        if self.inputs.back.is_some() {
            return;
        }
        let placement = self.placement;
        let all: Vec<usize> = (0..self.steps.len()).collect();
        for placed in &placement.services {
            let service = self.inputs.stack.services.get(&placed.service);
            let Some((command, timeout)) = service.and_then(|s| Some((s.post_deploy.clone()?, s.deploy.timeout)))
            else {
                continue;
            };
            let state = self.inputs.observed.state.as_ref();
            let noted = state.and_then(|s| s.applied.get(&key(placed))) == Some(&placed.hash);
            if placed.replicas.is_empty() || !(noted || self.owed.contains(&placed.service)) {
                continue;
            }
            let env = BTreeMap::from([("STACKCTL_RESULT".to_owned(), EnvValue::Plain("done".to_owned()))]);
            let container = Box::new(self.hook(placed, "post-deploy", command, env));
            let action = Action::PostDeploy { container, service: placed.service.clone(), timeout };
            let cause = if self.owed.contains(&placed.service) {
                "once per release, when it is out"
            } else {
                "the last run did not come to it, or it failed"
            };
            let run = self.add(action, cause, all.clone());
            let what = format!("that `post_deploy` of {} has run", placed.service);
            let files = vec![Artifact::plain(owed(placed), "")];
            self.add(Action::WriteState { what, files }, "it need not run again", vec![run]);
        }
    }

    /// What is to run if the release fails.
    pub(super) fn on_failure(&self) -> Vec<OnFailure> {
        let of = |placed: &Placed| {
            let service = self.inputs.stack.services.get(&placed.service)?;
            Some(OnFailure {
                service: placed.service.clone(),
                command: service.on_failure.clone()?,
                env: self.told(),
                timeout: service.deploy.timeout.unwrap_or(ON_FAILURE),
            })
        };
        self.placement.services.iter().filter_map(of).collect()
    }

    fn hook(
        &self,
        placed: &Placed,
        name: &str,
        command: Vec<String>,
        more: BTreeMap<String, EnvValue>,
    ) -> ContainerSpec {
        let name = format!("{}-{}-{name}", self.inputs.stack.project, placed.service);
        let mut container = self.job_container(placed, name);
        container.command = Some(command);
        container.env.extend(self.told().into_iter().map(|(name, value)| (name, EnvValue::Plain(value))));
        container.env.extend(more);
        container
    }

    /// What each hook is told of the release.
    fn told(&self) -> BTreeMap<String, String> {
        let before = self.inputs.observed.state.as_ref().and_then(State::current);
        let before = before.map(|release| release.number.to_string()).unwrap_or_default();
        let told = [("STACKCTL_RELEASE", self.release.to_string()), ("STACKCTL_PREVIOUS_RELEASE", before)];
        told.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Key of the note that `post_deploy` is owed. No service has a dot in its name.
fn key(placed: &Placed) -> String {
    format!("{}.post_deploy", placed.service)
}

/// Path of that note in the state.
fn owed(placed: &Placed) -> String {
    format!("applied/{}", key(placed))
}
