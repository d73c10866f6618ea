//! One service.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::base::name::{ProjectName, SecretName, ServiceName, VolumeName};
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::service::{BuildKey, DeployKeys, HealthKey, HealthKeys, ServiceKeys};
use crate::config::preset::{self, external};
use crate::config::values::{Int, is_absolute};
use crate::model::secrets::{SecretSpec, Template};
use crate::model::service::{Ask, Build, Health, Image, Kind, Rollout, Service, VolumeMount};

use super::{Input, beside, native, runtime};

/// A service, and what it brings along.
#[derive(Default)]
pub(super) struct Lowered {
    /// `None` for one that runs elsewhere.
    pub(super) service: Option<Service>,
    pub(super) companions: Vec<Service>,
    pub(super) secrets: BTreeMap<SecretName, SecretSpec>,
    pub(super) offers: BTreeMap<&'static str, Template>,
    pub(super) offered_secrets: BTreeMap<&'static str, SecretName>,
    pub(super) used: BTreeSet<SecretName>,
    /// Where it is, if it runs elsewhere and the file says so.
    pub(super) address: Option<(String, u16)>,
}

/// What a service is lowered among.
pub(super) struct Around<'a> {
    pub(super) stack: &'a ProjectName,
    pub(super) declared: &'a BTreeMap<SecretName, SecretSpec>,
    /// Prometheus of this stack.
    pub(super) prometheus: Option<&'a ServiceName>,
}

/// Names that would collide with our own containers.
const RESERVED: &[&str] = &["proxy", "stackctl"];

pub(super) fn lower(
    name: &At<ServiceName>,
    keys: &At<ServiceKeys>,
    around: &Around<'_>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Lowered> {
    if RESERVED.contains(&name.value.as_str()) {
        problems.push(
            Problem::error(format!("`{}` is the name of a container of stackctl's own", name.value))
                .at(name.span.clone()),
        );
    }
    let line = input.line(&name.span);
    let found = preset_of(&keys.value, problems);
    preset_keys(&keys.value, found.as_ref().map(|f| f.0), problems);
    if let (Some((definition, _)), Some(_)) = (&found, &keys.value.external) {
        let there = external::lower(&name.value, definition, &keys.value, line, around.declared, problems);
        return Some(Lowered {
            secrets: there.secrets,
            offers: there.offers,
            offered_secrets: there.offered_secrets,
            used: there.used,
            address: there.address,
            ..Lowered::default()
        });
    }
    let own_image = keys.value.image.is_some() || keys.value.build.is_some();
    let own_image = if own_image || found.is_none() { Some(image(name, keys, problems)?) } else { None };
    let mut service = Service::new(name.value.clone(), line, own_image.clone().unwrap_or(Image::Pull(String::new())));
    service.memory = keys.value.memory.as_ref().map(|m| m.value);
    service.cpus = keys.value.cpus.as_ref().map(|c| c.value.0);
    let mut lowered = match found {
        Some((definition, tag)) => expand(definition, tag, service, own_image, keys, around, input, problems),
        None => Lowered { service: Some(service), ..Lowered::default() },
    };
    if let Some(service) = &mut lowered.service {
        own_keys(service, keys, input, problems);
        runtime::lower(service, keys, problems);
        native::lower(service, keys, input, problems);
        beside::lower(service, keys, input, problems);
    }
    Some(lowered)
}

#[expect(clippy::too_many_arguments, reason = "they are handed on once, as the fields of one value")]
fn expand(
    definition: &preset::Definition,
    tag: String,
    mut service: Service,
    image: Option<Image>,
    keys: &At<ServiceKeys>,
    around: &Around<'_>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Lowered {
    service.preset = Some(preset::kind(definition));
    // A database reaps its own children and knows its signals; anything else may be a shell or a script.
    service.init = false;
    let mut expansion = preset::Expansion {
        base: around.stack.as_str().replace('-', "_"),
        tag,
        keys: &keys.value,
        service,
        image,
        companions: Vec::new(),
        prometheus: around.prometheus.cloned(),
        declared: around.declared,
        used: BTreeSet::new(),
        beside: input.beside,
        secrets: BTreeMap::new(),
        offers: BTreeMap::new(),
        offered_secrets: BTreeMap::new(),
        problems,
    };
    preset::expand(definition, &mut expansion);
    Lowered {
        service: Some(expansion.service),
        companions: expansion.companions,
        secrets: expansion.secrets,
        offers: expansion.offers,
        offered_secrets: expansion.offered_secrets,
        used: expansion.used,
        address: None,
    }
}

