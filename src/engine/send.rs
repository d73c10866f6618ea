//! Images without a registry: from the engine of this machine to another one, over the connections that are there.
//! Layers that the other one has are left out where it accepts that: the image store of Docker's own storage drivers
//! looks for a layer before it reads it (`image/tarexport/load.go` of moby, from 20.10 to 29); containerd's image store
//! and Podman want whole archives.

mod archive;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;

use crate::base::env::Env;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use archive::{Contents, Filter};

/// How long either engine may say nothing before it counts as stuck.
const SILENCE: Duration = Duration::from_secs(300);

/// Variables that say where this machine's engine is.
const VARIABLES: [&str; 4] = ["HOME", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH"];

/// Where this machine's own engine is to be looked for.
#[derive(Debug, Clone, Default)]
pub struct Here(Env);

impl Here {
    /// Out of an environment; only what says where the engine is, is kept.
    pub fn new(env: &Env) -> Self {
        let vars = VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), env.vars.get(*name)?.clone())));
        Self(Env { vars: vars.collect(), ..Env::default() })
    }

    /// The engine of this machine: that of the current Docker context, else the default socket. `DOCKER_HOST` names the
    /// engine to deploy to.
    pub async fn connect(&self) -> Result<Engine, EngineError> {
        Engine::connect(None, &self.0).await
    }
}

/// What an image is made of, so that two engines can be compared: they may give the same image different IDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Makeup {
    /// Digests of its layers as they are on the disk, lowest first.
    layers: Vec<String>,
    created: String,
    architecture: String,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Layers of the image.
    pub layers: usize,
    /// Those that were there.
    pub left_out: usize,
    /// Bytes that went over the wire.
    pub bytes: u64,
}

