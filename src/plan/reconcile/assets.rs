//! Files out of images: copied before anything is switched, switched with the traffic, and those of the image before the
//! last one taken away. An image that has not changed copies nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::assets::{self, Assets};
use crate::model::container::label;
use crate::model::proxy::Folder;
use crate::plan::Inputs;
use crate::plan::place::{Placed, Placement};
use crate::plan::step::Action;

use super::Draft;

/// Where the files of a folder shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    folder: Folder,
    /// The slot that serves in the end.
    slot: u8,
    /// It has to be filled.
    copied: bool,
    /// The slot of the image before.
    before: Option<u8>,
}

/// Chooses for each folder of the front door's routes.
pub(super) fn choose(inputs: &Inputs<'_>, placement: &Placement) -> BTreeMap<String, Choice> {
    let folders = inputs.stack.proxy.iter().flat_map(crate::model::proxy::Proxy::folders);
    let nothing = Assets::default();
    folders
        .filter_map(|(key, folder)| {
            let placed = placement.services.iter().find(|p| p.service == folder.service)?;
            let seen = inputs.observed.assets.get(&key).unwrap_or(&nothing);
            Some((key, of_folder(folder, seen, image_of(placed, inputs))))
        })
        .collect()
}

fn of_folder(folder: &Folder, seen: &Assets, image: Option<&str>) -> Choice {
    let folder = folder.clone();
    let is = |slot: u8| image.is_some() && seen.slots.get(&slot).is_some_and(|slot| slot.image.as_deref() == image);
    match seen.current {
        Some(slot) if is(slot) => return Choice { folder, slot, copied: false, before: seen.before },
        _ => {}
    }
    let before = seen.current;
    // Of a release that failed after they were copied, or of one that is gone back to.
    let there = seen.slots.keys().copied().find(|slot| is(*slot));
    let taken = [seen.current, seen.before];
    let free = || (0..=u8::MAX).find(|slot| !taken.contains(&Some(*slot))).unwrap_or_default();
    Choice { folder, slot: there.unwrap_or_else(free), copied: there.is_none(), before }
}

/// ID of the image that a service shall run, if it is here.
fn image_of<'a>(placed: &Placed, inputs: &Inputs<'a>) -> Option<&'a str> {
    let reference = &placed.spec.image;
    if inputs.observed.moved.contains(reference) {
        return None;
    }
    // Where nobody knows what its name means any more, what runs by it is what is wanted.
    let runs = || {
        let kept = placed.replicas.iter().find_map(|replica| replica.existing.as_ref());
        inputs.observed.containers.iter().find(|c| kept.is_some_and(|(name, _)| c.name == *name)).map(|c| &c.image_id)
    };
    inputs.observed.images.get(reference).map(|image| &image.id).or_else(runs).map(String::as_str)
}

