//! Why something changes, part by part, and what a change leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::ServiceName;
use crate::model::container::label;
use crate::model::observed::ObservedContainer;
use crate::model::parts::{self, Parts, hidden};
use crate::plan::place::{Placed, Placement, Replica, drift};
use crate::plan::{Inputs, door};

use super::{FRONT_DOOR, Files};

/// Why a replica is made.
pub(super) fn of_replica(inputs: &Inputs<'_>, placed: &Placed, replica: &Replica) -> String {
    // Of two of one number, the one that has its final name is what serves.
    let same = there(inputs, placed).filter(|c| c.number() == replica.number).max_by_key(|c| c.name == replica.name);
    let Some(before) = same else {
        return match there(inputs, placed).next() {
            Some(_) => format!("replica {} of {}", replica.number, placed.replicas.len()),
            None => "new in the stack".to_owned(),
        };
    };
    if before.label(label::CONFIG) != placed.hash {
        let before = before.parts().unwrap_or_default();
        // A container of a version that did not label its parts.
        let unknown = || "its configuration, image or files changed".to_owned();
        return if before.is_empty() {
            unknown()
        } else {
            parts::cause(&before, &placed.parts(inputs)).unwrap_or_else(unknown)
        };
    }
    otherwise(inputs, placed, before)
}

fn there<'a>(inputs: &Inputs<'a>, placed: &'a Placed) -> impl Iterator<Item = &'a ObservedContainer> {
    placed.there(inputs.observed)
}

/// Why a container of the right configuration does not do.
fn otherwise(inputs: &Inputs<'_>, placed: &Placed, before: &ObservedContainer) -> String {
    let image = &placed.spec.image;
    let lost: Vec<&str> =
        placed.spec.networks.iter().map(|n| n.network.as_str()).filter(|n| !before.networks.contains_key(*n)).collect();
    match inputs.observed.images.get(image) {
        None => format!("its image {image} is gone"),
        Some(now) if now.id != before.image_id => format!("image digest moved: {image} is another image now"),
        Some(_) if !lost.is_empty() => format!("it lost the network {}", lost.join(", ")),
        Some(_) if before.state == "created" => "it was never started".to_owned(),
        Some(_) => match by_hand(inputs, placed, before) {
            Some(changes) => changes,
            None if there(inputs, placed).any(|c| by_hand(inputs, placed, c).is_some()) => {
                "another replica was changed by hand, and all move at once".to_owned()
            }
            None => "its place is taken by another generation".to_owned(),
        },
    }
}

/// What somebody changed about a container of the right configuration, in one line.
pub(super) fn by_hand(inputs: &Inputs<'_>, placed: &Placed, container: &ObservedContainer) -> Option<String> {
    let changes = drift(container, &placed.spec, inputs).changes;
    (!changes.is_empty()).then(|| format!("changed by hand: {}", changes.join("; ")))
}

/// Files that are not as they were written.
pub(super) fn edited(files: &BTreeSet<String>) -> String {
    format!("changed by hand: {}", files.iter().map(|f| format!("file {f}")).collect::<Vec<_>>().join("; "))
}

/// Services whose containers may have read a file that was changed by hand, and read it only when they start.
pub(super) fn may_have_read(inputs: &Inputs<'_>, placement: &Placement) -> Vec<String> {
    let of = |placed: &Placed| {
        let (volume, _) = placed.fixed_files.as_ref()?;
        let kept = placed.replicas.iter().all(|r| r.existing.is_some());
        let service = &placed.service;
        (kept && inputs.observed.edited.contains_key(volume)).then(|| {
            format!(
                "{service} may have read the changed file if it was started since; `stackctl restart {service}` starts it with the right one"
            )
        })
    };
    placement.services.iter().filter_map(of).collect()
}

