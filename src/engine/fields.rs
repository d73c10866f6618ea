//! What containers have now, field by field, and setting right what somebody changed.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerInspectResponse, ContainerUpdateBody, HostConfig, MountPoint, NetworkDisconnectRequest, RestartPolicy,
};
use futures_util::future::join_all;

use crate::base::units::ByteSize;
use crate::model::container::label;
use crate::model::drift::{Limits, capabilities, cpus, list, mounted, options, security};
use crate::model::observed::ObservedContainer;
use crate::model::parts::{Parts, hidden};

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::inspect::host_namespaces;
use super::spec;

impl Engine {
    /// What each container of a service has now, by name: one call each, side by side. `key` is that of fingerprints.
    pub async fn fields(
        &self,
        containers: &[ObservedContainer],
        key: &[u8],
    ) -> Result<BTreeMap<String, Parts>, EngineError> {
        // Podman spells out what it was told (each capability that is dropped, variables of its own): every container
        // would look as if somebody had changed it.
        if self.podman {
            return Ok(BTreeMap::new());
        }
        let one = async |container: &ObservedContainer| {
            let inspect = self.docker.inspect_container(&container.id, None);
            match self.call(&format!("look at the container {}", container.name), inspect).await {
                Ok(details) => Ok(Some((container.name.clone(), shown(details, key)))),
                // Gone since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        let services = containers.iter().filter(|c| c.label(label::ROLE) == "service");
        join_all(services.map(one)).await.into_iter().filter_map(Result::transpose).collect()
    }

    /// Sets a container's limits, while it runs.
    pub async fn update(&self, container: &str, limits: &Limits) -> Result<(), EngineError> {
        let bytes = |size: ByteSize| i64::try_from(size.0).unwrap_or(i64::MAX);
        let body = ContainerUpdateBody {
            memory: limits.memory.map(bytes),
            // As at creation: as much swap as memory. A limit of memory above it would be refused.
            memory_swap: limits.memory.map(|m| bytes(m).saturating_mul(2)),
            memory_reservation: limits.memory_reservation.map(bytes),
            nano_cpus: limits.nano_cpus,
            cpu_shares: limits.cpu_shares,
            pids_limit: limits.pids.map(i64::from),
            restart_policy: Some(RestartPolicy {
                name: Some(spec::restart(limits.restart)),
                maximum_retry_count: None,
            }),
            ..ContainerUpdateBody::default()
        };
        let update = self.docker.update_container(container, body);
        self.call(&format!("set the limits of the container {container}"), update).await
    }

    /// Takes a container off a network; fine if it is not on it.
    pub async fn disconnect(&self, container: &str, network: &str) -> Result<(), EngineError> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: None };
        let doing = format!("take the container {container} off the network {network}");
        match self.call(&doing, self.docker.disconnect_network(network, request)).await {
            Err(error) if error.kind == ErrorKind::NotFound || error.message.contains("is not connected") => Ok(()),
            other => other,
        }
    }

    /// Lets a paused container go on.
    pub(super) async fn unpause(&self, container: &str) -> Result<(), EngineError> {
        self.call(&format!("let the container {container} go on"), self.docker.unpause_container(container)).await
    }
}