/// Keys that only some presets know.
fn preset_keys(keys: &ServiceKeys, preset: Option<&preset::Definition>, problems: &mut Problems) {
    let written: [(&str, Option<&Range<usize>>); 12] = [
        ("external", keys.external.as_ref().map(|k| &k.span)),
        ("password", keys.password.as_ref().map(|k| &k.span)),
        ("database", keys.database.as_ref().map(|k| &k.span)),
        ("username", keys.username.as_ref().map(|k| &k.span)),
        ("settings", keys.settings.as_ref().map(|k| &k.span)),
        ("tune_for", keys.tune_for.as_ref().map(|k| &k.span)),
        ("extensions", keys.extensions.as_ref().map(|k| &k.span)),
        ("init_sql", keys.init_sql.as_ref().map(|k| &k.span)),
        ("policy", keys.policy.as_ref().map(|k| &k.span)),
        ("persistence", keys.persistence.as_ref().map(|k| &k.span)),
        ("retention", keys.retention.as_ref().map(|k| &k.span)),
        ("external_labels", keys.external_labels.as_ref().map(|k| &k.span)),
    ];
    for (key, span) in written.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        let problem = match preset {
            // A preset that was misspelt has been reported already.
            None if keys.preset.is_some() => continue,
            None => Problem::error(format!("`{key}` belongs to a preset, and this service has none")),
            Some(preset) if key == "external" || preset.keys.contains(&key) => continue,
            Some(preset) if preset.keys.is_empty() => {
                Problem::error(format!("the preset `{}` has no key `{key}`", preset.name))
            }
            Some(preset) => Problem::error(format!("the preset `{}` has no key `{key}`", preset.name))
                .help(format!("it has {}", crate::base::suggest::one_of(preset.keys.iter().copied()))),
        };
        problems.push(problem.at(span.clone()));
    }
}

fn preset_of(keys: &ServiceKeys, problems: &mut Problems) -> Option<(&'static preset::Definition, String)> {
    let wanted = keys.preset.as_ref()?;
    let found = preset::find(&wanted.value.0);
    if found.is_none() {
        let names = || preset::PRESETS.iter().map(|p| p.name);
        let typed = wanted.value.0.split(':').next().unwrap_or_default();
        let mut problem = Problem::error(format!("there is no preset `{}`", wanted.value.0))
            .at(wanted.span.clone())
            .label(format!("allowed: {}", crate::base::suggest::one_of(names())));
        if let Some(near) = nearest(typed, names()) {
            let tag = wanted.value.0.split_once(':').map_or(String::new(), |(_, tag)| format!(":{tag}"));
            problem = problem.fix(format!("\"{near}{tag}\""));
        } else {
            problem = problem.help("any other service works with `image`");
        }
        problems.push(problem);
    }
    found
}

fn image(name: &At<ServiceName>, keys: &At<ServiceKeys>, problems: &mut Problems) -> Option<Image> {
    match (&keys.value.image, &keys.value.build) {
        (Some(image), Some(_)) => {
            problems.push(
                Problem::error("`image` and `build` exclude each other")
                    .at(image.span.clone())
                    .help("keep one of them"),
            );
            None
        }
        (Some(image), None) => {
            let text = &image.value.0;
            let sane = !text.is_empty() && !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_graphic());
            if !sane {
                problems.push(Problem::error(format!("`{text}` is not an image reference")).at(image.span.clone()));
                return None;
            }
            Some(Image::Pull(if text.contains('@') || text.rsplit('/').next().is_some_and(|last| last.contains(':')) {
                text.clone()
            } else {
                format!("{text}:latest")
            }))
        }
        (None, Some(build)) => Some(Image::Build(lower_build(&name.value, &build.value))),
        (None, None) => {
            // A preset that was misspelt has been reported already.
            if keys.value.preset.is_none() && keys.value.like.is_none() {
                problems.push(
                    Problem::error(format!("`{}` has nothing to run", name.value))
                        .at(name.span.clone())
                        .help("give it `image`, `build`, `preset` or `like`")
                        .fix("build = \".\""),
                );
            }
            None
        }
    }
}

fn lower_build(name: &ServiceName, key: &BuildKey) -> Build {
    let mut build = Build {
        name: name.clone(),
        context: ".".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: None,
        args: BTreeMap::new(),
    };
    match key {
        BuildKey::Folder(folder) => build.context.clone_from(&folder.0),
        BuildKey::Keys(keys) => {
            if let Some(context) = &keys.context {
                build.context.clone_from(&context.value.0);
            }
            if let Some(dockerfile) = &keys.dockerfile {
                build.dockerfile.clone_from(&dockerfile.value.0);
            }
            build.target = keys.target.as_ref().map(|t| t.value.0.clone());
            for (key, value) in keys.args.iter().flat_map(|m| &m.value.0) {
                build.args.insert(key.value.0.clone(), value.value.0.clone());
            }
        }
    }
    build
}

