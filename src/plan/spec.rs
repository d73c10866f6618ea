//! From a service to the container the engine is asked for, least privilege first.

use std::collections::BTreeMap;

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::base::units::Span;
use crate::model::artifact::Artifact;
use crate::model::container::{Attachment, ContainerSpec, EngineHealth, EnvValue, LAUNCHER, Mount, Publish};
use crate::model::proxy::Proxy;
use crate::model::rotation::Names;
use crate::model::secrets::{SECRETS_FOLDER, SecretValues};
use crate::model::service::{Ask, Preset, RELOADED, Service};

use super::network::{Members, PROXY};
use super::{Inputs, image, launcher};

/// User of the official Nginx image.
const NGINX: &str = "101:101";

/// The value of a secret as a service gets it: a database keeps the file with the password it was made with, which has
/// meant nothing since.
fn value_for<'a>(service: &Service, name: &SecretName, values: &'a SecretValues) -> Option<&'a Secret> {
    let made_with = service.preset == Some(Preset::Postgres) && service.password.as_ref() == Some(name);
    let first = Names::of(name).filter(|_| made_with).and_then(|names| values.get(&names.first));
    first.or_else(|| values.get(name))
}

/// Files that need a new container when they change: secrets, and configuration of programs that cannot reload.
pub(super) fn fixed_files(service: &Service, inputs: &Inputs<'_>) -> Vec<Artifact> {
    let secrets = service.secrets.iter().filter_map(|name| {
        let value = value_for(service, name, inputs.values)?;
        let grant = service.grants.get(name).copied().unwrap_or_default();
        let file = Artifact::secret(name.as_str(), value.clone(), grant.uid.or(service.uid));
        Some(Artifact { mode: grant.mode.unwrap_or(file.mode), ..file })
    });
    let files = service
        .files
        .iter()
        .map(|(name, template)| Artifact::secret(name.as_str(), template.fill(inputs.values), service.uid));
    let launcher = launcher::files(service, inputs.values, &inputs.observed.engine.arch);
    secrets.chain(files).chain(project_files(service)).chain(launcher).collect()
}

/// Files of the project. Each stands at a place of its own in the files volume, from where it is mounted alone.
fn project_files(service: &Service) -> impl Iterator<Item = Artifact> {
    service.project_files.iter().enumerate().flat_map(|(index, mounted)| {
        mounted.files.iter().map(move |file| {
            let place = place_of(index);
            let path = if file.path.is_empty() { place } else { format!("{place}/{}", file.path) };
            let mode = if file.executable { 0o555 } else { 0o444 };
            Artifact { mode, ..Artifact::plain(path, file.text.clone()) }
        })
    })
}

/// Path of a project file in the files volume. No secret can have a name that starts with a dot.
fn place_of(index: usize) -> String {
    format!(".files/{index}")
}

/// The container of a service, without name, addresses and labels: those differ between replicas.
pub(super) fn of_service(
    service: &Service,
    files_volume: Option<&str>,
    members: &Members,
    inputs: &Inputs<'_>,
) -> ContainerSpec {
    let stack = inputs.stack;
    let mut mounts: Vec<Mount> = service
        .volumes
        .iter()
        .map(|v| Mount {
            volume: stack.volume_name(&v.volume),
            subpath: None,
            target: v.target.clone(),
            read_only: v.read_only,
            no_copy: false,
        })
        .collect();
    if let Some(volume) = files_volume {
        mounts.push(read_only(volume, SECRETS_FOLDER));
        mounts.extend(
            service
                .project_files
                .iter()
                .enumerate()
                .map(|(index, file)| Mount { subpath: Some(place_of(index)), ..read_only(volume, &file.target) }),
        );
    }
    if service.reloads() {
        mounts.push(read_only(&stack.volume_name(&reloaded_volume(service.name.as_str())), RELOADED));
    }
    let launched = launcher::starts(service, inputs.values);
    ContainerSpec {
        image: image::reference(service, inputs),
        launcher: launched,
        entrypoint: service.entrypoint.clone(),
        command: service.command.clone(),
        user: service.user.clone(),
        env: service
            .environment
            .iter()
            .filter(|(_, template)| !template.names_nothing(inputs.values))
            .filter(|(_, template)| !(launched && template.is_secret()))
            .map(|(name, template)| {
                let value = template.fill(inputs.values);
                let value = if template.is_secret() {
                    EnvValue::Secret(value)
                } else {
                    EnvValue::Plain(value.expose().to_owned())
                };
                (name.clone(), value)
            })
            .collect(),
        mounts,
        tmpfs: service.tmpfs.iter().map(|(target, options)| (target.clone(), tmpfs_options(options))).collect(),
        networks: attachments(service.name.as_str(), members, inputs),
        cpus: service.cpus,
        memory: service.memory,
        pids: Some(service.pids),
        read_only: service.read_only,
        cap_add: service.cap_add.iter().cloned().collect(),
        init: service.init,
        restart: service.restart,
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period,
        health: engine_health(service, launched),
        ports: service.publish.clone(),
        runtime: service.runtime.clone(),
        ..ContainerSpec::default()
    }
}

