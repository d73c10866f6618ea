//! Presets: services we know. A new one is a file here and a line in [`PRESETS`].

mod alertmanager;
pub mod external;
mod grafana;
mod postgres;
mod prometheus;
mod qdrant;
mod redis;
pub(super) mod setup;
#[cfg(test)]
mod tests;

pub use postgres::MAJORS as POSTGRES_MAJORS;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::model::secrets::{Recipe, SecretSource, SecretSpec, Template};
use crate::model::service::{Image, Preset, Service};

use super::beside::Beside;
use super::decode::At;
use super::keys::service::ServiceKeys;
use super::tree::Part;
use super::values::Templated;

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
    /// Keys of its own, besides those of every service.
    pub keys: &'static [&'static str],
    /// How the URL of one that runs elsewhere may start; the first is how ours starts.
    pub schemes: &'static [&'static str],
    /// Fills in what the preset knows.
    expand: fn(&mut Expansion<'_>),
}

/// All presets.
pub const PRESETS: &[Definition] = &[
    alertmanager::DEFINITION,
    grafana::DEFINITION,
    postgres::DEFINITION,
    prometheus::DEFINITION,
    qdrant::DEFINITION,
    redis::DEFINITION,
];

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
    /// The image the user wants instead of the preset's.
    pub image: Option<Image>,
    /// Services that come with it.
    pub companions: Vec<Service>,
    /// Prometheus of this stack, if it has one.
    pub prometheus: Option<ServiceName>,
    /// Secrets of the file.
    pub declared: &'a BTreeMap<SecretName, SecretSpec>,
    /// Those of them the preset uses.
    pub used: BTreeSet<SecretName>,
    /// Files beside stack.toml.
    pub beside: &'a dyn Beside,
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
        let full = self.private(name, source);
        self.offered_secrets.insert(name, full.clone());
        full
    }

    /// A secret of this service, `SERVICE.NAME`, that nobody else gets.
    pub fn private(&mut self, name: &'static str, source: SecretSource) -> SecretName {
        // Service names and ours are both valid parts of a secret's name; a fallback is never reached.
        let full = SecretName::parse(&format!("{}.{name}", self.service.name)).unwrap_or_else(|| fallback(name));
        self.secrets.insert(full.clone(), SecretSpec::required(self.service.line, source));
        full
    }

    /// The secret that others must know to get in: the user's own (`password = "${secrets.NAME}"`), or one that is
    /// made once.
    pub fn password(&mut self, offer: &'static str) -> SecretName {
        let Some(own) = &self.keys.password else {
            return self.secret(offer, SecretSource::Generate(Recipe::UrlSafe(32)));
        };
        match secret_of(own, self.declared, self.problems) {
            Some(name) => {
                self.used.insert(name.clone());
                self.offered_secrets.insert(offer, name.clone());
                name
            }
            None => self.secret(offer, SecretSource::Generate(Recipe::UrlSafe(32))),
        }
    }

    /// The image: the preset's, or the user's in its place.
    pub fn image(&mut self, repository: &str) -> Image {
        self.image.take().unwrap_or_else(|| Image::Pull(format!("{repository}:{}", self.tag)))
    }

    /// Whether the image is built on Alpine, whose users have other numbers.
    fn alpine(&self) -> bool {
        self.tag.contains("alpine")
    }
}

/// The secret that a key names, and nothing else.
fn secret_of(
    key: &At<Templated>,
    declared: &BTreeMap<SecretName, SecretSpec>,
    problems: &mut Problems,
) -> Option<SecretName> {
    secret_that_is("a password", key, declared, problems)
}

/// The same, for what is no password.
pub(super) fn secret_that_is(
    what: &str,
    key: &At<Templated>,
    declared: &BTreeMap<SecretName, SecretSpec>,
    problems: &mut Problems,
) -> Option<SecretName> {
    let [Part::Reference(reference)] = key.value.0.as_slice() else {
        problems.push(
            Problem::error(format!("{what} does not belong into stack.toml"))
                .at(key.span.clone())
                .hidden()
                .label("name a secret instead")
                .help("write `\"${secrets.NAME}\"`, and declare that secret in `[secrets]`"),
        );
        return None;
    };
    let name = reference.strip_prefix("secrets.").and_then(SecretName::parse).filter(|n| declared.contains_key(n));
    if name.is_none() {
        let mut problem = Problem::error(format!("`${{{reference}}}` is not a secret of this file"));
        problem = problem.at(key.span.clone());
        if let Some(name) = reference.strip_prefix("secrets.") {
            problem = problem.fix(format!("[secrets]\n{name} = {{ env = \"{}\" }}", name.to_uppercase()));
        }
        problems.push(problem);
    }
    name
}

/// The user's settings over a preset's own.
fn overridden(mut own: Vec<(String, String)>, keys: &ServiceKeys) -> Vec<(String, String)> {
    for (key, value) in keys.settings.iter().flat_map(|m| &m.value.0) {
        own.retain(|(name, _)| *name != key.value.0);
        own.push((key.value.0.clone(), value.value.0.clone()));
    }
    own
}

fn add_environment(service: &mut Service, key: &str, value: Template) {
    service.environment.entry(key.to_owned()).or_insert(value);
}

fn fallback(name: &str) -> SecretName {
    match SecretName::parse(name) {
        Some(name) => name,
        None => unreachable!("preset secret names are constants that follow the rule"),
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

/// The first service of a file that is a Prometheus of its own.
pub(super) fn prometheus<'a>(
    entries: impl Iterator<Item = &'a (At<ServiceName>, At<ServiceKeys>)>,
) -> Option<&'a ServiceName> {
    let is_one = |keys: &ServiceKeys| {
        let preset = keys.preset.as_ref().and_then(|p| find(&p.value.0));
        keys.external.is_none() && preset.is_some_and(|(definition, _)| definition.name == "prometheus")
    };
    entries.into_iter().find(|(_, keys)| is_one(&keys.value)).map(|(name, _)| &name.value)
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
        "qdrant" => Preset::Qdrant,
        "grafana" => Preset::Grafana,
        "alertmanager" => Preset::Alertmanager,
        _ => Preset::Prometheus,
    }
}
