//! The certificate of the front door, which each handshake looks for: what changes if nothing else does.

use std::collections::BTreeMap;

use crate::model::artifact::{Artifact, CERTIFICATES, KEY};
use crate::model::parts::Parts;
use crate::plan::place::Placed;
use crate::plan::step::Action;

use super::{Draft, FRONT_DOOR, causes};

impl Draft<'_> {
    /// Whether the front door has loaded all that its files say but the certificate. After a run that ended while it was
    /// about to load some, nobody knows.
    pub(super) fn only_certificate(&self, placed: &Placed, said: &Parts) -> bool {
        let Some(state) = self.inputs.observed.state.as_ref() else { return false };
        let settled = state.applied.contains_key(placed.service.as_str());
        let edited = self.inputs.observed.edited.contains_key(&self.reloaded(placed).name);
        let Some(loaded) = self.loaded().filter(|_| placed.service.as_str() == FRONT_DOOR) else { return false };
        let file = format!("{}{CERTIFICATES}", causes::FILE);
        let certificate = |name: &str| name == causes::CERTIFICATE || name.starts_with(&file);
        let rest = |parts: &Parts| -> Parts {
            parts.iter().filter(|(name, _)| !certificate(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
        };
        settled && !edited && loaded != said && rest(loaded) == rest(said)
    }

    /// Empties the key of a certificate that has been replaced: it would lie there until the volume goes.
    pub(super) fn forget_key(&mut self, placed: &Placed, said: &Parts, after: Option<usize>) {
        let key = format!("{}{KEY}", causes::FILE);
        let Some(before) = self.loaded().filter(|_| placed.service.as_str() == FRONT_DOOR) else { return };
        if !before.contains_key(&key) || before.get(&key) == said.get(&key) {
            return;
        }
        let state = self.inputs.observed.state.as_ref();
        let Some(folder) = state.and_then(|s| s.applied.get(placed.service.as_str())) else { return };
        let action = Action::WriteFiles {
            volume: self.reloaded(placed),
            service: placed.service.clone(),
            files: vec![Artifact::plain(format!("releases/{folder}/{KEY}"), "")],
            links: BTreeMap::new(),
        };
        self.add(action, "nobody needs the key of the certificate before", after.into_iter().collect());
    }
}
