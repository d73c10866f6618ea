//! Every container gets its configuration, its number, its name and its addresses; those that run already and are
//! right keep them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::base::name::ServiceName;
use crate::base::units::Span;
use crate::model::artifact::{Artifact, files_hash};
use crate::model::container::{ContainerSpec, NetworkSpec, label};
use crate::model::drift::{self, Drift};
use crate::model::observed::{Observed, ObservedContainer};
use crate::model::parts::{Parts, hidden};
use crate::model::service::PullPolicy;

use super::network::{self, PROXY};
use super::{Inputs, PlanError, address, image, launcher, spec};

/// Where everything goes.
#[derive(Debug, Clone)]
pub struct Placement {
    /// All networks of the stack.
    pub networks: Vec<NetworkSpec>,
    /// Services in start order.
    pub services: Vec<Placed>,
    /// The front door.
    pub proxy: Option<Placed>,
}

/// A service's containers.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The service; `proxy` for the front door.
    pub service: ServiceName,
    /// Its configuration, without what differs between replicas.
    pub spec: ContainerSpec,
    /// Hash of that.
    pub hash: String,
    /// Files volume that changes its name with its content, and what is in it.
    pub fixed_files: Option<(String, Vec<Artifact>)>,
    /// It reads files that change under it.
    pub reloads: bool,
    /// New containers may run beside old ones.
    pub start_first: bool,
    /// Time old ones stay after traffic has left them.
    pub drain: Span,
    /// The bank its containers shall be in.
    pub bank: u8,
    /// The bank that serves now.
    pub live: u8,
    /// Containers to have.
    pub replicas: Vec<Replica>,
    /// Names of containers to take away once the others serve.
    pub retired: Vec<String>,
    /// Names of containers that are in the way: left half-made by a run that was killed.
    pub broken: Vec<String>,
    /// Which of the observed containers are its own.
    own: Vec<usize>,
}

/// One container to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// From 1.
    pub number: u32,
    /// Its name in the end.
    pub name: String,
    /// The container that is there already with the right configuration: its present name, and whether it runs.
    pub existing: Option<(String, bool)>,
    /// Fixed address on each network, in bank 0 and bank 1.
    pub places: BTreeMap<String, [Ipv4Addr; 2]>,
    /// The bank it is in.
    pub bank: u8,
    /// Name to create it under, if it has to be created.
    pub create_as: String,
}

impl Replica {
    /// Its address on a network.
    pub fn address(&self, network: &str) -> Option<Ipv4Addr> {
        self.places.get(network).map(|banks| banks[usize::from(self.bank)])
    }
}

impl Placed {
    /// The containers it has.
    pub(super) fn there<'a>(&'a self, observed: &'a Observed) -> impl Iterator<Item = &'a ObservedContainer> {
        self.own.iter().filter_map(|index| observed.containers.get(*index))
    }

    /// The configuration part by part; instead of the volume that its files make the name of, the files.
    pub fn parts(&self, inputs: &Inputs<'_>) -> Parts {
        let mut out = self.spec.parts(inputs.key);
        let Some((volume, files)) = &self.fixed_files else { return out };
        for mount in self.spec.mounts.iter().filter(|m| m.volume == *volume) {
            out.remove(&format!("volume {}", mount.target));
        }
        let secrets = inputs.stack.services.get(&self.service).map(|s| &s.secrets);
        for file in files {
            let secret = secrets.is_some_and(|s| s.iter().any(|name| name.as_str() == file.path));
            let kind = if secret { "secret" } else { "file" };
            let mut value = format!("{:o} {} ", file.mode, file.uid).into_bytes();
            value.extend_from_slice(file.content.bytes());
            out.insert(format!("{kind} {}", file.path), hidden(inputs.key, &value));
        }
        out
    }

    /// Where a replica answers: its first network (the default one, if it is there) and a port.
    pub fn socket(&self, replica: &Replica, port: u16) -> Option<SocketAddrV4> {
        let first = self.spec.networks.first()?;
        replica.address(&first.network).map(|a| SocketAddrV4::new(a, port))
    }

    /// Where a visitor reaches a replica, on a network both are on: in bank 0 and in bank 1.
    pub fn sockets_for(&self, visitor: &Placed, replica: &Replica, port: u16) -> Option<[SocketAddrV4; 2]> {
        let shared =
            self.spec.networks.iter().find(|n| visitor.spec.networks.iter().any(|v| v.network == n.network))?;
        replica.places.get(&shared.network).map(|banks| banks.map(|a| SocketAddrV4::new(a, port)))
    }

    /// Where a visitor reaches a replica, on a network both are on.
    pub fn socket_for(&self, visitor: &Placed, replica: &Replica, port: u16) -> Option<SocketAddrV4> {
        self.sockets_for(visitor, replica, port).map(|banks| banks[usize::from(replica.bank)])
    }
}

