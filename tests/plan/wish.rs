//! What somebody wants: a stack file with the values it needs, and from there to a plan as `apply::prepare` does it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use stackctl::base::name::{SecretName, ServiceName};
use stackctl::base::secret::Secret;
use stackctl::config;
use stackctl::engine::state::secret_file;
use stackctl::model::artifact::{Artifact, door_hash, files_hash};
use stackctl::model::observed::Observed;
use stackctl::model::secrets::{SecretSource, SecretValues};
use stackctl::model::service::{Image, Preset};
use stackctl::model::stack::Stack;
use stackctl::plan::{self, Files, Inputs, Placement, Plan, Seal};
use stackctl::render;

use crate::model::{Door, World};

thread_local! {
    static KNOWN: RefCell<BTreeMap<String, Stack>> = const { RefCell::new(BTreeMap::new()) };
}

#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) stack: Stack,
    /// Values of secrets that come from outside, by variable.
    pub(crate) outside: BTreeMap<String, String>,
    /// Hash of every build context.
    pub(crate) context: String,
    /// Images to go back to, by the reference that means something else now.
    pub(crate) back: Option<BTreeMap<String, String>>,
}

impl Wish {
    pub(crate) fn new(text: &str) -> Self {
        // The same few texts are read thousands of times.
        let known = KNOWN.with_borrow(|known| known.get(text).cloned());
        let stack = known.unwrap_or_else(|| {
            let loaded = config::load(text, None, &BTreeMap::new());
            let Some(stack) = loaded.stack else { panic!("{:#?}\n{text}", loaded.problems) };
            KNOWN.with_borrow_mut(|known| known.insert(text.to_owned(), stack.clone()));
            stack
        });
        Self { stack, outside: BTreeMap::new(), context: "0123456789abcdef".into(), back: None }
    }

    pub(crate) fn secret(mut self, variable: &str, value: &str) -> Self {
        self.outside.insert(variable.into(), value.into());
        self
    }

    pub(crate) fn context(mut self, hash: &str) -> Self {
        self.context = hash.into();
        self
    }

    /// What a plan is made from, as `plan --out` keeps it.
    pub(crate) fn seal_of(&self, observed: &Observed) -> Seal {
        let mut seal = None;
        self.with(observed.clone(), |inputs, planned, fresh| seal = Some(Seal::of(inputs, &planned.plan, fresh)))
            .expect("a place for everything");
        seal.expect("a plan")
    }

    pub(crate) fn plan(&self, world: &mut World) -> Planned {
        world.ensure_state(&self.stack);
        self.with(world.observe(&self.stack), |_, _, _| {}).expect("a place for everything")
    }

    pub(crate) fn plan_of(&self, observed: &Observed) -> Planned {
        self.try_plan(observed).expect("a place for everything")
    }

    pub(crate) fn try_plan(&self, observed: &Observed) -> Result<Planned, plan::PlanError> {
        self.with(observed.clone(), |_, _, _| {})
    }

