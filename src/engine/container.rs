//! Containers: one call each, by ID or name.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerState, ContainerStateStatusEnum, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptions, KillContainerOptions, LogsOptions, RemoveContainerOptions, RenameContainerOptions,
    StopContainerOptions, TopOptions, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};

use crate::base::units::Span;
use crate::model::container::{ContainerSpec, LAUNCHER, launched};

use super::capability::Capability;
use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::spec;

/// Most of a command's output that is kept.
const OUTPUT_LIMIT: usize = 64 << 10;

/// How long a command of ours in a container may take, beside the engine's own time: `nginx -t`, a look at a file, a
/// question to a database.
const EXEC_TIME: Duration = Duration::from_secs(60);

/// How often a container that is waited for is looked at, too: a connection that died says nothing.
const LOOK_TOO: Duration = Duration::from_secs(30);

/// How a container ended, or how it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExitInfo {
    /// It runs now.
    pub running: bool,
    /// It was made and has not run yet.
    pub created: bool,
    /// Exit code of its last end.
    pub exit_code: i64,
    /// The kernel killed it for using more memory than it may.
    pub oom_killed: bool,
    /// The engine's words on why it could not start.
    pub error: String,
    /// `starting`, `healthy`, `unhealthy`; empty without a health check.
    pub health: String,
    /// What the last health check printed.
    pub health_output: String,
}

impl Engine {
    /// Creates a container on all its networks and returns its ID. It does not run yet; if a network refuses it,
    /// it is removed again.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let doing = format!("create the container {}", spec.name);
        let options = CreateContainerOptions { name: Some(spec.name.clone()), ..CreateContainerOptions::default() };
        let mut body = spec::body(spec, &self.places(spec, &doing).await?, self.api);
        if spec.launcher {
            let (entry, arguments) = self.image_runs(&spec.image, &doing).await?;
            let words = launched(spec.entrypoint.as_deref(), spec.command.as_deref(), (&entry, &arguments));
            if words.is_empty() {
                let why = "its image names no program to start; say `command`";
                return Err(EngineError::new(ErrorKind::Other, doing, why));
            }
            body.entrypoint = Some(vec![LAUNCHER.to_owned()]);
            body.cmd = Some(words);
        }
        if let Some(host) = body.host_config.as_mut().filter(|_| self.podman && !spec.networks.is_empty()) {
            // As Docker has it for every container: Nginx, which is nobody there, listens on 80 and 443.
            host.sysctls = Some([("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())].into());
        }
        let id = self.call(&doing, self.docker.create_container(Some(options), body)).await?.id;
        let created_on = if self.can(Capability::SeveralNetworks) { spec.networks.len() } else { 1 };
        for attachment in spec.networks.iter().skip(created_on) {
            let request =
                NetworkConnectRequest { container: id.clone(), endpoint_config: Some(spec::endpoint(attachment)) };
            let doing = format!("connect {} to the network {}", spec.name, attachment.network);
            if let Err(error) = self.call(&doing, self.docker.connect_network(&attachment.network, request)).await {
                let _ = self.discard(&id).await;
                return Err(error);
            }
        }
        Ok(id)
    }

    /// Entry point and arguments of an image.
    pub(super) async fn image_runs(&self, image: &str, doing: &str) -> Result<(Vec<String>, Vec<String>), EngineError> {
        let config = self.call(doing, self.docker.inspect_image(image)).await?.config.unwrap_or_default();
        Ok((config.entrypoint.unwrap_or_default(), config.cmd.unwrap_or_default()))
    }

    /// Where on the engine's disk the volumes are of which the container gets only a part.
    async fn places(&self, spec: &ContainerSpec, doing: &str) -> Result<BTreeMap<String, String>, EngineError> {
        let mut out = BTreeMap::new();
        for mount in spec.mounts.iter().filter(|m| m.subpath.is_some()) {
            if !out.contains_key(&mount.volume) {
                let volume = self.call(doing, self.docker.inspect_volume(&mount.volume)).await?;
                out.insert(mount.volume.clone(), volume.mountpoint);
            }
        }
        Ok(out)
    }

    /// Starts a container; fine if it runs. One that is paused goes on.
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        match self.call(&format!("start the container {}", short(id)), self.docker.start_container(id, None)).await {
            Err(error) if error.message.contains("paused container") => self.unpause(id).await,
            other => other,
        }
    }

    /// Stops a container with its own signal, and kills it after `grace`; fine if it does not run or is gone.
    pub async fn stop(&self, id: &str, grace: Span) -> Result<(), EngineError> {
        let seconds = grace.ceil_seconds();
        let options = StopContainerOptions { t: Some(i32::try_from(seconds).unwrap_or(i32::MAX)), signal: None };
        let stop = self.docker.stop_container(id, Some(options));
        let doing = format!("stop the container {}", short(id));
        gone_is_fine(self.call_within(Duration::from_secs(seconds), &doing, stop).await)
    }

    /// Sends a signal, such as `HUP`.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let signal = if signal.starts_with("SIG") { signal.to_owned() } else { format!("SIG{signal}") };
        let doing = format!("send {signal} to the container {}", short(id));
        self.call(&doing, self.docker.kill_container(id, Some(KillContainerOptions { signal }))).await
    }