/// The front door's container.
pub(super) fn of_proxy(proxy: &Proxy, members: &Members, inputs: &Inputs<'_>) -> ContainerSpec {
    let publish = |host_port, container_port| Publish { address: proxy.address, host_port, container_port };
    let mut ports = vec![publish(proxy.http_port, 80)];
    if proxy.https() {
        ports.push(publish(proxy.https_port, 443));
    }
    ContainerSpec {
        image: image::mirrored(&proxy.image, inputs.mirror),
        // The official entry point rewrites files of its image, which nobody may here.
        entrypoint: Some(vec!["nginx".to_owned()]),
        command: Some(
            ["-c", &format!("{RELOADED}/current/nginx.conf"), "-g", "daemon off;"].map(str::to_owned).to_vec(),
        ),
        user: Some(NGINX.to_owned()),
        mounts: vec![read_only(&inputs.stack.volume_name(&reloaded_volume(PROXY)), RELOADED)],
        tmpfs: BTreeMap::from([("/tmp".to_owned(), tmpfs_options(""))]),
        networks: attachments(PROXY, members, inputs),
        ports,
        cpus: proxy.cpus,
        memory: Some(proxy.memory),
        pids: Some(256),
        read_only: true,
        stop_signal: Some("SIGQUIT".to_owned()),
        stop_timeout: Span::seconds(30),
        ..ContainerSpec::default()
    }
}

/// Key of the volume whose files a service reloads.
pub(super) fn reloaded_volume(service: &str) -> String {
    format!("{service}-files")
}

fn read_only(volume: &str, target: &str) -> Mount {
    Mount { volume: volume.to_owned(), subpath: None, target: target.to_owned(), read_only: true, no_copy: true }
}

fn tmpfs_options(own: &str) -> String {
    let base = "rw,nosuid,nodev";
    if own.is_empty() { format!("{base},mode=1777") } else { format!("{base},{own}") }
}

fn attachments(member: &str, members: &Members, inputs: &Inputs<'_>) -> Vec<Attachment> {
    members
        .iter()
        .filter(|(_, members)| members.contains(member))
        .map(|(key, _)| Attachment {
            network: inputs.stack.volume_name(key),
            address: None,
            aliases: vec![member.to_owned()],
        })
        .collect()
}

/// What the engine itself asks, for `docker ps` and for engines that we cannot reach directly.
fn engine_health(service: &Service, launched: bool) -> Option<EngineHealth> {
    let health = service.health.as_ref()?;
    let command = match &health.ask {
        Ask::Command(command) if launched => [&[LAUNCHER.to_owned()], command.as_slice()].concat(),
        Ask::Command(command) => command.clone(),
        Ask::Postgres { user, database } => {
            ["pg_isready", "-q", "-h", "127.0.0.1", "-U", user, "-d", database].map(str::to_owned).to_vec()
        }
        Ask::Redis => ["redis-cli", "ping"].map(str::to_owned).to_vec(),
        // Nothing in the image can be counted on: stackctl asks.
        Ask::Http(_) | Ask::Tcp => return None,
    };
    Some(EngineHealth {
        command,
        interval: health.interval,
        timeout: health.timeout,
        retries: health.retries,
        start_period: health.start_period,
    })
}
