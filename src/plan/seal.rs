//! A plan that somebody has seen and put aside: what it was made from, so that exactly that plan is carried out later,
//! or none. A plan follows from what it is made from; so the seal is over that, and over the steps as they were shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::hash;
use crate::base::name::{ProjectName, SecretName};
use crate::model::container::label;
use crate::model::lock::{Lock, lockable};
use crate::model::parts::{Parts, hidden, without_lines};
use crate::model::stack::Stack;

use super::step::{Action, Plan};
use super::{Inputs, image};

/// Form of the file; another number is another form.
pub const SCHEMA: &str = "stackctl.sealed/1";

/// What a plan was made from. Holds no secret: their fingerprints are keyed, and the key stays on the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of stackctl that made the plan.
    pub stackctl: String,
    /// Project.
    pub project: ProjectName,
    /// Stage; empty for the default one.
    pub stage: String,
    /// Whether there was a key on the engine that values of secrets could be fingerprinted with. Without one they are
    /// left out: a fingerprint could be used to try out passwords.
    pub keyed: bool,
    /// What stack.toml, secrets and build contexts came to, by what it is about.
    pub wanted: Parts,
    /// What the engine had, by object.
    pub observed: Parts,
    /// The steps as they were shown, without what is drawn by lot.
    pub steps: Vec<String>,
    /// Files in volumes were read, and have to be read again.
    #[serde(default)]
    pub files: bool,
}

impl Seal {
    /// Seals a plan. `fresh` are secrets that were drawn for this plan: another run draws others.
    pub fn of(inputs: &Inputs<'_>, plan: &Plan, fresh: &BTreeSet<SecretName>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            stackctl: env!("CARGO_PKG_VERSION").to_owned(),
            project: inputs.stack.project.clone(),
            stage: inputs.stack.stage.clone().unwrap_or_default(),
            keyed: inputs.observed.state.as_ref().is_some_and(|s| !s.key.is_empty()),
            wanted: wanted(inputs, fresh),
            observed: observed(inputs, plan),
            steps: plan.steps.iter().map(|s| masked(&format!("{}: {}", s.action, s.cause))).collect(),
            files: false,
        }
    }

    /// The same for images that are held to what a lock says of them. What it says of images that this stack does not
    /// run is of no matter here.
    #[must_use]
    pub fn with_lock(mut self, stack: &Stack, lock: Option<&Lock>) -> Self {
        let digest = |image: &String| lock.and_then(|lock| lock.images.get(image)).cloned();
        for image in lockable(stack).keys() {
            self.wanted.extend(digest(image).map(|digest| (format!("stack.lock's digest of `{image}`"), digest)));
        }
        self
    }

    /// What is different now, in words; empty if the plan can be carried out as it was seen.
    pub fn broken_by(&self, now: &Self) -> Vec<String> {
        if self.schema != now.schema || self.stackctl != now.stackctl {
            return vec![format!("it was made by stackctl {}, this is {}", self.stackctl, now.stackctl)];
        }
        if (&self.project, &self.stage) != (&now.project, &now.stage) {
            let name = |seal: &Self| match seal.stage.as_str() {
                "" => seal.project.to_string(),
                stage => format!("{} (stage {stage})", seal.project),
            };
            return vec![format!("it is for {}, not for {}", name(self), name(now))];
        }
        let mut wanted = now.wanted.clone();
        if !self.keyed {
            wanted.retain(|name, _| !name.starts_with(SECRET));
        }
        let mut out = differences(&self.wanted, &wanted);
        out.extend(differences(&self.observed, &now.observed));
        if out.is_empty() && self.steps != now.steps {
            out.push("the same files and the same engine now lead to other steps".to_owned());
        }
        out
    }
}

/// How entries of values of secrets begin.
const SECRET: &str = "secret `";

fn print(value: &serde_json::Value) -> String {
    let mut print = hash::sha256(value.to_string().as_bytes());
    print.truncate(16);
    print
}

