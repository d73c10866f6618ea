//! Carries plans out on the model, in any order they allow, and checks after every step what must hold.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use stackctl::model::artifact::configuration_of;
use stackctl::model::container::label;
use stackctl::plan::undo::{Reached, Undo, undo};
use stackctl::plan::{Action, Plan, Step};

use crate::model::{Container, Extent, Version, World};
use crate::wish::{Planned, Wish};

/// Numbers that look random and are the same every time (xorshift64*).
#[derive(Clone, PartialEq)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap_or(0) % n.max(1)
    }
}

/// Where to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    End,
    /// After this many steps; `true`: and in the middle of all that could begin then.
    Killed(usize, bool),
    /// The step of this index fails; `true`: after it has taken effect in part.
    Fails(usize, bool),
}

pub(crate) struct Walked {
    pub(crate) reached: Vec<Reached>,
}

/// Any order in which each step comes after all it waits for. `None`: the plan's own.
fn next(plan: &Plan, reached: &[Reached], dice: &mut Option<Dice>) -> Option<usize> {
    let ready = ready(plan, reached);
    match dice {
        Some(dice) => (!ready.is_empty()).then(|| ready[dice.below(ready.len())]),
        None => ready.first().copied(),
    }
}

fn ready(plan: &Plan, reached: &[Reached]) -> Vec<usize> {
    let done = |i: &usize| reached[*i] == Reached::Done;
    (0..plan.steps.len()).filter(|i| reached[*i] == Reached::Not && plan.steps[*i].after.iter().all(done)).collect()
}

/// A walk under way. A copy of it goes on by itself: so a kill after every step costs one walk, not as many as steps.
#[derive(Clone)]
pub(crate) struct Walk {
    pub(crate) world: World,
    check: Check,
    dice: Option<Dice>,
    pub(crate) reached: Vec<Reached>,
}

impl Walk {
    pub(crate) fn new(world: World, wish: &Wish, plan: &Plan, dice: Option<Dice>) -> Result<Self, String> {
        shape(plan)?;
        let check = Check::new(&world, wish);
        Ok(Self { world, check, dice, reached: vec![Reached::Not; plan.steps.len()] })
    }

    /// The step that comes next; `None` when no more can begin.
    fn next(&mut self, plan: &Plan) -> Option<usize> {
        next(plan, &self.reached, &mut self.dice)
    }

    /// Does a step, which must work; what must hold must hold then.
    fn step(&mut self, wish: &Wish, plan: &Plan, index: usize) -> Result<(), String> {
        let step = &plan.steps[index];
        self.check.before(&self.world, wish, step).map_err(|e| tell(plan, index, &e))?;
        self.world.apply(step, Extent::Whole).map_err(|e| tell(plan, index, &e))?;
        self.reached[index] = Reached::Done;
        self.check.after(&self.world, step).map_err(|e| tell(plan, index, &e))
    }

    /// One step further; `false` at the end.
    pub(crate) fn on(&mut self, wish: &Wish, plan: &Plan) -> Result<bool, String> {
        let Some(index) = self.next(plan) else { return Ok(false) };
        self.step(wish, plan, index).map(|()| true)
    }

    /// Killed in the middle of all that could begin now.
    pub(crate) fn killed(&mut self, plan: &Plan) -> Result<(), String> {
        for index in ready(plan, &self.reached) {
            self.world.apply(&plan.steps[index], Extent::Half).map_err(|e| tell(plan, index, &e))?;
            self.check.after(&self.world, &plan.steps[index]).map_err(|e| tell(plan, index, &e))?;
        }
        Ok(())
    }
}

/// Walks a plan; every step must work, and what must hold must hold after each.
pub(crate) fn walk(
    world: &mut World,
    wish: &Wish,
    plan: &Plan,
    dice: Option<Dice>,
    until: Until,
) -> Result<Walked, String> {
    let mut walk = Walk::new(world.clone(), wish, plan, dice)?;
    let result = walk_on(&mut walk, wish, plan, until);
    *world = walk.world;
    if result? {
        world.record(plan.release, "done");
    }
    Ok(Walked { reached: walk.reached })
}

