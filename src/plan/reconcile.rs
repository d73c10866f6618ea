//! Compares what should be with what is, and puts the steps in order:
//!
//! files, images, networks → databases → `pre_deploy` → candidates beside the old → gate → one switch of the front
//! door → drain → the old go. Everything before the switch can be undone without anybody noticing.

mod assets;
mod causes;
mod certificate;
mod hooks;
mod job;
mod labels;
mod mend;
mod notes;
mod proxy;
mod service;
mod tidy;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::container::{VolumeSpec, label};
use crate::model::parts::Parts;
use crate::model::service::{Image, PullPolicy};

use super::door;
use super::image;
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

    fn networks(&mut self) {
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
    fn starts(&self, placed: &Placed) -> bool {
        placed.replicas.iter().any(|r| r.existing.is_none()) || self.job_is_due(placed)
    }

    /// What runs elsewhere is asked before anything starts that needs it: from here, if the engine is here.
    fn reach_elsewhere(&mut self) {
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
    fn image(&mut self, placed: &Placed) -> Option<usize> {
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
    fn needs(&mut self, placed: &Placed) -> Vec<usize> {
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

    /// The volume of a service that reloads its files, with `current` pointing at them: for a container that is
    /// about to start. Without links where a predecessor still goes by them. Returns nothing for services that do
    /// not reload.
    fn first_files(&mut self, placed: &Placed, after: Vec<usize>, linked: bool) -> Option<usize> {
        let (hash, files) = self.files.get(&placed.service).filter(|_| placed.reloads)?;
        let mut all = below_release(hash, files);
        // All flags lead to it: written again, it would be away for a moment, and a predecessor would find them all off.
        if linked && placed.service.as_str() == PROXY {
            all.push(Artifact::plain("live/on", ""));
        }
        let links = if linked { self.all_links(placed) } else { BTreeMap::new() };
        let mut after = after;
        if linked {
            after.extend(self.unmark(placed, &after.clone()));
        }
        let action =
            Action::WriteFiles { volume: self.reloaded(placed), service: placed.service.clone(), files: all, links };
        let write = self.add(action, "configuration it starts with", after);
        Some(write)
    }

    /// All links of the files volume of a service that reloads its files, as they shall be.
    fn all_links(&self, placed: &Placed) -> BTreeMap<String, String> {
        let hash = self.files.get(&placed.service).map_or("", |f| f.0.as_str());
        let mut links = BTreeMap::from([("current".to_owned(), format!("releases/{hash}"))]);
        if placed.service.as_str() == PROXY {
            links.extend(self.live_links(|_| true));
            links.extend(self.asset_links(true));
        }
        links
    }

    /// Forgets which files a service has loaded, before it may load others: whoever wants the old ones back after a
    /// killed run must not find that they are loaded. Of the front door's it says where they ask: nobody else may get
    /// these addresses until it is known what it has.
    fn unmark(&mut self, placed: &Placed, after: &[usize]) -> Option<usize> {
        if self.applied(placed) {
            return None;
        }
        let state = self.inputs.observed.state.as_ref();
        let known = state.is_some_and(|s| s.applied.contains_key(placed.service.as_str()));
        let mut files = Vec::new();
        if placed.service.as_str() == PROXY {
            let mut about = state.map_or_else(Vec::new, |s| s.about.clone());
            let next = door::of(self.inputs, self.placement);
            if !about.contains(&next) {
                about.push(next);
                let about = serde_json::to_string(&about).unwrap_or_default();
                files.push(Artifact::plain(format!("applied/{}.about", placed.service), about));
            }
        }
        if known {
            files.push(Artifact::plain(format!("applied/{}", placed.service), ""));
        }
        if files.is_empty() {
            return None;
        }
        let what = format!("that {} is about to load other files", placed.service);
        let action = Action::WriteState { what, files };
        Some(self.add(action, "in case this run ends in between", after.to_vec()))
    }

    /// Says which files a service has loaded, if that is news.
    fn mark(&mut self, placed: &Placed, after: Vec<usize>) -> Option<usize> {
        if !placed.reloads || self.applied(placed) {
            return None;
        }
        let said = causes::of_files(self.inputs, self.placement, self.files, placed);
        self.mark_as(placed, &said, after)
    }

    fn mark_as(&mut self, placed: &Placed, said: &Parts, after: Vec<usize>) -> Option<usize> {
        let (hash, _) = self.files.get(&placed.service)?;
        let mark = Artifact::plain(format!("applied/{}", placed.service), hash.clone());
        let said = serde_json::to_string(said).unwrap_or_default();
        let said = Artifact::plain(format!("applied/{}.parts", placed.service), said);
        let what = format!("that {} has loaded its files", placed.service);
        // The hash behind it: whoever finds it must find what it stands for, even if the write ended in between.
        let mut files = vec![said, mark];
        if placed.service.as_str() == PROXY {
            files.push(Artifact::plain(format!("applied/{}.about", placed.service), ""));
        }
        Some(self.add(Action::WriteState { what, files }, "the next run need not reload", after))
    }

    fn reloaded(&self, placed: &Placed) -> VolumeSpec {
        let name = self.inputs.stack.volume_name(&super::spec::reloaded_volume(placed.service.as_str()));
        VolumeSpec { name, labels: labels::volume(self.inputs.stack, placed.service.as_str(), "files", None) }
    }

    fn applied(&self, placed: &Placed) -> bool {
        let state = self.inputs.observed.state.as_ref();
        let applied = state.and_then(|s| s.applied.get(placed.service.as_str()));
        let edited = self.inputs.observed.edited.contains_key(&self.reloaded(placed).name);
        self.files.get(&placed.service).is_none_or(|(hash, _)| applied == Some(hash) && !edited)
    }

    /// Whether the front door has routes to a service.
    fn routed(&self, service: &ServiceName) -> bool {
        self.inputs.stack.proxy.as_ref().is_some_and(|p| p.routes.iter().any(|r| r.leads_to(service)))
    }
}

/// Paths below the folder of their release.
fn below_release(hash: &str, files: &[Artifact]) -> Vec<Artifact> {
    files.iter().map(|f| Artifact { path: format!("releases/{hash}/{}", f.path), ..f.clone() }).collect()
}

/// Time a container without a health check must stay up to count as started.
pub const SETTLE: Span = Span(std::time::Duration::from_millis(700));

/// The front door's name among the services.
pub const FRONT_DOOR: &str = PROXY;
