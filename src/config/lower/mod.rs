//! From decoded keys to the model: references resolved, presets expanded, everything checked against everything.

mod beside;
mod checklist;
mod cors;
mod health;
mod image;
mod like;
mod limit;
mod monitoring;
mod native;
mod notify;
mod pages;
mod proxy;
mod reference;
mod rollout;
mod route;
mod runtime;
mod secrets;
mod service;
mod shape_of_stack;
mod snippets;
mod tls;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::{ProjectName, ServiceName};
use crate::base::problem::{Problem, Problems, line_column};
use crate::config::decode::At;
use crate::model::secrets::SecretSpec;
use crate::model::service::{Build, Image, Service};
use crate::model::stack::{Elsewhere, Pool, Stack};

use super::beside::Beside;
use super::keys::File;
use super::keys::service::ServiceKeys;
use super::lint;
use super::preset;

pub(super) use like::apply_like;

/// What lowering needs to know besides the keys.
pub(super) struct Input<'a> {
    /// The file's text, for line numbers.
    pub(super) text: &'a str,
    /// There is a name, right or wrong.
    pub(super) named: bool,
    /// Names of declared secrets, right or wrong.
    pub(super) secrets: Vec<String>,
    /// The stage asked for.
    pub(super) stage: Option<&'a str>,
    /// Files beside it.
    pub(super) beside: &'a dyn Beside,
}

impl Input<'_> {
    fn line(&self, span: &std::ops::Range<usize>) -> u32 {
        line_column(self.text, span.start).0
    }
}

/// Lowers the whole file. `None` if there is no name, or a wrong one; the rest is checked all the same.
pub(super) fn lower(file: &File, input: &Input<'_>, problems: &mut Problems) -> Option<Stack> {
    if !input.named {
        problems.push(without_name());
    }
    let name = file.name.as_ref().map_or_else(|| ProjectName::parse("x"), |n| Some(n.value.0.clone()))?;
    let project = project_name(&name, input.stage, problems)?;

    let mut services: BTreeMap<ServiceName, Service> = BTreeMap::new();
    let mut declared: BTreeMap<_, SecretSpec> = secrets::lower(file, input, problems);
    let mut offers = reference::Offers::default();
    let entries = file.services.as_ref().map(|m| m.value.0.as_slice()).unwrap_or_default();
    // Services that are there but wrong have been reported already.
    if entries.is_empty() && !problems.has_errors() {
        problems.push(without_services(file));
    }
    let mut used = BTreeSet::new();
    let mut implied = BTreeMap::new();
    let mut elsewhere: BTreeMap<ServiceName, Elsewhere> = BTreeMap::new();
    let around = service::Around { stack: &name, declared: &declared, prometheus: preset::prometheus(entries.iter()) };
    for (name_at, keys) in entries {
        let Some(lowered) = service::lower(name_at, keys, &around, input, problems) else { continue };
        implied.extend(lowered.secrets);
        used.extend(lowered.used);
        let away = lowered.service.is_none();
        if let Some((host, port)) = lowered.address {
            let line = input.line(&name_at.span);
            elsewhere.insert(name_at.value.clone(), Elsewhere { line, host, port, users: BTreeSet::new() });
        }
        offers.add(&name_at.value, away, lowered.offers, lowered.offered_secrets);
        services.extend(lowered.service.map(|service| (name_at.value.clone(), service)));
        for companion in lowered.companions {
            if let Some((taken, _)) = entries.iter().find(|(n, _)| n.value == companion.name) {
                let what = format!("`{}` is the name of the job that sets `{}` up", companion.name, name_at.value);
                problems.push(Problem::error(what).at(taken.span.clone()).help("give this service another name"));
            } else {
                services.insert(companion.name.clone(), companion);
            }
        }
    }
    native::together(entries, &services, problems);
    declared.extend(implied);
    let known: Vec<ServiceName> = entries.iter().map(|(n, _)| n.value.clone()).collect();
    for (name_at, keys) in entries {
        let model_cpus = keys.value.like.as_ref().and_then(|like| services.get(&like.value)).and_then(|s| s.cpus);
        if let Some(service) = services.get_mut(&name_at.value) {
            let mut resolver = reference::Resolver {
                offers: &offers,
                declared: &declared,
                wrong: &input.secrets,
                known: &known,
                model_cpus,
                header: &name_at.span,
                used: &mut used,
                problems: &mut *problems,
            };
            resolver.environment(service, keys);
        }
    }
    find_users(&mut elsewhere, &services);
    offers.leave_out_of(&mut services);
    after_setup(&mut services);
    share_builds(&mut services, entries);
    let proxy = proxy::lower(file, &services, &mut declared, input, problems);
    let checklist = checklist::lower(file, &services, input, problems);
    let mut around = monitoring::Around {
        file,
        elsewhere: &elsewhere,
        services: &mut services,
        declared: &mut declared,
        used: &mut used,
    };
    let monitoring = monitoring::lower(&mut around, input, problems);
    let notify = notify::lower(file, &declared, &mut used, input, problems);
    shape_of_stack::check(file, &services, proxy.as_ref(), &used, problems);
    lint::check(
        &lint::Stack {
            text: input.text,
            file,
            services: &services,
            secrets: &declared,
            proxy: proxy.as_ref(),
            project: project.as_str(),
        },
        problems,
    );

    file.name.as_ref()?;
    Some(Stack {
        project,
        checklist,
        stage: input.stage.map(str::to_owned),
        host: file.host.as_ref().map(|h| h.value.0.clone()),
        services,
        elsewhere,
        secrets: declared,
        proxy,
        monitoring,
        notify,
        hold_images: file.hold_images.as_ref().map_or(0, |n| n.value.get()),
        pool: file.pool.as_ref().map_or_else(Pool::default, |p| p.value.0),
    })
}

