//! A command in a container, or a container of its own, with its streams: what is typed goes in, what it prints
//! comes out as it comes.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthConfig,
    NetworkConnectRequest, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, ResizeContainerTTYOptions, ResizeExecOptions,
};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use crate::model::container::{LAUNCHER, label};

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};

/// How long a command may count as running after its output ended, before its exit code is given up.
const END: Duration = Duration::from_secs(10);

/// A part of what a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// To its standard output, or to its terminal.
    Out(Bytes),
    /// To its standard error.
    Err(Bytes),
}

/// What a command prints, until it closes both streams.
pub type Output = BoxStream<'static, Result<Chunk, EngineError>>;

/// What a command reads; shutting it down is the end of its input.
pub type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// Streams of a command.
pub struct Session {
    /// Its input.
    pub input: Input,
    /// Its output.
    pub output: Output,
    /// What it is, for resizing and for its end.
    pub process: Process,
}

/// What runs at the other end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// A command in a running container, by its ID as an exec.
    Exec(String),
    /// A container's first process, by the container's ID.
    Container(String),
}

/// A command for a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value` on top of the container's environment.
    pub env: Vec<String>,
    /// Another user than the container's: `user` or `user:group`.
    pub user: Option<String>,
    /// Another folder than the container's.
    pub folder: Option<String>,
    /// It gets a terminal.
    pub terminal: bool,
    /// It gets an input.
    pub input: bool,
}

/// A container of its own, like one that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOff {
    /// Its name.
    pub name: String,
    /// What it runs; without entry point, these are arguments of the service's own.
    pub command: Command,
    /// Entry point instead of the service's own.
    pub entrypoint: Option<Vec<String>>,
}