impl Draft<'_> {
    /// Copies what is not there. One after the other: they share a way into the volume.
    pub(super) fn copy_assets(&mut self) {
        let placement = self.placement;
        let Some(proxy) = &placement.proxy else { return };
        let mut before = None;
        for (key, choice) in self.assets.clone().into_iter().filter(|(_, choice)| choice.copied) {
            let Some(placed) = placement.services.iter().find(|p| p.service == choice.folder.service) else { continue };
            let after = self.image(placed).into_iter().chain(before).collect();
            let cause = match self.inputs.observed.assets.get(&key).and_then(|seen| seen.current) {
                Some(_) => format!("{} has another image", choice.folder.service),
                None => "the front door serves them itself".to_owned(),
            };
            let action = Action::CopyFiles {
                volume: self.reloaded(proxy),
                service: choice.folder.service.clone(),
                image: self.inputs.pinned(&placed.spec.image).to_owned(),
                folder: choice.folder.path.clone(),
                key,
                slot: choice.slot,
            };
            let step = self.add(action, cause, after);
            self.gates.push(step);
            before = Some(step);
        }
    }

    /// Links that say which files serve: those that have to change, or all of them.
    pub(super) fn asset_links(&self, all: bool) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for (key, choice) in &self.assets {
            let seen = self.inputs.observed.assets.get(key);
            let current = (assets::CURRENT, Some(choice.slot), seen.and_then(|seen| seen.current));
            let before = (assets::BEFORE, choice.before, seen.and_then(|seen| seen.before));
            for (name, wanted, has) in [before, current] {
                if all || wanted != has {
                    out.insert(live(key, name), assets::target(key, wanted));
                }
            }
        }
        out
    }

    /// Where the links lead now, of folders that are wanted.
    pub(super) fn asset_links_now(&self) -> BTreeMap<String, String> {
        let seen = self.inputs.observed.assets.iter().filter(|(key, _)| self.assets.contains_key(*key));
        seen.flat_map(|(key, seen)| {
            [(assets::CURRENT, seen.current), (assets::BEFORE, seen.before)]
                .map(|(name, slot)| (live(key, name), assets::target(key, slot)))
        })
        .collect()
    }

    /// Files that no page asks for any more.
    pub(super) fn drop_assets(&mut self, after: &[usize]) {
        let placement = self.placement;
        let Some(proxy) = &placement.proxy else { return };
        for (key, seen) in &self.inputs.observed.assets {
            let choice = self.assets.get(key);
            let kept: BTreeSet<u8> = choice.iter().flat_map(|c| [Some(c.slot), c.before]).flatten().collect();
            let slots: BTreeSet<u8> = seen.slots.keys().copied().filter(|slot| !kept.contains(slot)).collect();
            if slots.is_empty() {
                continue;
            }
            let mut links: BTreeMap<String, String> =
                slots.iter().map(|slot| (assets::image_of(key, *slot), assets::NONE.to_owned())).collect();
            if choice.is_none() {
                links.extend([assets::CURRENT, assets::BEFORE].map(|name| (live(key, name), assets::NONE.to_owned())));
            }
            let service = key.split('.').next().unwrap_or_default();
            let cause = match choice {
                Some(_) => "two images old, or of a release that failed",
                None => "no route leads to them any more",
            };
            let action = Action::DropFiles {
                volume: self.reloaded(proxy).name,
                service: service.to_owned(),
                folders: slots.iter().map(|slot| assets::folder(key, *slot)).collect(),
                links,
            };
            self.add(action, cause, after.to_vec());
        }
    }

    /// Whether some run that was killed left the container behind that files were copied out of.
    pub(super) fn drop_sources(&mut self) {
        let left = self.inputs.observed.containers.iter().filter(|c| c.label(label::ROLE) == "source");
        let left: Vec<String> = left.map(|c| c.name.clone()).collect();
        for container in left {
            self.add(Action::Remove { container }, "files were copied out of it by an interrupted run", Vec::new());
        }
    }
}

fn live(key: &str, name: &str) -> String {
    format!("live/{}", assets::link(key, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::ServiceName;
    use crate::model::assets::Slot;

    #[test]
    fn a_slot_for_each_image_that_is_needed() {
        let service = ServiceName::parse("app").unwrap_or_else(|| unreachable!());
        let folder = Folder { service, path: "/app/static".into(), cache: None };
        let full = |id: &str| Slot { image: Some(id.to_owned()), sample: None };
        let seen =
            |current, before, slots: &[(u8, Slot)]| Assets { current, before, slots: slots.iter().cloned().collect() };
        let begun = Slot::default();
        for (what, seen, image, (slot, copied, before)) in [
            ("nothing is there", seen(None, None, &[]), Some("i1"), (0, true, None)),
            ("it is there", seen(Some(0), None, &[(0, full("i1"))]), Some("i1"), (0, false, None)),
            ("another image", seen(Some(0), None, &[(0, full("i1"))]), Some("i2"), (1, true, Some(0))),
            ("one not here yet", seen(Some(0), None, &[(0, full("i1"))]), None, (1, true, Some(0))),
            ("a third", seen(Some(1), Some(0), &[(0, full("i1")), (1, full("i2"))]), Some("i3"), (2, true, Some(1))),
            ("and back", seen(Some(1), Some(0), &[(0, full("i1")), (1, full("i2"))]), Some("i1"), (0, false, Some(1))),
            (
                "again after a failure",
                seen(Some(0), None, &[(0, full("i1")), (1, full("i2"))]),
                Some("i2"),
                (1, false, Some(0)),
            ),
            ("again after a kill", seen(Some(0), None, &[(0, full("i1")), (1, begun)]), Some("i2"), (1, true, Some(0))),
        ] {
            let choice = of_folder(&folder, &seen, image);
            assert_eq!((choice.slot, choice.copied, choice.before), (slot, copied, before), "{what}");
        }
    }
}