fn differences(then: &Parts, now: &Parts) -> Vec<String> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (then.get(name), now.get(name)) {
            (Some(then), Some(now)) if then == now => None,
            (Some(_), Some(_)) => Some(format!("{name} changed")),
            (None, _) => Some(format!("{name} is new")),
            (_, None) => Some(format!("{name} is gone")),
        })
        .collect()
}

fn wanted(inputs: &Inputs<'_>, fresh: &BTreeSet<SecretName>) -> Parts {
    let stack = inputs.stack;
    let mut out = Parts::new();
    let mut put = |name: String, value: serde_json::Value| {
        out.insert(name, print(&without_lines(value)));
    };
    for service in stack.services.values() {
        put(format!("service {}", service.name), {
            // Contents of files are not in a service's own form.
            let files = service.project_files.iter().flat_map(|f| &f.files).map(|f| f.text.as_str());
            serde_json::json!([service, image::reference(service, inputs), files.collect::<Vec<_>>()])
        });
    }
    if let Some(proxy) = &stack.proxy {
        put("the front door".to_owned(), serde_json::json!([proxy, image::mirrored(&proxy.image, inputs.mirror)]));
    }
    put("`pool`".to_owned(), serde_json::json!(stack.pool));
    for (name, spec) in &stack.secrets {
        put(format!("the source of secret `{name}`"), serde_json::json!(spec));
    }
    if inputs.observed.state.as_ref().is_some_and(|s| !s.key.is_empty()) {
        let derived = |name: &SecretName| {
            matches!(stack.secrets.get(name).map(|s| &s.source), Some(crate::model::secrets::SecretSource::Derived(_)))
        };
        for (name, value) in inputs.values.iter().filter(|(name, _)| !fresh.contains(*name) && !derived(name)) {
            out.insert(format!("{SECRET}{name}`"), hidden(inputs.key, value.expose().as_bytes()));
        }
    }
    out
}

fn observed(inputs: &Inputs<'_>, plan: &Plan) -> Parts {
    let observed = inputs.observed;
    let mut out = Parts::new();
    let mut put = |name: String, value: serde_json::Value| drop(out.insert(name, print(&value)));
    // The lock and the carrier of the state come and go with runs.
    for c in observed.containers.iter().filter(|c| ["service", "job"].contains(&c.label(label::ROLE))) {
        put(
            format!("container {}", c.name),
            serde_json::json!([c.id, c.state, c.image_id, c.labels, c.networks, c.ports, observed.fields.get(&c.name)]),
        );
    }
    let ours = |labels: &BTreeMap<String, String>| {
        labels.get(label::PROJECT).is_some_and(|p| p == inputs.stack.project.as_str())
    };
    // A new network gets addresses that nobody else has.
    let all = plan.steps.iter().any(|s| matches!(s.action, Action::CreateNetwork { .. }));
    for network in observed.networks.iter().filter(|n| all || ours(&n.labels)) {
        put(format!("network {}", network.name), serde_json::json!([network.id, network.internal, network.subnets]));
    }
    for volume in observed.volumes.iter().filter(|v| v.labels.get(label::ROLE).is_none_or(|r| r != "carrier")) {
        put(format!("volume {}", volume.name), serde_json::json!(volume.labels));
    }
    for (reference, image) in &observed.images {
        put(format!("image {reference}"), serde_json::json!(image.id));
    }
    for (service, bank) in &observed.live {
        put(format!("what serves {service}"), serde_json::json!(bank));
    }
    for (folder, seen) in &observed.assets {
        put(format!("the files of {folder}"), serde_json::json!(seen));
    }
    if let Some(state) = &observed.state {
        for (service, hash) in &state.applied {
            put(format!("the files of {service}"), serde_json::json!(hash));
        }
    }
    out.insert("the number of the next release".to_owned(), plan.release.to_string());
    out
}

/// Names that follow from secrets drawn by lot, or from a key that is yet to be made, without that part: eight or more
/// hexadecimal digits in a row.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        if run.len() >= 8 {
            out.push('…');
        } else {
            out.push_str(run);
        }
        run.clear();
    };
    for c in text.chars() {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            run.push(c);
        } else {
            flush(&mut run, &mut out);
            out.push(c);
        }
    }
    flush(&mut run, &mut out);
    out
}