fn rollout(keys: &DeployKeys, replicas: u32, problems: &mut Problems) -> Rollout {
    let span = |key: &Option<At<Span>>| key.as_ref().map_or(Span::seconds(0), |s| s.value);
    let canary = keys.canary.as_ref().map_or(0, |c| c.value.get());
    if let Some(at) = keys.canary.as_ref().filter(|_| canary > 0 && canary >= replicas) {
        problems.push(
            Problem::error(format!("{canary} of {replicas} containers first is all of them"))
                .at(at.span.clone())
                .help("`canary` must be less than `replicas`"),
        );
    }
    let stop_first = keys.order.as_ref().is_some_and(|o| o.value.stop_first);
    if let Some(at) = keys.watch.as_ref().filter(|w| stop_first && !w.value.0.is_zero()) {
        problems.push(
            Problem::error("there is nothing to go back to: with `order = \"stop-first\"` the old containers are gone")
                .at(at.span.clone())
                .help("leave out `watch`, or `order`"),
        );
    }
    Rollout {
        parallel: keys.parallel.as_ref().map(|p| p.value.get()),
        canary,
        stop_first,
        min_healthy: span(&keys.min_healthy),
        watch: span(&keys.watch),
        timeout: keys.timeout.as_ref().map(|t| t.value),
    }
}

