//! A container as the engine wants to hear it.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkingConfig, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};

use crate::base::units::{ByteSize, Span};
use crate::model::container::{self as wanted, Attachment, ContainerSpec, EngineHealth, EnvValue};
use crate::model::runtime::Logging;
use crate::model::runtime::Restart;

use super::capability::{Api, Capability};

/// The body of a create call. `places` says where on the engine's disk volumes are of which only a part is mounted.
pub(super) fn body(spec: &ContainerSpec, places: &BTreeMap<String, String>, api: Api) -> ContainerCreateBody {
    let runtime = &spec.runtime;
    let ports = || spec.ports.iter().map(|p| (format!("{}/tcp", p.container_port), p));
    let at_creation =
        if Capability::SeveralNetworks.is_in(api) { spec.networks.len() } else { spec.networks.len().min(1) };
    ContainerCreateBody {
        hostname: spec.hostname.clone(),
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        user: spec.user.clone(),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={}", expose(value))).collect()),
        exposed_ports: Some(ports().map(|(port, _)| port).collect()),
        labels: Some(runtime.labels.clone().into_iter().chain(spec.labels.clone()).collect()),
        working_dir: runtime.working_dir.clone(),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(i64::try_from(spec.stop_timeout.ceil_seconds()).unwrap_or(i64::MAX)),
        healthcheck: Some(health(spec.health.as_ref(), api)),
        networking_config: (at_creation > 0).then(|| NetworkingConfig {
            endpoints_config: Some(
                spec.networks.iter().take(at_creation).map(|a| (a.network.clone(), endpoint(a))).collect(),
            ),
        }),
        host_config: Some(host_config(spec, places)),
        ..ContainerCreateBody::default()
    }
}

/// A place on a network.
pub(super) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    EndpointSettings {
        ipam_config: attachment
            .address
            .map(|address| EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() }),
        aliases: Some(attachment.aliases.clone()),
        ..EndpointSettings::default()
    }
}

fn host_config(spec: &ContainerSpec, places: &BTreeMap<String, String>) -> HostConfig {
    let runtime = &spec.runtime;
    let bytes = |size: ByteSize| i64::try_from(size.0).unwrap_or(i64::MAX);
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding =
            PortBinding { host_ip: Some(port.address.to_string()), host_port: Some(port.host_port.to_string()) };
        bindings.entry(format!("{}/tcp", port.container_port)).or_default().get_or_insert_default().push(binding);
    }
    HostConfig {
        // Without a network of ours it gets none: the engine's default bridge is nobody's.
        network_mode: Some(spec.networks.first().map_or_else(|| "none".to_owned(), |a| a.network.clone())),
        port_bindings: Some(bindings),
        mounts: Some(spec.mounts.iter().map(|m| mount(m, places)).collect()),
        tmpfs: Some(spec.tmpfs.clone().into_iter().collect()),
        #[allow(clippy::cast_possible_truncation, reason = "a share of processors is far below 2^63 billionths")]
        nano_cpus: spec.cpus.map(|cpus| (cpus * 1e9).round() as i64),
        memory: spec.memory.map(bytes),
        memory_reservation: runtime.reserve.memory.map(bytes),
        cpu_shares: runtime.reserve.shares(),
        shm_size: runtime.shm_size.map(bytes),
        ulimits: Some(
            runtime
                .ulimits
                .iter()
                .map(|(name, limit)| ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        devices: Some(
            runtime
                .devices
                .iter()
                .map(|device| DeviceMapping {
                    path_on_host: Some(device.host.clone()),
                    path_in_container: Some(device.container.clone()),
                    cgroup_permissions: Some(device.permissions.clone()),
                })
                .collect(),
        ),
        extra_hosts: Some(runtime.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
        dns: Some(runtime.dns.iter().map(ToString::to_string).collect()),
        pids_limit: spec.pids.map(i64::from),
        readonly_rootfs: Some(spec.read_only),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(spec.cap_add.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        init: Some(spec.init),
        restart_policy: Some(RestartPolicy { name: Some(restart(spec.restart)), maximum_retry_count: None }),
        log_config: Some(log_config(runtime.logging.clone().unwrap_or_default())),
        ..HostConfig::default()
    }
}

fn log_config(logging: Logging) -> HostConfigLogConfig {
    HostConfigLogConfig { typ: Some(logging.driver), config: Some(logging.options.into_iter().collect()) }
}

/// A volume; or a part of one, bound from where the engine keeps the volume. Mounting a part of a volume by its name
/// needs API 1.45, and this does the same with every engine, as the volumes are all of the `local` driver.
fn mount(mount: &wanted::Mount, places: &BTreeMap<String, String>) -> Mount {
    let common = Mount { target: Some(mount.target.clone()), read_only: Some(mount.read_only), ..Mount::default() };
    match (&mount.subpath, places.get(&mount.volume)) {
        (Some(part), Some(place)) => {
            Mount { typ: Some(MountType::BIND), source: Some(format!("{place}/{part}")), ..common }
        }
        _ => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(mount.volume.clone()),
            volume_options: Some(MountVolumeOptions { no_copy: Some(mount.no_copy), ..MountVolumeOptions::default() }),
            ..common
        },
    }
}

/// An image's own check is switched off: what is ready is decided in stack.toml, or not at all.
fn health(health: Option<&EngineHealth>, api: Api) -> HealthConfig {
    let Some(health) = health else {
        return HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
    };
    let test = std::iter::once("CMD".to_owned()).chain(health.command.iter().cloned()).collect();
    HealthConfig {
        test: Some(test),
        interval: Some(nanoseconds(health.interval)),
        timeout: Some(nanoseconds(health.timeout)),
        retries: Some(i64::from(health.retries)),
        start_period: Some(nanoseconds(health.start_period)),
        start_interval: Capability::StartInterval
            .is_in(api)
            .then(|| nanoseconds(health.interval.min(Span::seconds(1)))),
    }
}

fn expose(value: &EnvValue) -> &str {
    match value {
        EnvValue::Plain(text) => text,
        EnvValue::Secret(secret) => secret.expose(),
    }
}

fn nanoseconds(span: Span) -> i64 {
    i64::try_from(span.0.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn restart(restart: Restart) -> RestartPolicyNameEnum {
    match restart {
        Restart::No => RestartPolicyNameEnum::NO,
        Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        Restart::Always => RestartPolicyNameEnum::ALWAYS,
        Restart::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
    }
}