/// Whether it came to the end of the plan.
fn walk_on(walk: &mut Walk, wish: &Wish, plan: &Plan, until: Until) -> Result<bool, String> {
    let mut count = 0;
    while let Some(index) = walk.next(plan) {
        if let Until::Killed(limit, half) = until
            && limit == count
        {
            if half {
                walk.killed(plan)?;
            }
            return Ok(false);
        }
        if let Until::Fails(which, half) = until
            && which == index
        {
            walk.reached[index] = Reached::Begun;
            if half {
                walk.world.apply(&plan.steps[index], Extent::Half).map_err(|e| tell(plan, index, &e))?;
            }
            return Ok(false);
        }
        walk.step(wish, plan, index)?;
        count += 1;
    }
    if walk.reached.iter().any(|r| *r != Reached::Done) {
        return Err(format!("some steps wait for ever\n{plan}"));
    }
    Ok(true)
}

fn tell(plan: &Plan, index: usize, error: &str) -> String {
    format!("at #{index}: {error}\n{plan}")
}

/// Plans, walks to the end, and checks that the desired state is reached and nothing is left to do.
pub(crate) fn deploy(world: &mut World, wish: &Wish, dice: Option<Dice>) -> Result<(), String> {
    let planned = wish.plan(world);
    walk(world, wish, &planned.plan, dice, Until::End)?;
    settled(world, wish).map_err(|e| format!("{e}\nafter\n{}", planned.plan))
}

/// Fails steps, takes back what can be taken back, as `apply::up` does. Tells whether it was taken back.
pub(crate) fn fail(
    world: &mut World,
    wish: &Wish,
    plan: &Plan,
    dice: Option<Dice>,
    until: Until,
    keep: bool,
) -> Result<bool, String> {
    let before = world.clone();
    let walked = walk(world, wish, plan, dice, until)?;
    world.record(plan.release, "failed");
    match undo(plan, &walked.reached) {
        Undo::GoOn => Ok(false),
        Undo::Back { remove, stop, links, reload, start, moved } => {
            if let Some(moved) = moved {
                world.volume_mut(&moved.volume).links.extend(moved.flags);
                let unserved: Vec<_> = world.unserved().difference(&before.unserved()).cloned().collect();
                if !unserved.is_empty() {
                    return Err(format!("traffic went back, but nobody answers for {unserved:?}\n{plan}"));
                }
            }
            if let Some(door) = reload {
                for (volume, links) in &links {
                    world.volume_mut(volume).links.extend(links.clone());
                }
                world.unmark("proxy");
                world.load(&door.container).map_err(|e| format!("loading again: {e}\n{plan}"))?;
                if world.find(&door.container).and_then(Container::configuration) != Some(&door.hash) {
                    return Err(format!("taken back, but the front door serves by other files\n{plan}"));
                }
            }
            for name in remove {
                // With `--keep-failed` they stay, stopped: the next run must come to the same end.
                if keep { world.stop_by_hand(&name) } else { world.remove_by_hand(&name) }
            }
            for name in stop {
                world.stop_by_hand(&name);
            }
            for (volume, links) in links {
                world.volume_mut(&volume).links.extend(links);
            }
            for name in &start {
                world.start(name).map_err(|e| format!("taking back: {e}\n{plan}"))?;
            }
            // Time passes: what was started again answers again.
            for container in world.containers.iter_mut().filter(|c| start.contains(&c.name)) {
                Arc::make_mut(container).ready = true;
            }
            let new: Vec<_> = world.unserved().difference(&before.unserved()).cloned().collect();
            if !new.is_empty() {
                return Err(format!("taken back, but nobody answers for {new:?}\n{plan}"));
            }
            for old in before.containers.iter().filter(|c| c.running()) {
                if old.label(label::ROLE) == "service" && !world.find(&old.name).is_some_and(Container::running) {
                    return Err(format!("taken back, but {} does not run\n{plan}", old.name));
                }
            }
            Ok(true)
        }
    }
}