/// What the files of a service that reloads them say, part by part.
pub(super) fn of_files(inputs: &Inputs<'_>, placement: &Placement, files: &Files, placed: &Placed) -> Parts {
    let mut out = Parts::new();
    if let Some(proxy) = inputs.stack.proxy.as_ref().filter(|_| placed.service.as_str() == FRONT_DOOR) {
        out = proxy.parts(inputs.key);
        let routed: BTreeSet<_> = proxy.routes.iter().filter_map(|r| r.service()).collect();
        for service in routed.into_iter().filter_map(|name| inputs.stack.services.get(name)) {
            out.insert(format!("replicas of {}", service.name), service.replicas.to_string());
            out.extend(service.port.map(|port| (port_of(&service.name), port.to_string())));
        }
        out.extend(door::of(inputs, placement));
        let pair = proxy.tls.secrets();
        let pair: Vec<&str> = pair.into_iter().filter_map(|n| Some(inputs.values.get(n)?.expose())).collect();
        if !pair.is_empty() {
            out.insert(CERTIFICATE.to_owned(), hidden(inputs.key, pair.join("\n").as_bytes()));
        }
    }
    for file in files.get(&placed.service).map(|f| f.1.as_slice()).unwrap_or_default() {
        out.insert(format!("{FILE}{}", file.path), hidden(inputs.key, file.content.bytes()));
    }
    out
}

/// The part that stands for the certificate and its key.
pub(super) const CERTIFICATE: &str = "certificate";

/// Beginning of the name of the part that stands for a file.
pub(super) const FILE: &str = "file ";

/// Beginning of the name of the part that says at which port the front door asks a service.
pub(super) const PORT_OF: &str = "port of ";

/// That name.
pub(super) fn port_of(service: &ServiceName) -> String {
    format!("{PORT_OF}{service}")
}

/// Whether a part stands in stack.toml, and does not only follow from it.
pub(super) fn is_setting(part: &str) -> bool {
    !part.starts_with(FILE) && !part.starts_with(crate::plan::loaded::PART)
}

/// Why a service must load its files again.
pub(super) fn of_reload(inputs: &Inputs<'_>, placed: &Placed, after: &Parts) -> String {
    let state = inputs.observed.state.as_ref();
    let Some(before) = state.and_then(|s| s.loaded.get(placed.service.as_str())).filter(|p| !p.is_empty()) else {
        return "its configuration changed".to_owned();
    };
    // Files are named only where nothing of stack.toml explains why they differ.
    let settings = |parts: &Parts| -> Parts {
        parts.iter().filter(|(name, _)| is_setting(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    parts::cause(&settings(before), &settings(after))
        .or_else(|| parts::cause(before, after))
        .unwrap_or_else(|| "the last run ended before it was loaded".to_owned())
}

/// What stays behind without a user: data in a volume that a service had and no longer has.
pub(super) fn data_left(inputs: &Inputs<'_>, placement: &Placement) -> Vec<String> {
    let wanted = inputs.stack.data_volumes();
    let data: BTreeSet<&str> = inputs
        .observed
        .volumes
        .iter()
        .filter(|v| v.labels.get(label::ROLE).is_some_and(|r| r == "data") && !wanted.contains_key(&v.name))
        .map(|v| v.name.as_str())
        .collect();
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    if data.is_empty() {
        return Vec::new();
    }
    for container in &inputs.observed.containers {
        for (part, value) in container.parts().unwrap_or_default() {
            let (Some(target), Some(volume)) = (part.strip_prefix("volume "), value.split(' ').next()) else {
                continue;
            };
            if !data.contains(volume) {
                continue;
            }
            let placed = placement.services.iter().find(|p| p.service.as_str() == container.service());
            let instead = placed.and_then(|p| p.spec.mounts.iter().find(|m| m.target == target)).map(|m| &m.volume);
            let text = match instead {
                Some(other) => format!(
                    "{} gets volume {other} at {target} instead of {volume}, whose data it no longer sees; {volume} stays",
                    container.service()
                ),
                None => format!("volume {volume} of {} stays, with its data; nothing uses it", container.service()),
            };
            out.insert(volume.to_owned(), text);
        }
    }
    out.into_values().collect()
}