/// Places the whole stack.
pub fn place(inputs: &Inputs<'_>) -> Result<Placement, PlanError> {
    let networks = network::specs(inputs)?;
    let mut allocator = address::Allocator::new(inputs.observed, &networks);
    let own = own(inputs.observed);
    let members = network::members(inputs.stack);
    let mut services = Vec::new();
    for service in inputs.stack.start_order() {
        let image = image::reference(service, inputs);
        if service.pull == PullPolicy::Never && !inputs.observed.images.contains_key(&image) {
            let image = inputs.pinned(&image).to_owned();
            return Err(PlanError::NoImage { image, service: service.name.to_string() });
        }
        let arch = &inputs.observed.engine.arch;
        if launcher::starts(service, inputs.values) && launcher::program(arch).is_none() {
            return Err(PlanError::NoLauncher { service: service.name.to_string(), arch: arch.clone() });
        }
        let files = spec::fixed_files(service, inputs);
        let fixed_files = (!files.is_empty()).then(|| {
            let hash = files_hash(inputs.key, &files);
            let key = format!("{}-files-{}", service.name, hash.get(..8).unwrap_or_default());
            (inputs.stack.volume_name(&key), files)
        });
        let container = spec::of_service(service, fixed_files.as_ref().map(|f| f.0.as_str()), &members, inputs);
        services.push(placed(
            Shape {
                service: service.name.clone(),
                spec: container,
                fixed_files,
                reloads: service.reloads(),
                start_first: service.start_first(),
                drain: service.drain,
                replicas: service.replicas,
            },
            &networks,
            &own,
            &mut allocator,
            inputs,
        )?);
    }
    let proxy = match (&inputs.stack.proxy, ServiceName::parse(PROXY)) {
        (Some(proxy), Some(service)) => {
            let shape = Shape {
                service,
                spec: spec::of_proxy(proxy, &members, inputs),
                fixed_files: None,
                reloads: true,
                // It holds the published ports: two cannot.
                start_first: false,
                drain: Span::seconds(0),
                replicas: 1,
            };
            Some(placed(shape, &networks, &own, &mut allocator, inputs)?)
        }
        _ => None,
    };
    Ok(Placement { networks, services, proxy })
}

/// Indexes of the observed containers that serve, by service.
fn own(observed: &Observed) -> BTreeMap<&str, Vec<usize>> {
    let mut out: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, container) in observed.containers.iter().enumerate() {
        if container.label(label::ROLE) == "service" {
            out.entry(container.service()).or_default().push(index);
        }
    }
    out
}

struct Shape {
    service: ServiceName,
    spec: ContainerSpec,
    fixed_files: Option<(String, Vec<Artifact>)>,
    reloads: bool,
    start_first: bool,
    drain: Span,
    replicas: u32,
}

fn placed(
    shape: Shape,
    networks: &[NetworkSpec],
    own: &BTreeMap<&str, Vec<usize>>,
    allocator: &mut address::Allocator,
    inputs: &Inputs<'_>,
) -> Result<Placed, PlanError> {
    let hash = shape.spec.config_hash(inputs.key);
    let own = own.get(shape.service.as_str()).cloned().unwrap_or_default();
    let there: Vec<&ObservedContainer> = own.iter().filter_map(|i| inputs.observed.containers.get(*i)).collect();
    let live = live_bank(shape.service.as_str(), &there, inputs);
    let replaced = changed_by_hand(&there, &shape.spec, &hash, inputs);
    // One that serves cannot be replaced at its own address without dropping what it is answering: all move.
    let all_move = there.iter().any(|c| replaced.contains(c.name.as_str()) && c.running() && address::bank(c) == live);
    // One that was never started is half-made: nobody knows what else was to happen first.
    let right = |c: &ObservedContainer| {
        c.label(label::CONFIG) == hash
            && c.state != "created"
            && whole(c, &shape.spec)
            && image_is(c, &shape.spec, inputs)
            && !replaced.contains(c.name.as_str())
            && !(all_move && address::bank(c) == live)
    };
    let bank = match shape.replicas {
        // Nobody to switch to: what is there serves until the front door has forgotten it.
        0 => live,
        _ => address::target_bank(live, &there, |c| right(c) && (c.running() || !c.name.contains('.'))),
    };

    let mut replicas = Vec::new();
    let mut kept: Vec<&str> = Vec::new();
    for number in 1..=shape.replicas {
        let name = inputs.stack.container_name(shape.service.as_str(), number);
        let mut candidates: Vec<&&ObservedContainer> =
            there.iter().filter(|c| c.number() == number && address::bank(c) == bank && right(c)).collect();
        // The one that already has its name is the one that serves.
        candidates.sort_by_key(|c| (c.name != name, !c.running(), c.id.clone()));
        // One that never got its name must at least run: else nobody knows how far its making got.
        let existing = candidates.into_iter().find(|c| c.name == name || c.running());
        let create_as = if there.iter().any(|c| c.name == name && c.state != "created") {
            format!("{name}.{}", hash.get(..8).unwrap_or_default())
        } else {
            name.clone()
        };
        let mut places = BTreeMap::new();
        for attachment in &shape.spec.networks {
            if let Some(network) = networks.iter().find(|n| n.name == attachment.network) {
                places.insert(network.name.clone(), allocator.take(network, shape.service.as_str(), number)?);
            }
        }
        let existing = existing.map(|c| {
            kept.push(&c.name);
            (c.name.clone(), c.running())
        });
        replicas.push(Replica { number, name, existing, places, bank, create_as });
    }

    let others = || there.iter().filter(|c| !kept.contains(&c.name.as_str()));
    // What is wrong in the bank that is wanted holds addresses that are needed now.
    let in_the_way = |c: &ObservedContainer| {
        let wanted = replicas.iter().any(|r| r.existing.is_none() && r.number == c.number());
        (wanted && address::bank(c) == bank)
            || replicas.iter().any(|r| r.existing.is_none() && r.create_as == c.name)
            || (!c.running() && c.name.contains('.'))
    };
    Ok(Placed {
        broken: others().filter(|c| in_the_way(c)).map(|c| c.name.clone()).collect(),
        retired: others().filter(|c| !in_the_way(c)).map(|c| c.name.clone()).collect(),
        own,
        service: shape.service,
        spec: shape.spec,
        hash,
        fixed_files: shape.fixed_files,
        reloads: shape.reloads,
        start_first: shape.start_first,
        drain: shape.drain,
        bank,
        live,
        replicas,
    })
}

