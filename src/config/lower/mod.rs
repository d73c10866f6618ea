//! From decoded keys to the model: references resolved, presets expanded, everything checked against everything.

mod like;
mod proxy;
mod reference;
mod secrets;
mod service;
mod shape_of_stack;

use std::collections::BTreeMap;

use crate::base::name::{ProjectName, ServiceName};
use crate::base::problem::{Problem, Problems, line_column};
use crate::model::secrets::SecretSpec;
use crate::model::service::Service;
use crate::model::stack::{Pool, Stack};

use super::keys::File;

pub(super) use like::apply_like;

/// What lowering needs to know besides the keys.
pub(super) struct Input<'a> {
    /// The file's text, for line numbers.
    pub(super) text: &'a str,
    /// There is a name, right or wrong.
    pub(super) named: bool,
    /// The stage asked for.
    pub(super) stage: Option<&'a str>,
}

impl Input<'_> {
    fn line(&self, span: &std::ops::Range<usize>) -> u32 {
        line_column(self.text, span.start).0
    }
}

/// Lowers the whole file. `None` if there is no name, or a wrong one; the rest is checked all the same.
pub(super) fn lower(file: &File, input: &Input<'_>, problems: &mut Problems) -> Option<Stack> {
    if !input.named {
        problems.push(
            Problem::error("the stack has no `name`")
                .at(0..0)
                .help("it becomes the prefix of everything the stack owns")
                .fix("name = \"my-stack\""),
        );
    }
    let name = file.name.as_ref().map_or_else(|| ProjectName::parse("x"), |n| Some(n.value.0.clone()))?;
    let project = project_name(&name, input.stage, problems)?;

    let mut services: BTreeMap<ServiceName, Service> = BTreeMap::new();
    let mut declared: BTreeMap<_, SecretSpec> = secrets::lower(file, input);
    let mut offers = reference::Offers::default();
    let entries = file.services.as_ref().map(|m| m.value.0.as_slice()).unwrap_or_default();
    // Services that are there but wrong have been reported already.
    if entries.is_empty() && !problems.has_errors() {
        let span = file.services.as_ref().map(|s| &s.span).or(file.name.as_ref().map(|n| &n.span));
        problems.push(
            Problem::error("the stack has no services")
                .at(span.cloned().unwrap_or(0..0))
                .help("a service is an image with a port")
                .fix("[services.app]\nbuild = \".\"\nport = 8000"),
        );
    }
    for (name_at, keys) in entries {
        let lowered = service::lower(name_at, keys, &name, input, problems);
        if let Some(lowered) = lowered {
            declared.extend(lowered.secrets);
            offers.add(&name_at.value, lowered.offers, lowered.offered_secrets);
            services.insert(name_at.value.clone(), lowered.service);
        }
    }
    let known: Vec<ServiceName> = entries.iter().map(|(n, _)| n.value.clone()).collect();
    let mut used = std::collections::BTreeSet::new();
    for (name_at, keys) in entries {
        let model_cpus = keys.value.like.as_ref().and_then(|like| services.get(&like.value)).and_then(|s| s.cpus);
        if let Some(service) = services.get_mut(&name_at.value) {
            let mut resolver = reference::Resolver {
                offers: &offers,
                declared: &declared,
                known: &known,
                model_cpus,
                used: &mut used,
                problems: &mut *problems,
            };
            resolver.environment(service, keys);
        }
    }
    let proxy = proxy::lower(file, &services, &mut declared, input, problems);
    shape_of_stack::check(file, &services, proxy.as_ref(), &used, problems);

    file.name.as_ref()?;
    Some(Stack {
        project,
        stage: input.stage.map(str::to_owned),
        host: file.host.as_ref().map(|h| h.value.0.clone()),
        services,
        secrets: declared,
        proxy,
        pool: file.pool.as_ref().map_or_else(Pool::default, |p| p.value.0),
    })
}

fn project_name(name: &ProjectName, stage: Option<&str>, problems: &mut Problems) -> Option<ProjectName> {
    let Some(stage) = stage else { return Some(name.clone()) };
    let full = ProjectName::parse(&format!("{name}-{stage}"));
    if full.is_none() {
        problems.push(
            Problem::error(format!("`{name}-{stage}` cannot be a project name"))
                .help(format!("allowed: {}", ProjectName::RULE)),
        );
    }
    full
}