impl Engine {
    /// Starts a command in a running container.
    pub async fn exec_session(&self, container: &str, command: &Command) -> Result<Session, EngineError> {
        let program = command.argv.first().map_or("", String::as_str);
        let doing = format!("run `{program}` in {container}");
        let options = CreateExecOptions {
            attach_stdin: Some(command.input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(command.terminal),
            ..alone(command)
        };
        let id = self.call(&doing, self.docker.create_exec(container, options)).await?.id;
        let options = StartExecOptions { tty: command.terminal, ..StartExecOptions::default() };
        match self.call(&doing, self.docker.start_exec(&id, Some(options))).await? {
            StartExecResults::Attached { output, input } => {
                Ok(Session { input, output: chunks(output, doing), process: Process::Exec(id) })
            }
            StartExecResults::Detached => Err(EngineError::new(ErrorKind::Other, doing, "the engine gave no streams")),
        }
    }

    /// Starts a command in a running container and leaves it alone.
    pub async fn exec_detached(&self, container: &str, command: &Command) -> Result<(), EngineError> {
        let program = command.argv.first().map_or("", String::as_str);
        let doing = format!("run `{program}` in {container}");
        let id = self.call(&doing, self.docker.create_exec(container, alone(command))).await?.id;
        let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
        self.call(&doing, self.docker.start_exec(&id, Some(options))).await.map(drop)
    }

    /// Creates a container like another one, on the same networks and volumes, with the same environment and files,
    /// but with an address that nobody sends traffic to, no published port and no name for others to find.
    pub async fn one_off(&self, like: &str, wanted: &OneOff) -> Result<String, EngineError> {
        let doing = format!("create the container {}", wanted.name);
        let model = self.call(&doing, self.docker.inspect_container(like, None)).await?;
        let mut networks = networks_of(&model);
        let first = networks.pop();
        let by_launcher = model.config.as_ref().and_then(|c| c.entrypoint.as_deref()) == Some(&[LAUNCHER.to_owned()]);
        let wanted = if by_launcher {
            let image = model.image.clone().unwrap_or_default();
            let (entry, _) = self.image_runs(&image, &doing).await?;
            &behind_launcher(wanted, &entry, model.config.as_ref().and_then(|c| c.cmd.as_deref()).unwrap_or_default())
        } else {
            wanted
        };
        let body = one_off_body(model, first.as_deref(), wanted);
        let options = CreateContainerOptions { name: Some(wanted.name.clone()), ..CreateContainerOptions::default() };
        let id = self.call(&doing, self.docker.create_container(Some(options), body)).await?.id;
        for network in networks {
            let request = NetworkConnectRequest { container: id.clone(), endpoint_config: None };
            let doing = format!("connect {} to the network {network}", wanted.name);
            if let Err(error) = self.call(&doing, self.docker.connect_network(&network, request)).await {
                let _ = self.discard(&id).await;
                return Err(error);
            }
        }
        Ok(id)
    }

    /// The streams of a container that has not started yet.
    pub async fn attach(&self, container: &str, input: bool) -> Result<Session, EngineError> {
        let doing = format!("attach to {container}");
        let options = AttachContainerOptions {
            stream: true,
            stdin: input,
            stdout: true,
            stderr: true,
            ..AttachContainerOptions::default()
        };
        let attached = self.call(&doing, self.docker.attach_container(container, Some(options))).await?;
        let AttachContainerResults { output, input } = attached;
        Ok(Session { input, output: chunks(output, doing), process: Process::Container(container.to_owned()) })
    }

    /// Tells a terminal's size.
    pub async fn resize(&self, process: &Process, rows: u16, columns: u16) -> Result<(), EngineError> {
        let (h, w) = (i32::from(rows), i32::from(columns));
        match process {
            Process::Exec(id) => {
                self.call("resize the terminal", self.docker.resize_exec(id, ResizeExecOptions { h, w })).await
            }
            Process::Container(id) => {
                let options = ResizeContainerTTYOptions { h, w };
                self.call("resize the terminal", self.docker.resize_container_tty(id, options)).await
            }
        }
    }

    /// Exit code of a command whose output ended.
    pub async fn exec_end(&self, exec: &str) -> Result<i64, EngineError> {
        let doing = "see how the command ended";
        let began = std::time::Instant::now();
        loop {
            let info = self.call(doing, self.docker.inspect_exec(exec)).await?;
            match info.exit_code {
                Some(code) if info.running != Some(true) => return Ok(code),
                _ if began.elapsed() > END => {
                    return Err(EngineError::new(ErrorKind::Timeout, doing, "it closed its output but still runs"));
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Stops a container with its own signal, kills it after its own grace, and starts it again.
    pub async fn restart(&self, container: &str, grace: Duration) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = bollard::query_parameters::RestartContainerOptions { t: Some(seconds), signal: None };
        let restart = self.docker.restart_container(container, Some(options));
        self.call_within(grace, &format!("restart {container}"), restart).await
    }
}

/// A command without streams.
fn alone(command: &Command) -> CreateExecOptions<String> {
    CreateExecOptions {
        env: Some(command.env.clone()),
        cmd: Some(command.argv.clone()),
        user: command.user.clone(),
        working_dir: command.folder.clone(),
        ..CreateExecOptions::default()
    }
}

fn chunks(
    raw: impl futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + 'static,
    doing: String,
) -> Output {
    raw.map(move |part| match part {
        Ok(LogOutput::StdErr { message }) => Ok(Chunk::Err(message)),
        Ok(other) => Ok(Chunk::Out(other.into_bytes())),
        Err(error) => Err(EngineError::from_bollard(doing.as_str(), &error)),
    })
    .boxed()
}

/// Networks of a container; last the one it was created on, which is joined at creation.
fn networks_of(model: &ContainerInspectResponse) -> Vec<String> {
    let first = model.host_config.as_ref().and_then(|h| h.network_mode.clone()).unwrap_or_default();
    let all = model.network_settings.as_ref().and_then(|n| n.networks.as_ref());
    let mut names: Vec<String> = all.into_iter().flat_map(HashMap::keys).cloned().collect();
    names.sort_by_key(|name| (*name == first, name.clone()));
    names
}

/// The same for a container that our launcher starts: what it starts are arguments there. `entry` is the image's entry
/// point; `runs` is what the container runs now.
fn behind_launcher(wanted: &OneOff, entry: &[String], runs: &[String]) -> OneOff {
    let argv = match &wanted.entrypoint {
        Some(own) => [own.as_slice(), &wanted.command.argv].concat(),
        None if wanted.command.argv.is_empty() => Vec::new(),
        None if runs.starts_with(entry) => [entry, &wanted.command.argv].concat(),
        None => wanted.command.argv.clone(),
    };
    OneOff { command: Command { argv, ..wanted.command.clone() }, entrypoint: None, ..wanted.clone() }
}

fn one_off_body(model: ContainerInspectResponse, network: Option<&str>, wanted: &OneOff) -> ContainerCreateBody {
    let config = model.config.unwrap_or_default();
    let mut host = model.host_config.unwrap_or_default();
    host.port_bindings = None;
    host.restart_policy = Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None });
    let command = &wanted.command;
    let argv = (!command.argv.is_empty()).then(|| command.argv.clone());
    ContainerCreateBody {
        // By ID: a tag may lead elsewhere by now.
        image: model.image.or(config.image.clone()),
        // A new entry point comes without the old one's arguments, as everywhere.
        cmd: argv.or_else(|| config.cmd.clone().filter(|_| wanted.entrypoint.is_none())),
        entrypoint: wanted.entrypoint.clone().or_else(|| config.entrypoint.clone()),
        user: command.user.clone().or_else(|| config.user.clone()),
        working_dir: command.folder.clone().or_else(|| config.working_dir.clone()),
        env: Some(merged(config.env.clone().unwrap_or_default(), &command.env)),
        labels: Some(one_off_labels(&config)),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        tty: Some(command.terminal),
        open_stdin: Some(command.input),
        // If we go away, it reads the end of its input.
        stdin_once: Some(command.input),
        attach_stdin: Some(command.input),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        networking_config: network.map(|network| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), EndpointSettings::default())])),
        }),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// Whose it is, and that it is nobody's replica: what plans and probes look for is left out.