/// The bank that serves: as the front door's flag says. The flag of a service without routes may be from another
/// time, or its last route may just be going: it counts as long as somebody runs there. Without one, where containers
/// run: first those of a release that came to its end, then those that have their names.
fn live_bank(service: &str, there: &[&ObservedContainer], inputs: &Inputs<'_>) -> u8 {
    let routed = inputs
        .stack
        .proxy
        .as_ref()
        .is_some_and(|p| p.routes.iter().any(|r| r.service().is_some_and(|s| s.as_str() == service)));
    let flag = inputs.observed.live.get(service).copied();
    if routed {
        return flag.unwrap_or(0);
    }
    if let Some(flag) = flag.filter(|f| there.iter().any(|c| c.running() && address::bank(c) == *f)) {
        return flag;
    }
    let named = |c: &ObservedContainer| c.name == inputs.stack.container_name(service, c.number());
    there.iter().max_by_key(|c| (c.running(), proven(c, inputs), named(c))).map_or(0, |c| address::bank(c))
}

/// Whether a container has been seen ready: the release that made it came to its end. After a killed run nobody knows.
pub(super) fn proven(container: &ObservedContainer, inputs: &Inputs<'_>) -> bool {
    let state = inputs.observed.state.as_ref();
    let done = state.and_then(|s| s.releases.iter().rev().find(|r| r.result == "done")).map_or(0, |r| r.number);
    container.label(label::RELEASE).parse::<u32>().is_ok_and(|made| made <= done)
}

/// All its networks are connected: a run that was killed between creating and connecting leaves one that is not.
fn whole(container: &ObservedContainer, spec: &ContainerSpec) -> bool {
    spec.networks.iter().all(|n| container.networks.contains_key(&n.network))
}

/// What somebody changed about a container by hand; nothing where nobody looked.
pub(super) fn drift(container: &ObservedContainer, spec: &ContainerSpec, inputs: &Inputs<'_>) -> Drift {
    let Some(has) = inputs.observed.fields.get(&container.name) else { return Drift::default() };
    let image = inputs.observed.images.get(&spec.image).filter(|i| i.id == container.image_id).map(|i| &i.env);
    drift::between(&spec.shown(inputs.key), has, &inputs.observed.keeps.dropped(), image)
}

/// Containers with changes that no engine takes back while they run.
fn changed_by_hand<'a>(
    there: &[&'a ObservedContainer],
    spec: &ContainerSpec,
    hash: &str,
    inputs: &Inputs<'_>,
) -> BTreeSet<&'a str> {
    let drifted = |c: &&&ObservedContainer| {
        let drift = drift(c, spec, inputs);
        !drift.changes.is_empty() && !drift.while_it_runs
    };
    there.iter().filter(|c| c.label(label::CONFIG) == hash).filter(drifted).map(|c| c.name.as_str()).collect()
}

/// The tag still means the image it was made from.
pub(super) fn image_is(container: &ObservedContainer, spec: &ContainerSpec, inputs: &Inputs<'_>) -> bool {
    !inputs.observed.moved.contains(&spec.image)
        && inputs.observed.images.get(&spec.image).is_none_or(|image| image.id == container.image_id)
}