/// As [`crate::model::container::ContainerSpec::shown`] has it.
fn shown(details: ContainerInspectResponse, key: &[u8]) -> Parts {
    let config = details.config.unwrap_or_default();
    let host = details.host_config.unwrap_or_default();
    let mut out = Parts::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            out.insert(name.to_owned(), value);
        }
    };
    let some = |n: Option<i64>| n.filter(|n| *n > 0);
    let size = |n: Option<i64>| some(n).and_then(|n| u64::try_from(n).ok()).map(|n| ByteSize(n).to_string());
    put("memory", size(host.memory));
    put("cpus", some(host.nano_cpus).map(cpus));
    put("pids", some(host.pids_limit).map(|n| n.to_string()));
    put("reserve.memory", size(host.memory_reservation));
    put("reserve.cpus", some(host.cpu_shares).map(|n| n.to_string()));
    let restart = host.restart_policy.as_ref().and_then(|p| p.name).map(|n| n.to_string());
    // An empty policy is none.
    put("restart", Some(restart.filter(|r| !r.is_empty()).unwrap_or_else(|| "no".to_owned())));
    put("user", config.user);
    put("working_dir", config.working_dir);
    put("stop_signal", config.stop_signal);
    put("entrypoint", config.entrypoint.map(|words| list(key, &words)));
    put("command", config.cmd.map(|words| list(key, &words)));
    let on = |flag: Option<bool>| flag.unwrap_or(false).then(|| "true".to_owned());
    put("read_only", on(host.readonly_rootfs));
    put("privileged", on(host.privileged));
    for namespace in host_namespaces(&host) {
        put(&format!("{namespace} of the host"), Some("true".to_owned()));
    }
    put("cap_add", host.cap_add.as_deref().map(capabilities));
    put("cap_drop", host.cap_drop.as_deref().map(capabilities));
    for pair in config.env.unwrap_or_default() {
        let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
        put(&format!("env {name}"), Some(hidden(key, value.as_bytes())));
    }
    put("security_opt", host.security_opt.as_deref().map(security));
    put("init", on(host.init));
    put("shm_size", size(host.shm_size));
    put("dns", host.dns.as_ref().map(|servers| servers.join(",")));
    let logging = host.log_config.clone().unwrap_or_default();
    put("log options", logging.config.as_ref().map(|pairs| options(key, pairs)));
    put("log driver", logging.typ);
    put("health check", Some(health_check(config.healthcheck.as_ref().and_then(|h| h.test.as_deref()), key)));
    for line in host.extra_hosts.iter().flatten() {
        let (name, address) = line.split_once(':').unwrap_or((line, ""));
        put(&format!("host {name}"), Some(address.to_owned()));
    }
    for limit in host.ulimits.iter().flatten() {
        let name = format!("ulimit {}", limit.name.as_deref().unwrap_or_default());
        put(&name, Some(format!("{}:{}", limit.soft.unwrap_or(-1), limit.hard.unwrap_or(-1))));
    }
    for device in host.devices.iter().flatten() {
        let of = |part: &Option<String>| part.clone().unwrap_or_default();
        let name = format!("device {}", of(&device.path_in_container));
        put(&name, Some(format!("{}:{}", of(&device.path_on_host), of(&device.cgroup_permissions))));
    }
    for (target, options) in host.tmpfs.clone().unwrap_or_default() {
        put(&format!("tmpfs {target}"), Some(options));
    }
    for (name, at) in published(&host) {
        put(&name, Some(at));
    }
    for mount in details.mounts.unwrap_or_default() {
        put(&format!("volume {}", mount.destination.clone().unwrap_or_default()), what_is_mounted(&mount));
    }
    out
}

/// A command of the engine's own health check; `none` where it asks nothing.
fn health_check(test: Option<&[String]>, key: &[u8]) -> String {
    match test {
        Some([kind, command @ ..]) if kind != "NONE" => list(key, command),
        _ => "none".to_owned(),
    }
}

fn published(host: &HostConfig) -> Vec<(String, String)> {
    let bindings = host.port_bindings.iter().flatten();
    bindings
        .filter_map(|(port, at)| {
            let mut places: Vec<String> = at
                .iter()
                .flatten()
                .map(|b| {
                    let address = b.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
                    format!("{address}:{}", b.host_port.as_deref().unwrap_or_default())
                })
                .collect();
            places.sort();
            let name = format!("published {}", port.strip_suffix("/tcp").unwrap_or(port));
            (!places.is_empty()).then(|| (name, places.join(",")))
        })
        .collect()
}

