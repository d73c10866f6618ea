//! References in environments: `${secrets.NAME}`, `${SERVICE.url.file}`, `${workers}`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::{nearest, one_of};
use crate::config::decode::At;
use crate::config::keys::service::{BuildKey, ServiceKeys};
use crate::config::tree::Part;
use crate::model::secrets::{Piece, SecretSource, SecretSpec, Template};
use crate::model::service::{Grant, Service};

/// What services offer to each other.
#[derive(Default)]
pub(super) struct Offers {
    texts: BTreeMap<ServiceName, BTreeMap<&'static str, Template>>,
    secrets: BTreeMap<ServiceName, BTreeMap<&'static str, SecretName>>,
    /// Those that run elsewhere.
    elsewhere: BTreeSet<ServiceName>,
}

impl Offers {
    pub(super) fn add(
        &mut self,
        service: &ServiceName,
        elsewhere: bool,
        texts: BTreeMap<&'static str, Template>,
        secrets: BTreeMap<&'static str, SecretName>,
    ) {
        self.texts.insert(service.clone(), texts);
        self.secrets.insert(service.clone(), secrets);
        if elsewhere {
            self.elsewhere.insert(service.clone());
        }
    }

    /// Nobody waits for what runs elsewhere.
    pub(super) fn leave_out_of(&self, services: &mut BTreeMap<ServiceName, Service>) {
        for service in services.values_mut() {
            service.depends_on.retain(|needed| !self.elsewhere.contains(needed));
        }
    }
}

pub(super) struct Resolver<'a> {
    pub(super) offers: &'a Offers,
    pub(super) declared: &'a BTreeMap<SecretName, SecretSpec>,
    /// Names of secrets that are declared: one that is not in `declared` has been reported.
    pub(super) wrong: &'a [String],
    pub(super) known: &'a [ServiceName],
    /// Cores of the service that this one is `like`.
    pub(super) model_cpus: Option<f64>,
    /// Where the service begins: what it lacks goes below.
    pub(super) header: &'a Range<usize>,
    pub(super) used: &'a mut BTreeSet<SecretName>,
    pub(super) problems: &'a mut Problems,
}

