//! Files of services that read theirs again: written for the first time, marked when they are loaded.

use std::collections::BTreeMap;

use crate::model::artifact::Artifact;
use crate::model::container::VolumeSpec;
use crate::model::parts::Parts;
use crate::plan::network::PROXY;
use crate::plan::place::Placed;
use crate::plan::step::Action;
use crate::plan::{door, spec};

use super::{Draft, causes, labels};

impl Draft<'_> {
    /// The volume of a service that reloads its files, with `current` pointing at them: for a container that is
    /// about to start. Without links where a predecessor still goes by them. Returns nothing for services that do
    /// not reload.
    pub(super) fn first_files(&mut self, placed: &Placed, after: Vec<usize>, linked: bool) -> Option<usize> {
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
    pub(super) fn all_links(&self, placed: &Placed) -> BTreeMap<String, String> {
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
    pub(super) fn unmark(&mut self, placed: &Placed, after: &[usize]) -> Option<usize> {
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
    pub(super) fn mark(&mut self, placed: &Placed, after: Vec<usize>) -> Option<usize> {
        if !placed.reloads || self.applied(placed) {
            return None;
        }
        let said = causes::of_files(self.inputs, self.placement, self.files, placed);
        self.mark_as(placed, &said, after)
    }

    pub(super) fn mark_as(&mut self, placed: &Placed, said: &Parts, after: Vec<usize>) -> Option<usize> {
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

    pub(super) fn reloaded(&self, placed: &Placed) -> VolumeSpec {
        let name = self.inputs.stack.volume_name(&spec::reloaded_volume(placed.service.as_str()));
        VolumeSpec { name, labels: labels::volume(self.inputs.stack, placed.service.as_str(), "files", None) }
    }

    pub(super) fn applied(&self, placed: &Placed) -> bool {
        let state = self.inputs.observed.state.as_ref();
        let applied = state.and_then(|s| s.applied.get(placed.service.as_str()));
        let edited = self.inputs.observed.edited.contains_key(&self.reloaded(placed).name);
        self.files.get(&placed.service).is_none_or(|(hash, _)| applied == Some(hash) && !edited)
    }
}

/// Paths below the folder of their release.
pub(super) fn below_release(hash: &str, files: &[Artifact]) -> Vec<Artifact> {
    files.iter().map(|f| Artifact { path: format!("releases/{hash}/{}", f.path), ..f.clone() }).collect()
}
