//! Containers in detail, for those who judge how they run.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{ListContainersOptions, TopOptions};
use futures_util::future::{join_all, try_join_all};

use crate::base::date::moment;
use crate::base::name::{ProjectName, SecretName};
use crate::base::secret::Secret;
use crate::model::container::label;
use crate::model::inspected::{FileMode, Inspected};
use crate::model::secrets::SecretValues;

use super::connect::Engine;
use super::error::EngineError;
use super::observe::filter;

/// Values shorter than this are found everywhere, by chance.
const TELLING: usize = 8;

impl Engine {
    /// Every container of the project in detail. `secrets` are looked for in everything that the engine shows to
    /// whoever asks it; only their names come back.
    pub async fn inspect_all(
        &self,
        project: &ProjectName,
        secrets: &SecretValues,
    ) -> Result<Vec<Inspected>, EngineError> {
        self.inspect_labelled(filter(project), secrets).await
    }

    /// Every container with these labels in detail.
    pub(super) async fn inspect_labelled(
        &self,
        labels: HashMap<String, Vec<String>>,
        secrets: &SecretValues,
    ) -> Result<Vec<Inspected>, EngineError> {
        let options = ListContainersOptions { all: true, filters: Some(labels), ..ListContainersOptions::default() };
        let listed = self.call("list containers", self.docker.list_containers(Some(options))).await?;
        let ids: Vec<String> = listed.into_iter().filter_map(|container| container.id).collect();
        let details = ids.iter().map(|id| self.call("look at a container", self.docker.inspect_container(id, None)));
        let mut all: Vec<Inspected> =
            try_join_all(details).await?.into_iter().map(|details| inspected(details, secrets)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let images = self.ages(all.iter().map(|container| container.image_id.as_str())).await;
        let users = join_all(all.iter().map(|container| self.users(&container.name, container.running))).await;
        for (container, processes) in all.iter_mut().zip(users) {
            container.image_created = images.get(&container.image_id).copied();
            container.processes = processes;
        }
        Ok(all)
    }

    /// The engine's clock, seconds since 1970; `None` where it does not tell.
    pub async fn clock(&self) -> Result<Option<u64>, EngineError> {
        let info = self.call("ask the engine for its clock", self.docker.info()).await?;
        Ok(info.system_time.and_then(|time| moment(&time)))
    }

    /// Owner and mode of every file below a folder of a container, links left out. Works with any image: nothing
    /// runs in it.
    pub async fn modes(&self, container: &str, folder: &str) -> Result<Vec<FileMode>, EngineError> {
        let files = self.get_archive(container, folder, &format!("look at {folder} of {container}")).await?;
        let regular = files.into_iter().filter(|(_, entry)| entry.link.is_none());
        Ok(regular.map(|(path, entry)| FileMode { path, mode: entry.mode & 0o7777, uid: entry.uid }).collect())
    }

    async fn ages(&self, ids: impl Iterator<Item = &str>) -> BTreeMap<String, u64> {
        let ids: std::collections::BTreeSet<&str> = ids.filter(|id| !id.is_empty()).collect();
        let asked = ids.into_iter().map(|id| async move {
            // An image without a name may be gone although containers of it run.
            let image = self.call("look at an image", self.docker.inspect_image(id)).await.ok()?;
            Some((id.to_owned(), moment(&image.created?)?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn users(&self, name: &str, running: bool) -> Option<Vec<(u32, String)>> {
        if !running {
            return None;
        }
        let options = TopOptions { ps_args: "-o pid,uid,args".to_owned() };
        let answer = self.call("list processes", self.docker.top_processes(name, Some(options))).await.ok()?;
        let rows = answer.processes.unwrap_or_default();
        Some(rows.into_iter().filter_map(|row| Some((row.get(1)?.parse().ok()?, row.get(2)?.clone()))).collect())
    }
}

fn inspected(details: ContainerInspectResponse, secrets: &SecretValues) -> Inspected {
    let config = details.config.unwrap_or_default();
    let labels: HashMap<String, String> = config.labels.unwrap_or_default();
    let host = details.host_config.unwrap_or_default();
    let state = details.state.unwrap_or_default();
    let log = host.log_config.clone().unwrap_or_default();
    let environment = config.env.unwrap_or_default();
    let words = [config.entrypoint.unwrap_or_default(), config.cmd.unwrap_or_default()].concat();
    let shown = environment
        .iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (format!("environment variable {name}"), value))
        .chain(words.iter().map(|word| ("command".to_owned(), word.as_str())))
        .chain(labels.iter().map(|(name, value)| (format!("label {name}"), value.as_str())));
    Inspected {
        name: details.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        visible: visible(shown, secrets),
        service: labels.get(label::SERVICE).or(labels.get(label::COMPOSE_SERVICE)).cloned().unwrap_or_default(),
        number: labels.get(label::COMPOSE_NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0),
        running: state.running.unwrap_or(false),
        started: state.started_at.unwrap_or_default(),
        restarts: details.restart_count.unwrap_or(0),
        oom_killed: state.oom_killed.unwrap_or(false),
        user: config.user.unwrap_or_default(),
        privileged: host.privileged.unwrap_or(false),
        host_namespaces: host_namespaces(&host),
        binds: binds(&host, details.mounts.as_deref().unwrap_or_default()),
        cap_add: host.cap_add.unwrap_or_default(),
        cap_drop: host.cap_drop.unwrap_or_default(),
        security: host.security_opt.unwrap_or_default(),
        read_only: host.readonly_rootfs.unwrap_or(false),
        memory: host.memory.unwrap_or(0),
        nano_cpus: host.nano_cpus.unwrap_or(0),
        pids: host.pids_limit.unwrap_or(0),
        restart: host.restart_policy.and_then(|p| p.name).map(|name| name.to_string()).unwrap_or_default(),
        log_driver: log.typ.unwrap_or_default(),
        log_options: log.config.unwrap_or_default().into_iter().collect(),
        image: config.image.unwrap_or_default(),
        image_id: details.image.unwrap_or_default(),
        image_created: None,
        processes: None,
    }
}

pub(super) fn host_namespaces(host: &HostConfig) -> Vec<&'static str> {
    [
        ("network", &host.network_mode),
        ("pid", &host.pid_mode),
        ("ipc", &host.ipc_mode),
        ("uts", &host.uts_mode),
        ("user", &host.userns_mode),
    ]
    .into_iter()
    .filter(|(_, mode)| mode.as_deref() == Some("host"))
    .map(|(name, _)| name)
    .collect()
}

/// Only what comes from the host's own file system; volumes are the engine's, and so is a part of a volume that the
/// container has anyway (files of the project are mounted so).
fn binds(host: &HostConfig, mounts: &[bollard::models::MountPoint]) -> Vec<(String, String)> {
    let is = |mount: &bollard::models::MountPoint, kind: &str| mount.typ.as_deref() == Some(kind);
    let volumes: Vec<&str> = mounts.iter().filter(|m| is(m, "volume")).filter_map(|m| m.source.as_deref()).collect();
    let of_volume = |source: &str| {
        volumes.iter().any(|volume| source.strip_prefix(volume).is_some_and(|rest| rest.starts_with('/')))
    };
    let is_bind = |mount: &bollard::models::MountPoint| {
        is(mount, "bind") && !of_volume(mount.source.as_deref().unwrap_or_default())
    };
    let mut found: Vec<(String, String)> = mounts
        .iter()
        .filter(|mount| is_bind(mount))
        .map(|mount| (mount.source.clone().unwrap_or_default(), mount.destination.clone().unwrap_or_default()))
        .collect();
    // `NAME:/path` is a volume, `/path:/path` is not.
    let listed = host.binds.iter().flatten().filter(|bind| bind.starts_with('/'));
    found.extend(listed.filter_map(|bind| {
        let mut parts = bind.split(':');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    }));
    found.sort();
    found.dedup();
    found
}

fn visible<'a>(shown: impl Iterator<Item = (String, &'a str)>, secrets: &SecretValues) -> Vec<(SecretName, String)> {
    let telling: Vec<(&SecretName, &str)> = secrets
        .iter()
        .map(|(name, value): (&SecretName, &Secret)| (name, value.expose().trim()))
        .filter(|(_, value)| value.len() >= TELLING)
        .collect();
    let mut found: Vec<(SecretName, String)> = shown
        .flat_map(|(place, text)| {
            telling
                .iter()
                .filter(move |(_, value)| text.contains(value))
                .map(move |(name, _)| ((*name).clone(), place.clone()))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_container_as_the_engine_describes_it() {
        let json = r#"{"Id":"ab","Name":"/p-app-1","Image":"sha256:1","RestartCount":2,
            "State":{"Running":true,"OOMKilled":true,"StartedAt":"2026-11-20T12:48:38.1Z"},
            "Config":{"User":"10001","Image":"app:1","Env":["A=1","URL=postgres://u:hunter2-hunter2@db"],
              "Cmd":["serve","--token=hunter2-hunter2"],"Labels":{"stackctl.service":"app","x":"hunter2-hunter2",
              "com.docker.compose.container-number":"1"}},
            "HostConfig":{"Privileged":true,"CapAdd":["NET_ADMIN"],"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"],
              "ReadonlyRootfs":true,"NetworkMode":"host","PidMode":"host","IpcMode":"private","Memory":1048576,
              "NanoCpus":500000000,"PidsLimit":64,"RestartPolicy":{"Name":"unless-stopped"},
              "LogConfig":{"Type":"json-file","Config":{"max-size":"10m"}},
              "Binds":["/var/run/docker.sock:/s:ro","data:/data"]},
            "Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Destination":"/s"},
              {"Type":"bind","Source":"/var/lib/docker/volumes/data/_data/.files/0","Destination":"/etc/app.toml"},
              {"Type":"volume","Name":"data","Source":"/var/lib/docker/volumes/data/_data","Destination":"/data"}]}"#;
        let name = SecretName::parse("token").unwrap();
        let secrets = SecretValues::from([(name.clone(), Secret::new("hunter2-hunter2\n"))]);
        let seen = inspected(serde_json::from_str(json).unwrap(), &secrets);
        assert_eq!((seen.name.as_str(), seen.service.as_str(), seen.number), ("p-app-1", "app", 1));
        assert_eq!((seen.restarts, seen.oom_killed, seen.memory, seen.pids), (2, true, 1 << 20, 64));
        assert_eq!(seen.host_namespaces, ["network", "pid"]);
        assert_eq!(seen.binds, [("/var/run/docker.sock".to_owned(), "/s".to_owned())]);
        assert_eq!((seen.restart.as_str(), seen.log_driver.as_str()), ("unless-stopped", "json-file"));
        let places: Vec<&str> = seen.visible.iter().map(|(_, place)| place.as_str()).collect();
        assert_eq!(places, ["command", "environment variable URL", "label x"]);
        assert!(!format!("{seen:?}").contains("hunter2"));
    }

    #[test]
    fn short_values_are_not_looked_for() {
        let name = SecretName::parse("pin").unwrap();
        let secrets = SecretValues::from([(name, Secret::new("1"))]);
        assert!(visible([("label x".to_owned(), "10")].into_iter(), &secrets).is_empty());
    }
}
