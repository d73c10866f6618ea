//! Compares what should be with what is, and puts the steps in order:
//!
//! files, images, networks → databases → `pre_deploy` → candidates beside the old → gate → one switch of the front
//! door → drain → the old go. Everything before the switch can be undone without anybody noticing.

mod assets;
mod causes;
mod certificate;
mod files;
mod hooks;
mod job;
mod labels;
mod mend;
mod needs;
mod notes;
mod proxy;
mod service;
mod tidy;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::container::label;
use crate::model::parts::Parts;

use super::loaded::{self, Sockets};
use super::place::{Placed, Placement};
use super::step::{Action, Plan, Step};
use super::{Inputs, network::PROXY};

/// Rendered files of services that reload them: hash and files.
pub type Files = BTreeMap<ServiceName, (String, Vec<Artifact>)>;

/// Makes the plan.
pub fn reconcile(inputs: &Inputs<'_>, placement: &Placement, files: &Files, new_secrets: Vec<Artifact>) -> Plan {
    let mut draft = Draft::new(inputs, placement, files);
    if !new_secrets.is_empty() {
        let what = format!("{} generated secrets", new_secrets.len());
        draft.secrets =
            Some(draft.add(Action::WriteState { what, files: new_secrets }, "they exist nowhere else", vec![]));
    }
    let broken = draft.remove_broken();
    draft.drop_sources();
    draft.networks();
    // Before anything is interrupted, everything that may fail to arrive has arrived.
    for placed in placement.services.iter().chain(&placement.proxy) {
        if draft.starts(placed) {
            draft.image(placed);
        }
    }
    draft.copy_assets();
    for placed in placement.services.iter().chain(&placement.proxy) {
        draft.mend(placed);
    }
    draft.reach_elsewhere();
    for placed in &placement.services {
        draft.service(placed, &broken);
    }
    draft.front_door(&broken);
    for placed in &placement.services {
        draft.reload_service(placed);
    }
    draft.retire();
    draft.tidy();
    draft.post_deploys();
    draft.shorten();
    let on_failure = if draft.steps.is_empty() { Vec::new() } else { draft.on_failure() };
    let mut notes = notes::notes(inputs, &draft.steps);
    notes.extend(causes::data_left(inputs, placement));
    notes.extend(causes::may_have_read(inputs, placement));
    let project = inputs.stack.project.clone();
    Plan { project, release: draft.release, steps: draft.steps, on_failure, notes }
}

/// Only what makes the running front door load its files: no container changes, no traffic moves. `None` where it
/// does not run; no steps where it has them already.
pub fn load_front_door(inputs: &Inputs<'_>, placement: &Placement, files: &Files) -> Option<Plan> {
    let placed = placement.proxy.as_ref()?;
    let right = placed.replicas.first().and_then(|r| r.existing.as_ref()).filter(|(_, running)| *running);
    let running = || inputs.observed.containers.iter().find(|c| c.service() == PROXY && c.running());
    let container = right.map(|(name, _)| name.clone()).or_else(|| running().map(|c| c.name.clone()))?;
    let mut draft = Draft::new(inputs, placement, files);
    if !draft.applied(placed) {
        draft.reload(placed, &container, Vec::new(), false);
    }
    for step in &mut draft.steps {
        match &mut step.action {
            Action::Switch { links, .. } => links.retain(|link, _| link == "current"),
            // A container that `up` would replace is not where its successor would be.
            Action::Reload { listener, .. } if right.is_none() => *listener = None,
            _ => {}
        }
    }
    draft.shorten();
    let notes = notes::notes(inputs, &draft.steps);
    let project = inputs.stack.project.clone();
    Some(Plan { project, release: draft.release, steps: draft.steps, on_failure: Vec::new(), notes })
}

/// Only what makes a running service that reads its files again do so. `None` where it does not run; no steps where it
/// has read them already.
pub fn load_files(inputs: &Inputs<'_>, placement: &Placement, files: &Files, service: &ServiceName) -> Option<Plan> {
    let placed = placement.services.iter().find(|p| p.service == *service && p.reloads)?;
    let there = inputs.observed.containers.iter().filter(|c| c.label(label::ROLE) == "service");
    let container = there.filter(|c| c.service() == service.as_str()).find(|c| c.running())?.name.clone();
    let mut draft = Draft::new(inputs, placement, files);
    if !draft.applied(placed) {
        draft.reload(placed, &container, Vec::new(), false);
    }
    draft.shorten();
    let project = inputs.stack.project.clone();
    Some(Plan { project, release: draft.release, steps: draft.steps, on_failure: Vec::new(), notes: Vec::new() })
}

/// Every service's configuration in parts: its containers', and what its files say where it reloads them.
pub fn parts(inputs: &Inputs<'_>, placement: &Placement, files: &Files) -> BTreeMap<String, Parts> {
    let of = |placed: &Placed| {
        let mut out = placed.parts(inputs);
        let said = causes::of_files(inputs, placement, files, placed);
        out.extend(said.into_iter().filter(|(name, _)| causes::is_setting(name)));
        out.insert("replicas".to_owned(), placed.replicas.len().to_string());
        (placed.service.to_string(), out)
    };
    placement.services.iter().chain(&placement.proxy).map(of).collect()
}