/// What the user wrote, over what the preset knows.
fn own_keys(service: &mut Service, keys: &At<ServiceKeys>, input: &Input<'_>, problems: &mut Problems) {
    let k = &keys.value;
    let preset = service.preset.is_some();
    if let Some(command) = &k.command {
        service.command = Some(command.value.0.clone());
    }
    if let Some(entrypoint) = &k.entrypoint {
        service.entrypoint = Some(entrypoint.value.0.clone());
    }
    service.init = k.init.as_ref().map_or(service.init, |i| i.value);
    service.pull = k.pull_policy.as_ref().map_or(service.pull, |p| p.value.0);
    if let Some(user) = &k.user {
        service.user = Some(user.value.0.clone());
        service.uid = user.value.0.split(':').next().and_then(|u| u.parse().ok());
    }
    if let Some(port) = &k.port {
        service.port = u16::try_from(port.value.0).ok();
    }
    if let Some(replicas) = &k.replicas {
        service.replicas = replicas.value.get();
        if preset && service.replicas > 1 {
            problems.push(
                Problem::error(format!("`{}` has a preset that runs as one container", service.name))
                    .at(replicas.span.clone())
                    .help("several on one volume would destroy its data"),
            );
        }
    }
    for needed in k.depends_on.iter().flat_map(|list| &list.value) {
        service.depends_on.insert(needed.value.clone());
    }
    if let Some(job) = &k.pre_deploy {
        service.pre_deploy = Some(job.value.0.clone());
    }
    for text in k.volumes.iter().flat_map(|list| &list.value) {
        service.volumes.extend(volume(&text.value.0, &text.span, problems));
    }
    for target in k.tmpfs.iter().flat_map(|list| &list.value) {
        if is_absolute(&target.value.0) {
            service.tmpfs.insert(target.value.0.clone(), String::new());
        } else {
            problems.push(Problem::error("a folder in memory needs an absolute path").at(target.span.clone()));
        }
    }
    service.tmpfs.entry("/tmp".to_owned()).or_default();
    service.pids = k.pids.as_ref().map_or(service.pids, |p| Int::get(p.value));
    service.read_only = k.read_only.as_ref().map_or(service.read_only, |r| r.value);
    service.egress = k.egress.as_ref().map_or(service.egress, |e| e.value);
    service.restart = k.restart.as_ref().map_or(service.restart, |r| r.value.0);
    service.stop_grace_period = k.stop_grace_period.as_ref().map_or(service.stop_grace_period, |s| s.value);
    service.drain = k.drain.as_ref().map_or(service.drain, |s| s.value);
    if let Some(deploy) = &k.deploy {
        service.deploy = rollout(&deploy.value, service.replicas, problems);
    }
    service.metrics = k.metrics.as_ref().map(|m| m.value.0.clone()).or(service.metrics.take());
    service.cap_add.extend(k.cap_add.iter().flat_map(|list| &list.value).map(|c| c.value.0.to_owned()));
    if let Some(signal) = &k.stop_signal {
        let sane = signal
            .value
            .0
            .strip_prefix("SIG")
            .is_some_and(|s| s.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        if sane {
            service.stop_signal = Some(signal.value.0.clone());
        } else {
            problems.push(Problem::error("not a signal").at(signal.span.clone()).fix("\"SIGTERM\""));
        }
    }
    health(service, keys, input, problems);
    if service.metrics.is_some() && service.port.is_none() {
        let span = k.metrics.as_ref().map_or(0..0, |m| m.span.clone());
        problems.push(Problem::error("`metrics` needs a `port`").at(span).fix("port = 8000"));
    }
}

fn health(service: &mut Service, keys: &At<ServiceKeys>, input: &Input<'_>, problems: &mut Problems) {
    let defaults = |ask, line| Health {
        ask,
        body: None,
        interval: Span::seconds(10),
        timeout: Span::seconds(5),
        retries: 3,
        start_period: Span::seconds(60),
        line,
    };
    let Some(key) = &keys.value.healthcheck else {
        if service.health.is_none() && service.port.is_some() && !is_job(keys) {
            service.health = Some(defaults(Ask::Tcp, service.line));
        }
        return;
    };
    let line = input.line(&key.span);
    let health = match &key.value {
        HealthKey::Path(path) => Some(defaults(Ask::Http(path.0.clone()), line)),
        HealthKey::Keys(table) => asked(table, service, &key.span, problems).map(|ask| Health {
            body: body(table, &ask, problems),
            ask,
            interval: table.interval.as_ref().map_or(Span::seconds(10), |v| v.value),
            timeout: table.timeout.as_ref().map_or(Span::seconds(5), |v| v.value),
            retries: table.retries.as_ref().map_or(3, |v| Int::get(v.value)),
            start_period: table.start_period.as_ref().map_or(Span::seconds(60), |v| v.value),
            line,
        }),
    };
    if let Some(health) = health {
        if matches!(health.ask, Ask::Http(_) | Ask::Tcp) && service.port.is_none() {
            problems.push(Problem::error("this health check needs a `port`").at(key.span.clone()).fix("port = 8000"));
        }
        service.health = Some(health);
    }
}

fn is_job(keys: &At<ServiceKeys>) -> bool {
    keys.value.kind.as_ref().is_some_and(|k| k.value.0 == Kind::Job)
}

/// What the answer must hold; only HTTP has a body.
fn body(table: &HealthKeys, ask: &Ask, problems: &mut Problems) -> Option<String> {
    let body = table.body.as_ref()?;
    if !matches!(ask, Ask::Http(_)) {
        let problem = Problem::error("only the answer to a `path` has a body").at(body.span.clone());
        problems.push(problem.help("ask a `path` instead, or leave `body` away"));
    } else if body.value.0.trim().is_empty() {
        problems.push(Problem::error("every answer holds nothing").at(body.span.clone()).help("leave `body` away"));
    }
    Some(body.value.0.clone())
}

fn asked(table: &HealthKeys, service: &Service, span: &Range<usize>, problems: &mut Problems) -> Option<Ask> {
    let tcp = table.tcp.as_ref().is_some_and(|t| t.value);
    match (&table.path, &table.command, tcp) {
        (Some(path), None, false) => Some(Ask::Http(path.value.0.clone())),
        (None, Some(command), false) => Some(Ask::Command(command.value.0.clone())),
        (None, None, true) => Some(Ask::Tcp),
        (None, None, false) if service.health.is_some() => service.health.as_ref().map(|h| h.ask.clone()),
        (None, None, false) if service.port.is_some() => Some(Ask::Tcp),
        _ => {
            problems.push(
                Problem::error("a health check asks one question: give one of `path`, `command` and `tcp`")
                    .at(span.clone()),
            );
            None
        }
    }
}

fn volume(text: &str, span: &Range<usize>, problems: &mut Problems) -> Option<VolumeMount> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let (target, mode) = rest.split_once(':').unwrap_or((rest, "rw"));
    if name.starts_with(['/', '.', '~']) {
        problems.push(
            Problem::error("a folder of the host cannot be mounted")
                .at(span.clone())
                .label("it would not be there on a remote engine")
                .help("use a named volume for data; `files` brings files of the project along"),
        );
        return None;
    }
    let fix = if VolumeName::parse(name).is_some() && rest.is_empty() {
        format!("\"{name}:/{name}\"")
    } else {
        "\"uploads:/app/uploads\"".to_owned()
    };
    if VolumeName::parse(name).is_none() || !is_absolute(target) || !["rw", "ro"].contains(&mode) {
        problems.push(
            Problem::error(format!("`{text}` is not a volume"))
                .at(span.clone())
                .label("allowed: `name:/path` or `name:/path:ro`")
                .fix(fix),
        );
        return None;
    }
    Some(VolumeMount { volume: name.to_owned(), target: target.to_owned(), read_only: mode == "ro", shared: true })
}