/// `None` for a volume without a name: those come with the image.
fn what_is_mounted(mount: &MountPoint) -> Option<String> {
    let read_only = !mount.rw.unwrap_or(true);
    let source = mount.source.as_deref().unwrap_or_default();
    match mount.typ.as_deref() {
        Some("volume") => {
            let name = mount.name.as_deref().unwrap_or_default();
            (!is_anonymous(name)).then(|| mounted(name, read_only))
        }
        Some("tmpfs") => None,
        // A part of a volume, from where the engine keeps it.
        _ => match source.rsplit_once("/volumes/") {
            Some((_, part)) if part.contains("/_data/") => Some(mounted(part, read_only)),
            _ => Some(mounted(source, read_only)),
        },
    }
}

/// Whether the engine itself named a volume: 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::units::Span;
    use crate::model::container::{ContainerSpec, EnvValue, Mount, Publish};
    use crate::model::drift::between;
    use crate::model::runtime::{Device, Restart, Runtime, Ulimit};

    /// What the engine says of a container that was made as [`made`] asks; by 20.10.24, shortened.
    const SEEN: &str = r#"{"Id":"ab","Name":"/p-app-1",
        "Config":{"User":"10001","Env":["A=1","PATH=/bin"],"Cmd":["serve"],"Entrypoint":["/entry"],"WorkingDir":"/srv",
          "Healthcheck":{"Test":["NONE"]}},
        "HostConfig":{"Privileged":false,"CapAdd":["CAP_NET_BIND_SERVICE"],"CapDrop":["ALL"],"ReadonlyRootfs":true,
          "NetworkMode":"p_default","PidMode":"","IpcMode":"private","Memory":134217728,"MemorySwap":268435456,
          "NanoCpus":500000000,"PidsLimit":64,"RestartPolicy":{"Name":"always","MaximumRetryCount":0},
          "SecurityOpt":["no-new-privileges"],"Init":true,"ShmSize":67108864,"Dns":["9.9.9.9"],
          "ExtraHosts":["legacy:10.0.0.7"],"Ulimits":[{"Name":"nofile","Soft":512,"Hard":1024}],
          "Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/fuse","CgroupPermissions":"rw"}],
          "LogConfig":{"Type":"json-file","Config":{"max-file":"5","max-size":"10m"}},
          "Tmpfs":{"/tmp":"rw,mode=1777"},"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}},
        "Mounts":[
          {"Type":"volume","Name":"p_data","Source":"/var/lib/docker/volumes/p_data/_data","Destination":"/data","RW":true},
          {"Type":"bind","Source":"/var/lib/docker/volumes/p_files/_data/.files/0","Destination":"/etc/x","RW":false},
          {"Type":"volume","Name":"0123456789012345678901234567890123456789012345678901234567890123","Destination":"/v"}]}"#;

    fn made() -> ContainerSpec {
        let mount = |volume: &str, part: Option<&str>, target: &str| Mount {
            volume: volume.into(),
            subpath: part.map(str::to_owned),
            target: target.into(),
            read_only: part.is_some(),
            no_copy: false,
        };
        ContainerSpec {
            user: Some("10001".into()),
            env: BTreeMap::from([("A".into(), EnvValue::Plain("1".into()))]),
            mounts: vec![mount("p_data", None, "/data"), mount("p_files", Some(".files/0"), "/etc/x")],
            tmpfs: BTreeMap::from([("/tmp".into(), "rw,mode=1777".into())]),
            ports: vec![Publish { address: [127, 0, 0, 1].into(), host_port: 8080, container_port: 80 }],
            cpus: Some(0.5),
            memory: Some(ByteSize(128 << 20)),
            pids: Some(64),
            read_only: true,
            cap_add: vec!["NET_BIND_SERVICE".into()],
            restart: Restart::Always,
            init: true,
            runtime: Runtime {
                dns: vec![[9, 9, 9, 9].into()],
                extra_hosts: BTreeMap::from([("legacy".into(), "10.0.0.7".into())]),
                ulimits: BTreeMap::from([("nofile".into(), Ulimit { soft: 512, hard: 1024 })]),
                devices: vec![Device {
                    host: "/dev/fuse".into(),
                    container: "/dev/fuse".into(),
                    permissions: "rw".into(),
                }],
                ..Runtime::default()
            },
            stop_timeout: Span::seconds(10),
            ..ContainerSpec::default()
        }
    }

    fn drift(seen: &str) -> Vec<String> {
        let has = shown(serde_json::from_str(seen).unwrap(), b"key");
        let image = BTreeSet::from(["PATH".to_owned()]);
        between(&made().shown(b"key"), &has, &BTreeSet::new(), Some(&image)).changes
    }

    #[test]
    fn what_nobody_touched_has_not_changed() {
        assert_eq!(drift(SEEN), Vec::<String>::new());
    }

    #[test]
    fn every_change_is_seen() {
        for (from, to, told) in [
            ("134217728", "268435456", "memory 128M → 256M"),
            ("500000000", "2000000000", "cpus 0.5 → 2"),
            ("\"PidsLimit\":64", "\"PidsLimit\":-1", "pids no longer set (was 64)"),
            ("always", "no", "restart always → no"),
            ("10001", "0", "user 10001 → 0"),
            ("A=1", "A=2", "environment A changed"),
            ("\"A=1\"", "\"A=1\",\"B=1\"", "environment B is new"),
            ("\"Privileged\":false", "\"Privileged\":true", "privileged set to true"),
            ("\"NetworkMode\":\"p_default\"", "\"NetworkMode\":\"host\"", "network of the host set to true"),
            ("\"ReadonlyRootfs\":true", "\"ReadonlyRootfs\":false", "read_only no longer set (was true)"),
            ("NET_BIND_SERVICE", "SYS_ADMIN", "cap_add NET_BIND_SERVICE → SYS_ADMIN"),
            ("8080", "9090", "published 80 127.0.0.1:8080 → 127.0.0.1:9090"),
            ("\"Name\":\"p_data\"", "\"Name\":\"other\"", "volume /data p_data → other"),
            (
                "_data/.files/0",
                "_data/.files/1",
                "volume /etc/x p_files/_data/.files/0 (read-only) → p_files/_data/.files/1 (read-only)",
            ),
            (
                "\"Type\":\"volume\",\"Name\":\"0123456789012345678901234567890123456789012345678901234567890123\"",
                "\"Type\":\"bind\",\"Source\":\"/etc\"",
                "volume /v set to /etc",
            ),
            ("rw,mode=1777", "rw", "tmpfs /tmp rw,mode=1777 → rw"),
            ("[\"no-new-privileges\"]", "[]", "security_opt no longer set (was no-new-privileges)"),
            ("\"no-new-privileges\"", "\"seccomp=unconfined\"", "security_opt no-new-privileges → seccomp=unconfined"),
            ("\"Init\":true", "\"Init\":false", "init no longer set (was true)"),
            ("[\"9.9.9.9\"]", "[]", "dns no longer set (was 9.9.9.9)"),
            ("legacy:10.0.0.7", "legacy:10.0.0.8", "host legacy 10.0.0.7 → 10.0.0.8"),
            ("\"Soft\":512", "\"Soft\":1024", "ulimit nofile 512:1024 → 1024:1024"),
            ("\"rw\"}", "\"rwm\"}", "device /dev/fuse /dev/fuse:rw → /dev/fuse:rwm"),
            ("json-file", "none", "log driver json-file → none"),
            ("10m", "1g", "log options changed"),
            ("\"NONE\"", "\"CMD\",\"true\"", "health check changed"),
        ] {
            assert!(SEEN.contains(from), "{from}");
            assert_eq!(drift(&SEEN.replacen(from, to, 1)), [told], "{from} → {to}");
        }
    }
}