impl Engine {
    /// What an image is made of; `None` if it is not there.
    pub async fn makeup(&self, reference: &str) -> Result<Option<Makeup>, EngineError> {
        let doing = format!("look for the image {reference}");
        match self.call(&doing, self.docker.inspect_image(reference)).await {
            Ok(found) => Ok(Some(makeup(found))),
            Err(error) if matches!(error.kind, ErrorKind::ImageNotFound | ErrorKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends an image to another engine, under the same name. `tell` hears how many bytes have gone.
    pub async fn send(&self, reference: &str, to: &Self, tell: &mut dyn FnMut(u64)) -> Result<Sent, EngineError> {
        let doing = format!("send the image {reference}");
        let Some(ours) = self.makeup(reference).await? else {
            return Err(EngineError::new(
                ErrorKind::ImageNotFound,
                doing,
                "the engine of this machine does not have it",
            )
            .with_hint(format!("build it first: `docker build -t {reference} .`")));
        };
        let there = if to.leaves_out().await? { to.layers_in_common(&ours).await? } else { 0 };
        let drop = if there == 0 { BTreeSet::new() } else { self.contents(reference, &doing).await?.files(there) };
        let left_out = drop.len();
        let went = self.pass(reference, to, drop, &doing, tell).await;
        // The end of the stream proves nothing; the image does.
        match (to.makeup(reference).await?, went) {
            (Some(theirs), Ok(bytes)) if theirs == ours => Ok(Sent { layers: ours.layers.len(), left_out, bytes }),
            (_, Ok(_)) => {
                Err(EngineError::new(ErrorKind::Other, doing, "it was sent, and the engine does not have it")
                    .with_hint("run it again; if it stays so, look at the engine's log (`journalctl -u docker`)"))
            }
            (_, Err(error)) => Err(error),
        }
    }

    /// Whether it takes an archive without the layers it has.
    async fn leaves_out(&self) -> Result<bool, EngineError> {
        let info = self.call("ask how the engine keeps images", self.docker.info()).await?;
        let driver = info.driver_status.unwrap_or_default();
        let containerd = driver.iter().flatten().any(|text| text.contains("containerd.snapshotter"));
        Ok(!containerd && !self.podman)
    }

    /// How many of the lowest layers are there: those of any image, since a layer is kept by all that is below it.
    async fn layers_in_common(&self, ours: &Makeup) -> Result<usize, EngineError> {
        let options = ListImagesOptions { all: true, ..ListImagesOptions::default() };
        let list = self.call("list images", self.docker.list_images(Some(options))).await?;
        let looks = list.iter().map(|image| self.call("look at an image", self.docker.inspect_image(&image.id)));
        // One that has gone since is no reason to stop.
        let all = join_all(looks).await.into_iter().flatten().map(makeup);
        let common = |theirs: Makeup| ours.layers.iter().zip(&theirs.layers).take_while(|(a, b)| a == b).count();
        Ok(all.map(common).max().unwrap_or(0))
    }

    /// Which file of the archive is which layer: engines before 25 say so at its end only, and it has to be known before
    /// the first is sent.
    async fn contents(&self, reference: &str, doing: &str) -> Result<Contents, EngineError> {
        let mut archive = self.docker.export_image(reference);
        let mut contents = Contents::default();
        while let Some(part) = next(&mut archive, doing).await? {
            contents.read(&part).map_err(|why| EngineError::new(ErrorKind::Other, doing, why))?;
        }
        Ok(contents)
    }

    async fn pass(
        &self,
        reference: &str,
        to: &Self,
        drop: BTreeSet<String>,
        doing: &str,
        tell: &mut dyn FnMut(u64),
    ) -> Result<u64, EngineError> {
        // What stopped our side, which the other engine can only call the end of the archive.
        let stopped: Arc<Mutex<Option<EngineError>>> = Arc::default();
        let ours = Arc::clone(&stopped);
        let (count, mut counted) = tokio::sync::watch::channel(0_u64);
        let (mut filter, label) = (Filter::new(drop), doing.to_owned());
        let archive = self.docker.export_image(reference);
        let body = archive.map(move |part| {
            let failed = |error: EngineError| {
                let text = error.message.clone();
                *ours.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                std::io::Error::other(text)
            };
            let part = part.map_err(|error| failed(EngineError::from_bollard(label.as_str(), &error)))?;
            let kept =
                filter.pass(&part).map_err(|why| failed(EngineError::new(ErrorKind::Other, label.as_str(), why)))?;
            count.send_modify(|n| *n += kept.len() as u64);
            Ok::<Bytes, std::io::Error>(kept)
        });
        let mut lines =
            to.docker.import_image_stream(ImportImageOptions { quiet: true, ..Default::default() }, body, None);
        let mut told = 0;
        let failed =
            |error: EngineError| stopped.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error);
        loop {
            tokio::select! {
                line = lines.next() => match line {
                    None => return Ok(told.max(*counted.borrow())),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(failed(EngineError::from_bollard(doing, &error))),
                },
                Ok(()) = counted.changed() => {
                    let now = *counted.borrow_and_update();
                    if now >> 20 != told >> 20 {
                        tell(now);
                    }
                    told = now;
                }
                () = tokio::time::sleep(SILENCE) => return Err(silent(doing)),
            }
        }
    }
}

async fn next(
    archive: &mut (impl futures_util::Stream<Item = Result<Bytes, bollard::errors::Error>> + Unpin),
    doing: &str,
) -> Result<Option<Bytes>, EngineError> {
    match tokio::time::timeout(SILENCE, archive.next()).await {
        Ok(part) => part.transpose().map_err(|error| EngineError::from_bollard(doing, &error)),
        Err(_) => Err(silent(doing)),
    }
}

fn silent(doing: &str) -> EngineError {
    EngineError::new(ErrorKind::Timeout, doing, format!("nothing happened for {} s", SILENCE.as_secs()))
}

fn makeup(image: ImageInspect) -> Makeup {
    Makeup {
        layers: image.root_fs.and_then(|fs| fs.layers).unwrap_or_default(),
        created: image.created.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
    }
}
