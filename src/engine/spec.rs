//! A container as the engine wants to hear it.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountType, MountVolumeOptions, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use crate::base::units::Span;
use crate::model::container::{Attachment, ContainerSpec, EngineHealth, EnvValue};
use crate::model::service::Restart;

/// The body of a create call.
pub(super) fn body(spec: &ContainerSpec) -> ContainerCreateBody {
    let ports = || spec.ports.iter().map(|p| (format!("{}/tcp", p.container_port), p));
    let first = spec.networks.first();
    ContainerCreateBody {
        hostname: spec.hostname.clone(),
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        user: spec.user.clone(),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={}", expose(value))).collect()),
        exposed_ports: Some(ports().map(|(port, _)| port).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(i64::try_from(spec.stop_timeout.ceil_seconds()).unwrap_or(i64::MAX)),
        healthcheck: Some(health(spec.health.as_ref())),
        networking_config: first
            .map(|a| NetworkingConfig { endpoints_config: Some(HashMap::from([(a.network.clone(), endpoint(a))])) }),
        host_config: Some(host_config(spec)),
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

fn host_config(spec: &ContainerSpec) -> HostConfig {
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
        mounts: Some(
            spec.mounts
                .iter()
                .map(|mount| Mount {
                    typ: Some(MountType::VOLUME),
                    source: Some(mount.volume.clone()),
                    target: Some(mount.target.clone()),
                    read_only: Some(mount.read_only),
                    volume_options: Some(MountVolumeOptions { no_copy: Some(mount.no_copy), ..Default::default() }),
                    ..Mount::default()
                })
                .collect(),
        ),
        tmpfs: Some(spec.tmpfs.clone().into_iter().collect()),
        #[allow(clippy::cast_possible_truncation, reason = "a share of processors is far below 2^63 billionths")]
        nano_cpus: spec.cpus.map(|cpus| (cpus * 1e9).round() as i64),
        memory: spec.memory.map(|memory| i64::try_from(memory.0).unwrap_or(i64::MAX)),
        pids_limit: spec.pids.map(i64::from),
        readonly_rootfs: Some(spec.read_only),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(spec.cap_add.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        init: Some(spec.init),
        restart_policy: Some(RestartPolicy { name: Some(restart(spec.restart)), maximum_retry_count: None }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "5".to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

/// An image's own check is switched off: what is ready is decided in stack.toml, or not at all.
fn health(health: Option<&EngineHealth>) -> HealthConfig {
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
        start_interval: None,
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

fn restart(restart: Restart) -> RestartPolicyNameEnum {
    match restart {
        Restart::No => RestartPolicyNameEnum::NO,
        Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        Restart::Always => RestartPolicyNameEnum::ALWAYS,
        Restart::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
    }
}