/// A plan in the making.
struct Draft<'a> {
    inputs: &'a Inputs<'a>,
    placement: &'a Placement,
    files: &'a Files,
    release: u32,
    steps: Vec<Step>,
    /// Where the front door asks for replicas by the files that it has loaded.
    known: BTreeMap<(String, u32), Sockets>,
    /// Step that brings an image, by reference.
    images: BTreeMap<String, usize>,
    /// Step that makes a network, by name.
    networks: BTreeMap<String, usize>,
    /// Step of a `pre_deploy` job, by the image it runs.
    jobs: BTreeMap<String, usize>,
    /// Services whose `post_deploy` this release owes.
    owed: BTreeSet<ServiceName>,
    /// Step that asks what runs elsewhere.
    elsewhere: BTreeMap<ServiceName, usize>,
    /// Step that stores new secrets.
    secrets: Option<usize>,
    /// Steps after which a service is ready; empty if it is already.
    ready: BTreeMap<ServiceName, Vec<usize>>,
    /// Everything that must have succeeded before traffic moves or anything old goes.
    gates: Vec<usize>,
    /// Questions through the front door that can be asked once it has loaded its files.
    late: Vec<Action>,
    /// Where files out of images shall be, by folder.
    assets: BTreeMap<String, assets::Choice>,
}

impl<'a> Draft<'a> {
    fn new(inputs: &'a Inputs<'a>, placement: &'a Placement, files: &'a Files) -> Self {
        Self {
            inputs,
            placement,
            files,
            release: inputs.observed.state.as_ref().map_or(1, crate::model::state::State::next_release),
            steps: Vec::new(),
            known: loaded::known(inputs.observed),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            jobs: BTreeMap::new(),
            owed: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            secrets: None,
            ready: BTreeMap::new(),
            gates: Vec::new(),
            late: Vec::new(),
            assets: assets::choose(inputs, placement),
        }
    }
}

impl Draft<'_> {
    fn add(&mut self, action: Action, cause: impl Into<String>, mut after: Vec<usize>) -> usize {
        after.sort_unstable();
        after.dedup();
        self.steps.push(Step { action, cause: cause.into(), after, interrupts: None, at_most: None, destroys: false });
        self.steps.len() - 1
    }

    /// Says of each step only what it waits for directly: what that waits for in turn is understood.
    fn shorten(&mut self) {
        let words = self.steps.len().div_ceil(64);
        let mut before: Vec<Vec<u64>> = Vec::with_capacity(self.steps.len());
        for step in &mut self.steps {
            let mut implied = vec![0u64; words];
            let mut direct = Vec::new();
            // From the last one: only a later one can imply an earlier one.
            for a in step.after.drain(..).rev() {
                if implied.get(a / 64).is_some_and(|word| word >> (a % 64) & 1 == 1) {
                    continue;
                }
                for (word, more) in implied.iter_mut().zip(before.get(a).into_iter().flatten()) {
                    *word |= more;
                }
                if let Some(word) = implied.get_mut(a / 64) {
                    *word |= 1 << (a % 64);
                }
                direct.push(a);
            }
            direct.reverse();
            step.after = direct;
            before.push(implied);
        }
    }

    fn interrupt(&mut self, index: usize, what: String, at_most: Option<Span>) {
        if let Some(step) = self.steps.get_mut(index) {
            step.interrupts = Some(what);
            step.at_most = at_most;
        }
    }

    /// Containers that a killed run left half-made, and jobs nobody waits for any more.
    fn remove_broken(&mut self) -> BTreeMap<ServiceName, Vec<usize>> {
        let mut out: BTreeMap<ServiceName, Vec<usize>> = BTreeMap::new();
        let placement = self.placement;
        for placed in placement.services.iter().chain(&placement.proxy) {
            for name in &placed.broken {
                let step = self.add(
                    Action::Remove { container: name.clone() },
                    "left half-made by an interrupted run",
                    vec![],
                );
                out.entry(placed.service.clone()).or_default().push(step);
            }
        }
        for job in self.inputs.observed.containers.iter().filter(|c| c.label(label::ROLE) == "job") {
            let step = self.add(Action::Remove { container: job.name.clone() }, "a job of an interrupted run", vec![]);
            if let Some(service) = ServiceName::parse(job.service()) {
                out.entry(service).or_default().push(step);
            }
        }
        out
    }

    /// Whether the front door has routes to a service.
    fn routed(&self, service: &ServiceName) -> bool {
        self.inputs.stack.proxy.as_ref().is_some_and(|p| p.routes.iter().any(|r| r.leads_to(service)))
    }
}

/// Time a container without a health check must stay up to count as started.
pub const SETTLE: Span = Span(std::time::Duration::from_millis(700));

/// The front door's name among the services.
pub const FRONT_DOOR: &str = PROXY;