    /// Removes a container (with `force` also a running one); fine if it is gone. Its volumes stay, unnamed ones too.
    pub async fn remove(&self, id: &str, force: bool) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force, ..RemoveContainerOptions::default() };
        let remove = self.docker.remove_container(id, Some(options));
        removed(self.call(&format!("remove the container {}", short(id)), remove).await)
    }

    /// Removes a container, also a running one, with the volumes that the engine made and named for it because its
    /// image declares some: nobody finds those again. Volumes with a name of their own stay; fine if it is gone.
    pub async fn remove_with_volumes(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        let remove = self.docker.remove_container(id, Some(options));
        removed(self.call(&format!("remove the container {}", short(id)), remove).await)
    }

    /// Gives a container another name.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptions { name: name.to_owned() };
        let doing = format!("rename the container {} to {name}", short(id));
        self.call(&doing, self.docker.rename_container(id, options)).await
    }

    /// The last lines a container printed, both streams.
    pub async fn logs_tail(&self, id: &str, lines: usize) -> Result<Vec<String>, EngineError> {
        let options = LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
        let output = self.docker.logs(id, Some(options)).try_fold(Vec::new(), keep);
        let output = self.call(&format!("read the log of {}", short(id)), output).await?;
        Ok(String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
    }

    /// How a container is, or how it ended.
    pub async fn inspect_exit(&self, id: &str) -> Result<ExitInfo, EngineError> {
        let inspect = self.docker.inspect_container(id, None);
        let info = self.call(&format!("look at the container {}", short(id)), inspect).await?;
        Ok(exit_info(info.state.unwrap_or_default()))
    }

    /// Waits until a container does not run, and returns its exit code.
    pub async fn wait_exit(&self, id: &str) -> Result<i64, EngineError> {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let doing = format!("wait for the container {}", short(id));
        // No time limit: the caller knows how long its job may take.
        let mut waited = self.docker.wait_container(id, Some(options));
        let answer = loop {
            if let Ok(answer) = tokio::time::timeout(LOOK_TOO, waited.next()).await {
                break answer;
            }
            let now = self.inspect_exit(id).await?;
            if !now.running && !now.created {
                return Ok(now.exit_code);
            }
        };
        match answer {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(code),
            Some(Err(error)) => Err(EngineError::from_bollard(doing, &error)),
            None => Err(EngineError::new(ErrorKind::NotReachable, doing, "the engine went away")),
        }
    }

    /// Processes of a running container: process number as the host sees it, and command line.
    pub async fn processes(&self, id: &str) -> Result<Vec<(u32, String)>, EngineError> {
        let options = TopOptions { ps_args: "-o pid,args".to_owned() };
        let top = self.docker.top_processes(id, Some(options));
        let answer = self.call(&format!("list the processes of {}", short(id)), top).await?;
        let rows = answer.processes.unwrap_or_default();
        Ok(rows.into_iter().filter_map(|row| Some((row.first()?.parse().ok()?, row.get(1)?.clone()))).collect())
    }

    /// Runs a command in a running container: its exit code, and the first 64 KiB of what it printed.
    pub async fn exec(&self, id: &str, argv: &[String]) -> Result<(i64, String), EngineError> {
        let program = argv.first().map_or("", String::as_str);
        let doing = format!("run `{program}` in the container {}", short(id));
        let options = CreateExecOptions {
            cmd: Some(argv.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec = self.call(&doing, self.docker.create_exec(id, options)).await?.id;
        let run = async {
            match self.docker.start_exec(&exec, None).await? {
                StartExecResults::Attached { output, input: _input } => output.try_fold(Vec::new(), keep).await,
                StartExecResults::Detached => Ok(Vec::new()),
            }
        };
        let output = self.call_within(EXEC_TIME, &doing, run).await?;
        let output = String::from_utf8_lossy(&output).into_owned();
        let code = self.call(&doing, self.docker.inspect_exec(&exec)).await?.exit_code.unwrap_or(-1);
        if matches!(code, 126 | 127) && output.contains("OCI runtime exec failed") {
            return Err(EngineError::new(super::error::classify(0, &output), doing, output.trim()));
        }
        Ok((code, output))
    }
}

/// Enough of an ID for people.
fn short(id: &str) -> &str {
    if id.len() == 64 { id.get(..12).unwrap_or(id) } else { id }
}

/// Somebody else who removes it, too, is fine.
fn removed(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if error.message.contains("is already in progress") => Ok(()),
        other => gone_is_fine(other),
    }
}

fn gone_is_fine(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Collects output up to the limit, and reads on so that the writer is not stopped.
async fn keep(mut all: Vec<u8>, part: LogOutput) -> Result<Vec<u8>, Error> {
    let part = part.into_bytes();
    let room = OUTPUT_LIMIT.saturating_sub(all.len()).min(part.len());
    all.extend_from_slice(&part[..room]);
    Ok(all)
}

fn exit_info(state: ContainerState) -> ExitInfo {
    let health = state.health.unwrap_or_default();
    ExitInfo {
        running: state.running.unwrap_or(false),
        created: state.status == Some(ContainerStateStatusEnum::CREATED),
        exit_code: state.exit_code.unwrap_or(0),
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.unwrap_or_default(),
        health: health.status.map(|s| s.to_string()).filter(|s| s != "none").unwrap_or_default(),
        health_output: health
            .log
            .unwrap_or_default()
            .pop()
            .and_then(|last| last.output)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default(),
    }
}