    fn with(
        &self,
        mut observed: Observed,
        look: impl FnOnce(&Inputs<'_>, &Planned, &BTreeSet<SecretName>),
    ) -> Result<Planned, plan::PlanError> {
        let stack = &self.stack;
        let mut values = SecretValues::new();
        let mut new = Vec::new();
        let mut fresh = BTreeSet::new();
        for (name, spec) in &stack.secrets {
            let stored = observed.state.as_ref().and_then(|s| s.secrets.get(name));
            let value = match &spec.source {
                SecretSource::Derived(_) => continue,
                SecretSource::Env(variable) => {
                    Secret::new(self.outside.get(variable).cloned().unwrap_or_else(|| "from outside".into()))
                }
                _ => stored.cloned().unwrap_or_else(|| {
                    fresh.insert(name.clone());
                    Secret::new(format!("made for {name}"))
                }),
            };
            if stored != Some(&value) {
                new.push(secret_file(name, &value));
            }
            values.insert(name.clone(), value);
        }
        for (name, spec) in &stack.secrets {
            if let SecretSource::Derived(template) = &spec.source {
                let value = template.fill(&values);
                values.insert(name.clone(), value);
            }
        }
        let contexts: BTreeMap<ServiceName, String> = stack
            .services
            .values()
            .filter_map(|s| match &s.image {
                Image::Build(build) => Some((build.name.clone(), self.context.clone())),
                Image::Pull(_) => None,
            })
            .collect();
        let nothing = Observed::default();
        let base = Inputs {
            stack,
            observed: &nothing,
            values: &values,
            key: b"key",
            contexts: &contexts,
            mirror: None,
            origin: ("/srv/stack", "/srv/stack/stack.toml"),
            back: self.back.as_ref(),
            locked: None,
        };
        let asked: BTreeSet<String> = stack
            .services
            .values()
            .map(|s| plan::image::reference(s, &base))
            .chain(stack.proxy.iter().map(|p| p.image.clone()))
            .collect();
        // As the real engine is asked: for the images of this stack and no others.
        // As `apply::past` does: a reference shows what the release knew it as.
        for (reference, name) in self.back.iter().flatten() {
            let image = observed.images.get(name).cloned().expect("an image that is held");
            observed.images.insert(reference.clone(), image);
        }
        observed.images.retain(|reference, _| asked.contains(reference));
        let inputs = Inputs { observed: &observed, ..base };
        let placement = plan::place(&inputs)?;
        let files = files(&inputs, &placement);
        let plan = plan::reconcile(&inputs, &placement, &files, new);
        let planned = Planned { plan, placement, files };
        look(&inputs, &planned, &fresh);
        Ok(planned)
    }
}

pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) placement: Placement,
    pub(crate) files: Files,
}

/// Stands in for the templates: says all that decides about traffic, and changes whenever they would.
fn files(inputs: &Inputs<'_>, placement: &Placement) -> Files {
    let (stack, values) = (inputs.stack, inputs.values);
    let mut out = Files::new();
    for watcher in placement.services.iter().filter(|p| p.reloads) {
        // A store reads who may log in, which is small enough to be the real thing; whatever else reloads watches.
        if let Some(store) = stack.services.get(&watcher.service).filter(|s| s.preset == Some(Preset::Redis)) {
            let files = render::redis(store, values);
            out.insert(watcher.service.clone(), (files_hash(b"key", &files), files));
            continue;
        }
        let mut targets = Vec::new();
        for placed in &placement.services {
            let Some(service) = stack.services.get(&placed.service).filter(|s| s.metrics.is_some()) else { continue };
            for replica in &placed.replicas {
                let socket = service.port.and_then(|p| placed.socket_for(watcher, replica, p));
                targets.extend(socket.map(|s| s.to_string()));
            }
        }
        let files = vec![Artifact::plain("prometheus.yml", targets.join("\n"))];
        out.insert(watcher.service.clone(), (files_hash(b"key", &files), files));
    }
    if let (Some(proxy), Some(door)) = (&stack.proxy, &placement.proxy) {
        let mut routes = BTreeMap::new();
        let has_route = |service: &ServiceName| proxy.routes.iter().any(|r| r.leads_to(service));
        for (service, replicas) in plan::door::upstreams(inputs, placement) {
            // With no replicas there is nothing to send requests to: the template answers 503.
            if has_route(&service) && !replicas.is_empty() {
                let bank = |bank: usize| replicas.values().map(|sockets| sockets[bank]).collect();
                routes.insert(service.to_string(), [bank(0), bank(1)]);
            }
        }
        let mut ports: BTreeSet<u16> =
            stack.services.values().filter(|s| has_route(&s.name)).filter_map(|s| s.port).collect();
        ports.extend(routes.values().flatten().flatten().map(std::net::SocketAddrV4::port));
        let rules: Vec<_> = proxy.routes.iter().map(|r| json!([r.path, r.backend, r.limit, r.timeout])).collect();
        let certificate: Vec<&str> =
            values.iter().filter(|(n, _)| n.as_str().contains("tls")).map(|(_, v)| v.expose()).collect();
        let rest = json!([rules, proxy.domains, proxy.headers, proxy.image]).to_string();
        let text = serde_json::to_string(&Door { routes, ports, rest }).expect("plain data");
        let mut files = vec![Artifact::plain("nginx.conf", text)];
        let configuration = files_hash(b"key", &files);
        if !certificate.is_empty() {
            files.push(Artifact::plain("certs/site.key", certificate.join("\n")));
        }
        out.insert(door.service.clone(), (door_hash(&configuration, b"key", &files), files));
    }
    out
}