/// Each step waits only for earlier ones, and the reader gets a cause.
fn shape(plan: &Plan) -> Result<(), String> {
    for (index, step) in plan.steps.iter().enumerate() {
        if step.after.iter().any(|a| *a >= index) || step.cause.is_empty() {
            return Err(tell(plan, index, "it waits for a later step, or has no cause"));
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Check {
    /// Services nobody answered for before, or that the plan said would be away.
    excused: BTreeSet<String>,
    /// The front door was not there: it starts at once, and each service is there when it is there.
    opening: bool,
    data: BTreeSet<String>,
    /// There is nothing to serve any more.
    closing: bool,
    kept: BTreeSet<Ipv4Addr>,
    /// Folders whose files visitors could get.
    served: BTreeSet<String>,
    /// Versions that had been started before: a job that the file names only since then is none of theirs.
    started: BTreeSet<Version>,
}

impl Check {
    fn new(world: &World, wish: &Wish) -> Self {
        let excused = world.unserved();
        let opening = excused.contains("proxy");
        let closing = wish.stack.proxy.is_none();
        // A route that goes, or leads to another folder, goes with the traffic: its old files are nobody's any more.
        let wanted = |key: &String| wish.stack.proxy.iter().flat_map(|p| p.folders()).any(|(k, _)| k == *key);
        let served = world.served_files().into_iter().filter(wanted).collect();
        let (kept, started) = (world.kept(), world.started());
        Self { excused, opening, kept, data: world.data_volumes(), closing, served, started }
    }

    fn before(&self, world: &World, wish: &Wish, step: &Step) -> Result<(), String> {
        let Action::Start { container } = &step.action else { return Ok(()) };
        let Some(found) = world.find(container) else { return Ok(()) };
        let Some(service) = wish.stack.services.values().find(|s| s.name.as_str() == found.service()) else {
            return Ok(());
        };
        if service.pre_deploy.is_some() && !world.job_ran(found) && !self.started.contains(&found.version()) {
            return Err(format!("{container} starts before its job has run"));
        }
        for need in &service.depends_on {
            let wanted = wish.stack.services.get(need).is_some_and(|s| s.replicas > 0);
            if wanted && !world.containers.iter().any(|c| c.service() == need.as_str() && c.running() && c.ready) {
                return Err(format!("{container} starts before {need} is ready"));
            }
        }
        Ok(())
    }

    fn after(&mut self, world: &World, step: &Step) -> Result<(), String> {
        if let (Some(_), Action::Stop { container, .. }) = (&step.interrupts, &step.action) {
            self.excused.extend(world.find(container).map(|c| c.service().to_owned()));
        }
        let unserved = world.unserved();
        if self.opening && !unserved.contains("proxy") {
            self.opening = false;
            self.excused.extend(unserved.clone());
        }
        // Once somebody answers again, that must stay so; a step that was announced holds for this plan.
        let bad: Vec<&String> = unserved.difference(&self.excused).collect();
        if !bad.is_empty() && !self.closing {
            return Err(format!("nobody answers for {bad:?}"));
        }
        if !unserved.contains("proxy") {
            self.excused.retain(|s| unserved.contains(s));
        }
        if let Some(doubled) = world.doubled() {
            return Err(doubled);
        }
        if let Some(wrong) = world.misrouted(&self.kept) {
            return Err(wrong);
        }
        // Pages of whoever answers name files of its own image. Once a route is gone, nobody asks.
        if let Action::DropFiles { links, .. } = &step.action {
            self.served.retain(|key| !links.contains_key(&format!("live/{key}.current")));
        }
        let files: Vec<_> = self.served.iter().filter(|key| !world.has_files_of_live(key)).collect();
        if !files.is_empty() && !self.closing && !unserved.contains("proxy") {
            return Err(format!("files of {files:?} are not those of whoever answers"));
        }
        let lost: Vec<_> = self.data.difference(&world.data_volumes()).cloned().collect();
        if !lost.is_empty() {
            return Err(format!("data is lost: {lost:?}"));
        }
        Ok(())
    }
}

/// The desired state is there, nothing else of ours is, and there is nothing to do.
pub(crate) fn settled(world: &mut World, wish: &Wish) -> Result<(), String> {
    let again = wish.plan(world);
    if !again.plan.is_empty() {
        return Err(format!("there is still something to do:\n{}", again.plan));
    }
    let Planned { placement, files, .. } = again;
    let mut names = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    for placed in placement.services.iter().chain(&placement.proxy) {
        volumes.extend(placed.spec.mounts.iter().map(|m| m.volume.clone()));
        for replica in &placed.replicas {
            names.insert(replica.name.clone());
            let Some(container) = world.find(&replica.name) else { return Err(format!("no {}", replica.name)) };
            if !container.running() || !container.ready {
                return Err(format!("{} does not run, or nobody asked whether it is ready", replica.name));
            }
            if !container.by_hand.is_empty() {
                return Err(format!("{} is not as it was made: {:?}", replica.name, container.by_hand));
            }
            if container.label(label::CONFIG) != placed.hash {
                return Err(format!("{} is an old one", replica.name));
            }
            if container.networks.len() != placed.spec.networks.len() {
                return Err(format!("{} lacks a network", replica.name));
            }
            if let Some((hash, _)) = files.get(&placed.service) {
                let volume = world.volumes.get(&format!("{}_{}-files", world.project, placed.service));
                let current = volume.and_then(|v| v.links.get("current"));
                if container.configuration() != Some(configuration_of(hash))
                    || current != Some(&format!("releases/{hash}"))
                {
                    return Err(format!(
                        "{} serves by {:?} and {current:?} instead of {hash}",
                        replica.name, container.loaded
                    ));
                }
            }
        }
        if let Some((volume, wanted)) = placed.fixed_files.as_ref().filter(|_| !placed.replicas.is_empty()) {
            let there = world.volumes.get(volume).map(|v| &v.files);
            for file in wanted {
                if there.and_then(|f| f.get(&file.path)).map(String::as_str) != Some(file.content.expose()) {
                    return Err(format!("{} is not in {volume}", file.path));
                }
            }
        }
    }
    let there: BTreeSet<String> = world.containers.iter().map(|c| c.name.clone()).collect();
    if there != names {
        return Err(format!("containers: {there:?} instead of {names:?}"));
    }
    let networks: BTreeSet<String> = placement.networks.iter().map(|n| n.name.clone()).collect();
    if world.our_networks() != networks {
        return Err(format!("networks: {:?} instead of {networks:?}", world.our_networks()));
    }
    let stale: Vec<_> = world.files_volumes().difference(&volumes).cloned().collect();
    if !stale.is_empty() {
        return Err(format!("files volumes left: {stale:?}"));
    }
    if wish.stack.proxy.is_some() {
        let kept = world.kept_files();
        for (key, folder) in wish.stack.proxy.iter().flat_map(|p| p.folders()) {
            let placed = placement.services.iter().find(|p| p.service == folder.service);
            // What is gone back to has another name by now.
            let name = |reference: &String| wish.back.as_ref().and_then(|b| b.get(reference)).cloned();
            let image = placed.and_then(|p| {
                let reference = name(&p.spec.image).unwrap_or_else(|| p.spec.image.clone());
                world.image_of(&reference, folder.service.as_str())
            });
            if image.is_none() || world.files_at(&key, "current") != image {
                return Err(format!("{key}: the files of {:?} instead of {image:?}", world.files_at(&key, "current")));
            }
        }
        let wanted: usize = wish.stack.proxy.iter().flat_map(|p| p.folders()).count();
        if kept.len() > 2 * wanted {
            return Err(format!("files that nobody asks for: {kept:?}"));
        }
        let unserved = world.unserved();
        if !unserved.is_empty() {
            return Err(format!("nobody answers for {unserved:?}"));
        }
        let Some(door) = world.loaded() else { return Err("the front door has no files".into()) };
        for (service, banks) in &door.routes {
            for address in &banks[usize::from(world.flag(service))] {
                let there = world.containers.iter().any(|c| c.service() == *service && c.serves_at(&[*address]));
                if !there {
                    return Err(format!("the front door sends requests for {service} to {address}: nobody is there"));
                }
            }
        }
    }
    Ok(())
}
