//! One service: what its preset brings, and what the user wrote over that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::base::name::{ProjectName, SecretName, ServiceName, VolumeName};
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::config::decode::{At, MapKey as _};
use crate::config::keys::service::ServiceKeys;
use crate::config::preset::{self, external};
use crate::config::values::{Int, is_absolute};
use crate::model::secrets::{SecretSpec, Template};
use crate::model::service::{Image, Service, VolumeMount};

use super::{Input, beside, health, image, native, rollout, runtime};

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

pub(super) fn lower(
    name: &At<ServiceName>,
    keys: &At<ServiceKeys>,
    around: &Around<'_>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Lowered> {
    if ServiceName::TAKEN.contains(&name.value.as_str()) {
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
    let own_image = if own_image || found.is_none() { Some(image::lower(name, keys, problems)?) } else { None };
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
    let written: [(&str, Option<&Range<usize>>); 13] = [
        ("external", keys.external.as_ref().map(|k| &k.span)),
        ("password", keys.password.as_ref().map(|k| &k.span)),
        ("database", keys.database.as_ref().map(|k| &k.span)),
        ("username", keys.username.as_ref().map(|k| &k.span)),
        ("settings", keys.settings.as_ref().map(|k| &k.span)),
        ("tune_for", keys.tune_for.as_ref().map(|k| &k.span)),
        ("extensions", keys.extensions.as_ref().map(|k| &k.span)),
        ("init_sql", keys.init_sql.as_ref().map(|k| &k.span)),
        ("tls", keys.tls.as_ref().map(|k| &k.span)),
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
    service.launcher = k.launcher.as_ref().is_some_and(|l| l.value);
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
    service.post_deploy = k.post_deploy.as_ref().map(|job| job.value.0.clone());
    service.on_failure = k.on_failure.as_ref().map(|job| job.value.0.clone());
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
        service.deploy = rollout::lower(&deploy.value, service.replicas, problems);
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
    health::lower(service, keys, input, problems);
    if service.metrics.is_some() && service.port.is_none() {
        let span = k.metrics.as_ref().map_or(0..0, |m| m.span.clone());
        problems.push(Problem::error("`metrics` needs a `port`").at(span).fix("port = 8000"));
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
