//! What each step does: one small function an action, each a call or two to the engine or a question over the network.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::name::{ProjectName, SecretName, ServiceName};
use crate::base::units::Span;
use crate::engine::assets::Copy;
use crate::engine::build::{BuildNews, Wanted};
use crate::engine::lock::Lock;
use crate::engine::send::Here;
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::files::Context;
use crate::model::artifact::Artifact;
use crate::model::container::{ContainerSpec, label};
use crate::model::secrets::SecretValues;
use crate::model::service::Build;
use crate::plan::{Action, Step, only_flags};

use super::artifacts::base_from_mirror;
use super::error::Failure;
use super::layers::Layers;
use super::reason::{engine_failure, explained};
use super::{drain, ready, watch};

/// What steps work on.
pub struct Effects<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The project.
    pub project: &'a ProjectName,
    /// Host name that requests through the front door carry.
    pub domain: String,
    /// Values of secrets, for builds that have some.
    pub values: Option<&'a SecretValues>,
    /// Build contexts.
    pub contexts: &'a BTreeMap<ServiceName, Context>,
    /// Folder of stack.toml.
    pub folder: PathBuf,
    /// Registry that stands in for Docker Hub: handed to Dockerfiles that ask for it.
    pub mirror: Option<String>,
    /// Where this machine's own engine is: images are sent from there.
    pub here: Here,
    /// Held while anything is changed; `None` only where nobody else can be at work.
    pub lock: Option<&'a Lock>,
}

type Tell<'a> = &'a dyn Fn(String);

/// Points links of a files volume elsewhere. Flags may be away for a moment, which saves the start of a container.
pub(super) async fn switch(engine: &Engine, volume: &str, links: &BTreeMap<String, String>) -> Result<(), EngineError> {
    if !only_flags(links) {
        return Box::pin(engine.replace_links(volume, links)).await;
    }
    let links: Vec<(String, String)> = links.clone().into_iter().collect();
    Box::pin(engine.write_files(volume, &[], &links)).await
}