impl Resolver<'_> {
    /// Fills in a service's environment and secrets, and the dependencies that follow from them.
    pub(super) fn environment(&mut self, service: &mut Service, keys: &At<ServiceKeys>) {
        for name in keys.value.secrets.iter().flat_map(|list| &list.value) {
            let secret = &name.value.name;
            if self.declared.contains_key(secret) {
                self.used.insert(secret.clone());
                service.secrets.insert(secret.clone());
                if name.value.grant != Grant::default() {
                    service.grants.insert(secret.clone(), name.value.grant);
                }
            } else {
                self.no_such_secret(secret.as_str(), &name.span);
            }
        }
        if let Some(BuildKey::Keys(build)) = keys.value.build.as_ref().map(|b| &b.value) {
            for name in build.secrets.iter().flat_map(|list| &list.value) {
                if self.declared.contains_key(&name.value) {
                    self.used.insert(name.value.clone());
                } else {
                    self.no_such_secret(name.value.as_str(), &name.span);
                }
            }
        }
        for (variable, value) in keys.value.environment.iter().flat_map(|m| &m.value.0) {
            let mut pieces = Vec::new();
            for part in &value.value.0 {
                match part {
                    Part::Text(text) => pieces.push(Piece::Text(text.clone())),
                    Part::Reference(reference) => {
                        if let Some(found) = self.resolve(reference, service, &value.span) {
                            pieces.extend(found);
                        }
                    }
                }
            }
            let template = Template(pieces);
            if template.is_secret() && !service.launcher {
                self.problems.push(
                    Problem::warning(format!("`{}` puts a secret into the environment", variable.value))
                        .rule("secret-in-environment")
                        .at(value.span.clone())
                        .label("visible to everyone who may ask the engine")
                        .help(format!(
                            "if the program can read it from a file, write `{}_FILE` and end the reference with `.file`; else `launcher = true` keeps it out of what the engine shows",
                            variable.value
                        )),
                );
            }
            self.along(&template, service);
            self.used.extend(template.values().cloned());
            self.used.extend(template.files().cloned());
            service.secrets.extend(template.files().cloned());
            service.environment.insert(variable.value.to_string(), template);
        }
        service.depends_on.remove(&service.name.clone());
    }

    /// Files that a text names which a secret stands for: the authority's, in the URL of a database.
    fn along(&self, template: &Template, service: &mut Service) {
        for spec in template.values().chain(template.files()).filter_map(|name| self.declared.get(name)) {
            if let SecretSource::Derived(inner) = &spec.source {
                service.secrets.extend(inner.files().cloned());
            }
        }
    }

    fn resolve(&mut self, reference: &str, service: &mut Service, span: &Range<usize>) -> Option<Vec<Piece>> {
        let (path, file) = match reference.strip_suffix(".file") {
            Some(path) => (path, true),
            None => (reference, false),
        };
        if path == "workers" && !file {
            return self.workers(service, span);
        }
        let Some((owner, name)) = path.split_once('.') else {
            self.unknown(reference, span);
            return None;
        };
        if owner == "secrets" {
            let Some(secret) = SecretName::parse(name).filter(|n| self.declared.contains_key(n)) else {
                self.no_such_secret(name, span);
                return None;
            };
            return Some(vec![if file { Piece::File(secret) } else { Piece::Secret(secret) }]);
        }
        let Some(target) = self.known.iter().find(|s| s.as_str() == owner).cloned() else {
            let mut problem = Problem::error(format!("there is no service `{owner}`")).at(span.clone());
            let names = || self.known.iter().map(ServiceName::as_str);
            problem = match nearest(owner, names()) {
                Some(near) => problem.help(format!("did you mean `${{{near}.{name}}}`?")),
                None => problem.help(format!("services of this stack: {}", names().collect::<Vec<_>>().join(", "))),
            };
            self.problems.push(problem);
            return None;
        };
        service.depends_on.insert(target.clone());
        if self.offers.elsewhere.contains(&target) && !service.egress {
            self.problems.push(
                Problem::error(format!("`{target}` runs elsewhere, and `{}` has no way out", service.name))
                    .at(span.clone())
                    .help("take its `egress = false` away"),
            );
        }
        let secret = self.offers.secrets.get(&target).and_then(|s| s.get(name)).cloned();
        let text = self.offers.texts.get(&target).and_then(|t| t.get(name)).cloned();
        match (secret, text, file) {
            (Some(secret), _, true) => Some(vec![Piece::File(secret)]),
            (Some(secret), _, false) => Some(vec![Piece::Secret(secret)]),
            (None, Some(text), false) => Some(text.0),
            _ => {
                let texts = self.offers.texts.get(&target).into_iter().flat_map(|t| t.keys().copied());
                let secrets = self.offers.secrets.get(&target).into_iter().flat_map(|s| s.keys().copied());
                let mut all: Vec<&str> = texts.chain(secrets).collect();
                all.sort_unstable();
                self.problems.push(
                    Problem::error(format!(
                        "`{target}` offers nothing called `{name}{}`",
                        if file { ".file" } else { "" }
                    ))
                    .at(span.clone())
                    .help(if all.is_empty() {
                        "only services with a preset offer values".to_owned()
                    } else {
                        format!("it offers {}", one_of(all))
                    }),
                );
                None
            }
        }
    }

    /// 2 × cores + 1, the rule of Gunicorn's manual, for the cores the service may use. A service that is `like`
    /// another may have the variable from there, and then not even use it: the other's cores do.
    fn workers(&mut self, service: &Service, span: &Range<usize>) -> Option<Vec<Piece>> {
        let Some(cpus) = service.cpus.or(self.model_cpus) else {
            self.problems.push(
                Problem::error(format!("`${{workers}}` is 2 × cpus + 1, and `{}` has no `cpus`", service.name))
                    .at(span.clone())
                    .fix_at(self.header.clone(), "cpus = 2"),
            );
            return None;
        };
        Some(vec![Piece::Text(format!("{:.0}", (2.0 * cpus).floor() + 1.0))])
    }

    fn unknown(&mut self, reference: &str, span: &Range<usize>) {
        self.problems.push(
            Problem::error(format!("`${{{reference}}}` refers to nothing"))
                .at(span.clone())
                .help("write `${secrets.NAME.file}`, `${SERVICE.url.file}`, `${workers}`, or `${NAME}` for a variable of the environment"),
        );
    }

    fn no_such_secret(&mut self, name: &str, span: &Range<usize>) {
        if self.wrong.iter().any(|wrong| wrong == name) {
            return;
        }
        let mut problem = Problem::error(format!("there is no secret `{name}`")).at(span.clone());
        problem = match nearest(name, self.declared.keys().map(SecretName::as_str)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.fix(format!("[secrets]\n{name} = {{ generate = \"hex:32\" }}")),
        };
        self.problems.push(problem);
    }
}
