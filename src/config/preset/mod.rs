//! Presets: services we know. A new one is a file here and a line in [`PRESETS`].

mod postgres;
mod prometheus;
mod redis;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::Problems;
use crate::base::units::Span;
use crate::model::secrets::{SecretSource, SecretSpec, Template};
use crate::model::service::{Image, Preset, Restart, Service};

use super::keys::service::ServiceKeys;
use super::tree::Part;

/// A preset as the file's reader sees it.
pub struct Definition {
    /// Name before the colon.
    pub name: &'static str,
    /// Tag where none is given.
    pub tag: &'static str,
    /// What comes with it, in a sentence.
    pub text: &'static str,
    /// What `${SERVICE.…}` can refer to.
    pub offers: &'static [&'static str],
    /// Fills in what the preset knows.
    expand: fn(&mut Expansion<'_>),
}

/// All presets.
pub const PRESETS: &[Definition] = &[postgres::DEFINITION, prometheus::DEFINITION, redis::DEFINITION];

/// A service that a preset is being applied to.
pub struct Expansion<'a> {
    /// Default name of databases and roles: the stack's name, made fit.
    pub base: String,
    /// Tag of the image.
    pub tag: String,
    /// What the user wrote.
    pub keys: &'a ServiceKeys,
    /// The service so far.
    pub service: Service,
    /// Secrets the preset implies.
    pub secrets: BTreeMap<SecretName, SecretSpec>,
    /// What `${SERVICE.NAME}` stands for.
    pub offers: BTreeMap<&'static str, Template>,
    /// Which of `offers` are secrets by name, so that `${SERVICE.NAME.file}` works.
    pub offered_secrets: BTreeMap<&'static str, SecretName>,
    /// Problems found on the way.
    pub problems: &'a mut Problems,
}

impl Expansion<'_> {
    /// A secret of this service, `SERVICE.NAME`, that is offered to others.
    pub fn secret(&mut self, name: &'static str, source: SecretSource) -> SecretName {
        // Service names and ours are both valid parts of a secret's name; a fallback is never reached.
        let full = SecretName::parse(&format!("{}.{name}", self.service.name)).unwrap_or_else(|| fallback(name));
        let spec = SecretSpec { line: self.service.line, source, optional: false };
        self.secrets.insert(full.clone(), spec);
        self.offered_secrets.insert(name, full.clone());
        full
    }
}

/// The user's settings over a preset's own.
fn overridden(mut own: Vec<(String, String)>, keys: &ServiceKeys) -> Vec<(String, String)> {
    for (key, value) in keys.settings.iter().flat_map(|m| &m.value.0) {
        let text: String = value
            .value
            .0
            .iter()
            .map(|part| match part {
                Part::Text(text) | Part::Reference(text) => text.as_str(),
            })
            .collect();
        own.retain(|(name, _)| *name != key.value.0);
        own.push((key.value.0.clone(), text));
    }
    own
}

fn fallback(name: &str) -> SecretName {
    match SecretName::parse(name) {
        Some(name) => name,
        None => unreachable!("preset secret names are constants that follow the rule"),
    }
}

/// A service with nothing but its name; defaults of the keys.
pub fn bare(name: ServiceName, line: u32, image: Image) -> Service {
    Service {
        name,
        line,
        image,
        preset: None,
        command: None,
        entrypoint: None,
        user: None,
        uid: None,
        environment: BTreeMap::new(),
        secrets: BTreeSet::new(),
        files: BTreeMap::new(),
        volumes: Vec::new(),
        tmpfs: BTreeMap::new(),
        port: None,
        replicas: 1,
        depends_on: BTreeSet::new(),
        health: None,
        pre_deploy: None,
        cpus: None,
        memory: None,
        pids: 512,
        read_only: false,
        cap_add: BTreeSet::new(),
        restart: Restart::Always,
        stop_signal: None,
        stop_grace_period: Span::seconds(30),
        egress: true,
        metrics: None,
        drain: Span::seconds(10),
    }
}

/// Finds a preset by `name` or `name:tag`.
pub fn find(text: &str) -> Option<(&'static Definition, String)> {
    let (name, tag) = text.split_once(':').map_or((text, None), |(n, t)| (n, Some(t)));
    let definition = PRESETS.iter().find(|p| p.name == name)?;
    let tag = tag.unwrap_or(definition.tag);
    let sane =
        !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    sane.then(|| (definition, tag.to_owned()))
}

/// Applies a preset.
pub fn expand(definition: &Definition, expansion: &mut Expansion<'_>) {
    (definition.expand)(expansion);
}

/// Which preset a definition makes.
pub fn kind(definition: &Definition) -> Preset {
    match definition.name {
        "postgres" => Preset::Postgres,
        "redis" => Preset::Redis,
        _ => Preset::Prometheus,
    }
}
