//! What somebody changed by hand about containers that stay: set right while they run.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::container::VolumeSpec;
use crate::plan::place::Placed;
use crate::plan::step::Action;

use super::{Draft, causes, labels};

impl Draft<'_> {
    /// Limits as they were; networks that nobody asked for are left.
    pub(super) fn mend(&mut self, placed: &Placed) {
        self.mend_files(placed);
        let kept: BTreeSet<&str> =
            placed.replicas.iter().filter_map(|r| Some(r.existing.as_ref()?.0.as_str())).collect();
        let observed = self.inputs.observed;
        for container in placed.there(observed).filter(|c| kept.contains(c.name.as_str())) {
            if let Some(cause) = causes::by_hand(self.inputs, placed, container) {
                let action = Action::Update { container: container.name.clone(), limits: placed.spec.limits() };
                self.add(action, cause, vec![]);
            }
            let wanted = |network: &str| placed.spec.networks.iter().any(|n| n.network == network);
            for network in container.networks.keys().filter(|n| !wanted(n)) {
                let action = Action::Disconnect { container: container.name.clone(), network: network.clone() };
                self.add(action, "connected by hand: stack.toml has it not", vec![]);
            }
        }
    }

    /// Files that a service reads when it starts. Those that it reads again are loaded again, as if they were new.
    fn mend_files(&mut self, placed: &Placed) {
        let Some((name, files)) = &placed.fixed_files else { return };
        let Some(edited) = self.inputs.observed.edited.get(name) else { return };
        // Where a container is made anyway, they are written for it.
        if placed.replicas.iter().any(|r| r.existing.is_none()) {
            return;
        }
        let volume = VolumeSpec {
            name: name.clone(),
            labels: labels::volume(self.inputs.stack, placed.service.as_str(), "files", None),
        };
        let files = files.iter().filter(|f| edited.contains(&f.path)).cloned().collect();
        let (service, links) = (placed.service.clone(), BTreeMap::new());
        self.add(Action::WriteFiles { volume, service, files, links }, causes::edited(edited), vec![]);
    }
}