fn without_name() -> Problem {
    Problem::error("the stack has no `name`")
        .at(0..0)
        .help("it becomes the prefix of everything the stack owns")
        .fix("name = \"my-stack\"")
}

fn without_services(file: &File) -> Problem {
    let span = file.services.as_ref().map(|s| &s.span).or(file.name.as_ref().map(|n| &n.span));
    Problem::error("the stack has no services")
        .at(span.cloned().unwrap_or(0..0))
        .help("a service is an image with a port")
        .fix("[services.app]\nbuild = \".\"\nport = 8000")
}

/// Who needs what runs elsewhere.
fn find_users(elsewhere: &mut BTreeMap<ServiceName, Elsewhere>, services: &BTreeMap<ServiceName, Service>) {
    for (name, there) in elsewhere {
        let users = services.values().filter(|s| s.depends_on.contains(name)).map(|s| s.name.clone());
        there.users = users.collect();
    }
}

/// Whoever needs a server that a job sets up needs that, too.
fn after_setup(services: &mut BTreeMap<ServiceName, Service>) {
    let jobs: Vec<(ServiceName, ServiceName)> =
        services.keys().filter_map(|server| Some((server.clone(), preset::setup::job_of(server, services)?))).collect();
    for service in services.values_mut() {
        for (server, job) in &jobs {
            if service.name != *job && service.depends_on.contains(server) {
                service.depends_on.insert(job.clone());
            }
        }
    }
}

/// Services that are built the same way run the same image: it is named after the one that does not say `like`.
fn share_builds(services: &mut BTreeMap<ServiceName, Service>, entries: &[(At<ServiceName>, At<ServiceKeys>)]) {
    let mut owners: Vec<Build> = Vec::new();
    let owns = |like: bool| entries.iter().filter(move |(_, keys)| keys.value.like.is_some() == like);
    for (name, _) in owns(false).chain(owns(true)) {
        let Some(Image::Build(build)) = services.get_mut(&name.value).map(|s| &mut s.image) else { continue };
        let same = |owner: &&Build| Build { name: build.name.clone(), ..(**owner).clone() } == *build;
        match owners.iter().find(same) {
            Some(owner) => build.name.clone_from(&owner.name),
            None => owners.push(build.clone()),
        }
    }
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