impl Effects<'_> {
    /// Does one step. `tell` hears how far it is, `mark` what is worth a line that stays.
    pub async fn perform(&self, step: &Step, tell: Tell<'_>, mark: Tell<'_>) -> Result<(), Failure> {
        if self.lock.is_some_and(|lock| !lock.is_open()) {
            return Err(Failure {
                step: step.action.to_string(),
                cause: "the connection that holds the lock is gone".to_owned(),
                hint: Some("run it again; it goes on where this run stopped".to_owned()),
                ..Failure::default()
            });
        }
        match &step.action {
            Action::WaitReady { container, service, health, address, hold, timeout } => {
                let patience = ready::Patience { hold: *hold, timeout: *timeout };
                let waited =
                    ready::wait(self.engine, self.project, container, health.as_ref(), *address, patience, tell).await;
                self.explain(step, service, container, waited).await
            }
            Action::Reach { host, port, .. } => ready::reach(host, *port).await.map_err(|why| Failure {
                step: step.action.to_string(),
                cause: why.cause,
                hint: why.hint,
                ..Failure::default()
            }),
            Action::Gate { container, service, candidate, listener, path } => {
                let asked = ready::gate(self.engine, *listener, *candidate, path, &self.domain).await;
                self.explain(step, service, container, asked).await
            }
            Action::RunJob { container, service, timeout } | Action::PostDeploy { container, service, timeout } => {
                self.job(step, container, service, *timeout, tell).await
            }
            Action::Watch { door, new, old, time, .. } => {
                let watched = watch::watch(self.engine, door, new, old, time.0, tell).await;
                watched.map_err(|cause| Failure {
                    step: step.action.to_string(),
                    cause,
                    hint: Some("mend it and run `stackctl up` again".to_owned()),
                    ..Failure::default()
                })
            }
            Action::TestProxy { container, config } => self.test_proxy(step, container, config).await,
            Action::Reload { container, command: Some(command), .. } => self.reload_by(step, container, command).await,
            Action::Reload { container, hash, listener, .. } => self.reload(step, container, hash, *listener).await,
            Action::Drain { door, addresses, time, .. } => {
                drain::until_quiet(self.engine, door, addresses, time.0, tell).await;
                Ok(())
            }
            Action::Start { container } => {
                let started = self.engine.start(container).await;
                started.map_err(|e| engine_failure(step, &e))
            }
            other => self.call(other, tell, mark).await.map_err(|e| Failure {
                raced: matches!(other, Action::CreateNetwork { .. }) && e.kind == ErrorKind::AddressTaken,
                ..engine_failure(step, &e)
            }),
        }
    }

    /// Steps that are a call to the engine and nothing else.
    async fn call(&self, action: &Action, tell: Tell<'_>, mark: Tell<'_>) -> Result<(), EngineError> {
        let engine = self.engine;
        match action {
            Action::WriteState { files, .. } => engine.write_state(self.project, files).await,
            Action::Pull { image } => {
                let mut layers = Layers::default();
                engine.pull(image, &mut |news| layers.hear(news, tell, mark)).await
            }
            Action::Send { image } => self.send(image, tell).await,
            Action::Build { image, build, context } => self.build(image, build, context, tell, mark).await,
            Action::CreateNetwork { network } => engine.create_network(network).await,
            Action::CreateVolume { volume } => engine.create_volume(volume).await,
            Action::WriteFiles { volume, files, links, .. } => {
                engine.create_volume(volume).await?;
                // With links it is for somebody who does not run yet; without, somebody may be reading.
                if links.is_empty() {
                    return engine.update_files(&volume.name, files).await;
                }
                let links: Vec<(String, String)> = links.clone().into_iter().collect();
                engine.write_files(&volume.name, files, &links).await
            }
            Action::CopyFiles { volume, image, folder, key, slot, .. } => {
                let copy = Copy { image, folder, volume, key, slot: *slot };
                let copied = engine.copy_out_of_image(copy).await?;
                tell(format!("{} files, {} KiB", copied.files, copied.bytes >> 10));
                Ok(())
            }
            Action::DropFiles { volume, folders, links, .. } => {
                // A file in the place of a folder takes away all that was in it.
                let files: Vec<Artifact> = folders.iter().map(|folder| Artifact::plain(folder, "")).collect();
                let links: Vec<(String, String)> = links.clone().into_iter().collect();
                engine.write_files(volume, &files, &links).await
            }
            Action::Switch { volume, links, .. } => switch(engine, volume, links).await,
            Action::Create { container, .. } => engine.create(container).await.map(drop),
            Action::Stop { container, grace } => engine.stop(container, *grace).await,
            Action::Remove { container } => engine.remove_with_volumes(container).await,
            Action::Update { container, limits } => engine.update(container, limits).await,
            Action::Disconnect { container, network } => engine.disconnect(container, network).await,
            Action::Rename { container, to } => engine.rename(container, to).await,
            Action::RemoveNetwork { network } => engine.remove_network(network).await,
            Action::RemoveVolume { volume } => engine.remove_volume(volume).await,
            Action::Start { .. }
            | Action::WaitReady { .. }
            | Action::Reach { .. }
            | Action::Watch { .. }
            | Action::Gate { .. }
            | Action::RunJob { .. }
            | Action::PostDeploy { .. }
            | Action::TestProxy { .. }
            | Action::Reload { .. }
            | Action::Drain { .. } => Ok(()),
        }
    }

    async fn send(&self, image: &str, tell: Tell<'_>) -> Result<(), EngineError> {
        let here = self.here.connect().await?;
        let sent = here.send(image, self.engine, &mut |bytes| tell(format!("{} MB", bytes >> 20))).await?;
        let there = if sent.left_out > 0 { format!(", {} were there", sent.left_out) } else { String::new() };
        tell(format!("{} layers, {} MB sent{there}", sent.layers, sent.bytes >> 20));
        Ok(())
    }

    async fn build(
        &self,
        image: &str,
        build: &Build,
        hash: &str,
        tell: Tell<'_>,
        mark: Tell<'_>,
    ) -> Result<(), EngineError> {
        let failed =
            |message: String| EngineError::new(crate::engine::ErrorKind::Build, format!("build {image}"), message);
        let context = self.contexts.get(&build.name).ok_or_else(|| failed("its context was not read".to_owned()))?;
        let mut build = build.clone();
        base_from_mirror(&mut build, &self.folder, self.mirror.as_deref()).map_err(|e| failed(e.to_string()))?;
        let labels = [(label::PROJECT, self.project.as_str()), (label::CONTEXT, hash)];
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let tar = context.tar().map_err(|e| failed(e.to_string()))?;
        let value = |name: &SecretName| Some((name.to_string(), self.values?.get(name)?.clone()));
        let secrets = build.secrets.iter().filter_map(value).collect();
        let wanted = Wanted { build: &build, tag: image, labels: &labels, secrets: &secrets };
        let mut hear = |news| match news {
            BuildNews::Step(text) => mark(text),
            BuildNews::Line(text) => tell(text),
        };
        self.engine.build(wanted, tar, &mut hear).await.map(drop)
    }

    async fn job(
        &self,
        step: &Step,
        container: &ContainerSpec,
        service: &ServiceName,
        timeout: Option<Span>,
        tell: Tell<'_>,
    ) -> Result<(), Failure> {
        let engine = self.engine;
        let command = container.command.clone().unwrap_or_default().join(" ");
        let run = async {
            engine.create(container).await?;
            engine.start(&container.name).await?;
            tell(container.command.clone().unwrap_or_default().join(" "));
            engine.wait_exit(&container.name).await
        };
        let run = async {
            match timeout {
                Some(limit) => match tokio::time::timeout(limit.0, run).await {
                    Ok(ended) => ended.map(Ok),
                    Err(_) => Ok(Err(format!("`{command}` of {service} has not ended after {limit}"))),
                },
                None => run.await.map(Ok),
            }
        };
        let failed = |cause: String, exit_code| ready::NotReady {
            cause,
            hint: Some("mend it and run `stackctl up` again".to_owned()),
            exit_code,
        };
        let result = match run.await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(code)) => {
                let waited = Err(failed(format!("`{command}` of {service} exited with {code}"), Some(code)));
                self.explain(step, service, &container.name, waited).await
            }
            Ok(Err(late)) => self.explain(step, service, &container.name, Err(failed(late, None))).await,
            Err(error) => Err(engine_failure(step, &error)),
        };
        let removed = engine.remove_with_volumes(&container.name).await;
        result.and(removed.map_err(|e| engine_failure(step, &e)))
    }

    /// Adds to "not ready" what the engine, the container's end and its log know about it.
    async fn explain(
        &self,
        step: &Step,
        service: &ServiceName,
        container: &str,
        waited: Result<(), ready::NotReady>,
    ) -> Result<(), Failure> {
        let Err(not_ready) = waited else { return Ok(()) };
        Err(explained(self.engine, step.action.to_string(), service.as_str(), container, not_ready).await)
    }
}