fn one_off_labels(config: &ContainerConfig) -> HashMap<String, String> {
    let kept = [
        label::PROJECT,
        label::SERVICE,
        label::STAGE,
        label::COMPOSE_PROJECT,
        label::COMPOSE_SERVICE,
        label::COMPOSE_HASH,
    ];
    let mut labels: HashMap<String, String> = config.labels.clone().unwrap_or_default();
    labels.retain(|name, _| kept.contains(&name.as_str()));
    labels.insert(label::ROLE.to_owned(), "run".to_owned());
    labels.insert(label::COMPOSE_ONEOFF.to_owned(), "True".to_owned());
    labels
}

/// An environment with others' values over it.
fn merged(mut env: Vec<String>, over: &[String]) -> Vec<String> {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    env.retain(|pair| !over.iter().any(|o| name(o) == name(pair)));
    env.extend(over.iter().cloned());
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ContainerInspectResponse {
        let json = serde_json::json!({
            "Id": "ab", "Image": "sha256:1",
            "Config": {"Env": ["A=1", "PASSWORD=s"], "Cmd": ["serve"], "Entrypoint": ["/entry"], "User": "7",
                "Labels": {"stackctl.project": "p", "stackctl.service": "app", "stackctl.role": "service",
                    "stackctl.addresses": "p_default=10.83.0.2", "com.docker.compose.container-number": "1"}},
            "HostConfig": {"NetworkMode": "p_default", "ReadonlyRootfs": true, "CapDrop": ["ALL"],
                "PortBindings": {"80/tcp": [{"HostPort": "80"}]}, "RestartPolicy": {"Name": "always"}},
            "NetworkSettings": {"Networks": {"p_default": {}, "p_db": {}}},
        });
        serde_json::from_value(json).unwrap_or_default()
    }

    #[test]
    fn a_one_off_is_like_its_service_but_takes_nothing_from_it() {
        let model = model();
        assert_eq!(networks_of(&model), ["p_db", "p_default"]);
        let wanted = OneOff {
            name: "p-app-run-1".into(),
            command: Command { argv: vec!["sh".into()], env: vec!["A=2".into()], ..Command::default() },
            entrypoint: None,
        };
        let body = one_off_body(model, Some("p_default"), &wanted);
        assert_eq!(body.env, Some(vec!["PASSWORD=s".to_owned(), "A=2".to_owned()]));
        assert_eq!((body.image.as_deref(), body.user.as_deref()), (Some("sha256:1"), Some("7")));
        assert_eq!((body.entrypoint, body.cmd), (Some(vec!["/entry".to_owned()]), Some(vec!["sh".to_owned()])));
        let host = body.host_config.unwrap_or_default();
        assert_eq!((host.port_bindings, host.readonly_rootfs), (None, Some(true)));
        assert_eq!(host.restart_policy.and_then(|r| r.name), Some(RestartPolicyNameEnum::NO));
        let labels = body.labels.unwrap_or_default();
        assert_eq!(labels.get(label::ROLE).map(String::as_str), Some("run"));
        assert_eq!(labels.get(label::COMPOSE_ONEOFF).map(String::as_str), Some("True"));
        assert!(!labels.contains_key(label::ADDRESSES) && !labels.contains_key(label::COMPOSE_NUMBER));
    }

    #[test]
    fn a_new_entry_point_comes_without_old_arguments() {
        let wanted = OneOff { entrypoint: Some(vec!["cat".into()]), ..OneOff::default() };
        let body = one_off_body(model(), None, &wanted);
        assert_eq!((body.entrypoint, body.cmd), (Some(vec!["cat".to_owned()]), None));
    }
}
