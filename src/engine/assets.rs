//! Files out of images: from a container that is created and never started, through here, into a volume. What arrives is
//! passed on as it comes, so that nothing depends on how much it is.

use std::io::{self, Read, Write};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::base::date::moment;
use crate::model::container::{VolumeSpec, label};

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;
use super::published::{Copied, Place, Refused, publish};

/// Where the volume appears in the container that carries files.
const MOUNT: &str = "/v";

/// How long a copy may take.
const COPY_TIME: std::time::Duration = std::time::Duration::from_secs(3600);

/// Most pieces under way between two parts of the copy. One is at most as large as the engine or the buffer makes it:
/// some 64 KiB.
const PIECES: usize = 8;

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;

/// What is copied.
#[derive(Debug, Clone, Copy)]
pub struct Copy<'a> {
    /// The image.
    pub image: &'a str,
    /// A folder in it.
    pub folder: &'a str,
    /// Volume to copy to.
    pub volume: &'a VolumeSpec,
    /// What the folder goes by there.
    pub key: &'a str,
    /// Slot to fill.
    pub slot: u8,
}

/// How often the name of a container is asked for that somebody is taking away.
const REMOVALS: u32 = 4;

/// How long the engine may take for that, each time.
const BEING_REMOVED: std::time::Duration = std::time::Duration::from_millis(250);

impl Engine {
    /// Copies a folder of an image into a slot of a files volume. What was in the slot is gone then.
    ///
    /// # Errors
    /// Where the image has no such folder, where nothing is in it, or where links lead out of it; and what the engine says.
    pub async fn copy_out_of_image(&self, copy: Copy<'_>) -> Result<Copied, EngineError> {
        let Copy { image, folder, volume, .. } = copy;
        let doing = format!("copy {folder} out of {image}");
        self.create_volume(volume).await?;
        let source = self.source(copy, &doing).await?;
        let carrier = match self.assets_carrier(&volume.name, &doing).await {
            Ok(carrier) => carrier,
            Err(error) => {
                let _ = self.remove_with_volumes(&source).await;
                return Err(error);
            }
        };
        let copied = self.copy_between(copy, &source, &carrier, &doing).await;
        let (first, second) = tokio::join!(self.remove_with_volumes(&source), self.discard(&carrier));
        let copied = copied?;
        first.and(second)?;
        Ok(copied)
    }

    /// A container of the image, to read from.
    async fn source(&self, copy: Copy<'_>, doing: &str) -> Result<String, EngineError> {
        let name = source_name(&copy.volume.name);
        let project = copy.volume.labels.get(label::PROJECT).cloned().unwrap_or_default();
        let labels = [(label::PROJECT.to_owned(), project), (label::ROLE.to_owned(), "source".to_owned())];
        let body = || ContainerCreateBody {
            image: Some(copy.image.to_owned()),
            // An image need not say what to run, and nothing runs.
            entrypoint: Some(vec!["/never-started".to_owned()]),
            labels: Some(labels.clone().into()),
            host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let create = || {
            let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
            self.call(doing, self.docker.create_container(Some(options), body()))
        };
        for _ in 0..REMOVALS {
            match create().await {
                // Left behind by a run that was killed, or being taken away as such: under the lock nobody else uses it.
                Err(error) if error.kind == ErrorKind::Conflict => {
                    let _ = self.remove_with_volumes(&name).await;
                    tokio::time::sleep(BEING_REMOVED).await;
                }
                other => return Ok(other?.id),
            }
        }
        Ok(create().await?.id)
    }

    async fn assets_carrier(&self, volume: &str, doing: &str) -> Result<String, EngineError> {
        let name = carrier_name(volume);
        let body = holder::carrier(volume, MOUNT);
        match self.create_holder(doing, &name, body.clone()).await {
            Err(error) if error.kind == ErrorKind::Conflict => {
                self.discard(&name).await?;
                self.create_holder(doing, &name, body).await
            }
            other => other,
        }
    }

    async fn copy_between(
        &self,
        copy: Copy<'_>,
        source: &str,
        carrier: &str,
        doing: &str,
    ) -> Result<Copied, EngineError> {
        let id = self.call(doing, self.docker.inspect_container(source, None)).await?.image.unwrap_or_default();
        let made = self.call(doing, self.docker.inspect_image(&id)).await?.created.and_then(|text| moment(&text));
        // The dot: what is in the folder, also where the folder itself is a link.
        let options = DownloadFromContainerOptions { path: format!("{}/.", copy.folder) };
        let mut download = self.docker.download_from_container(source, Some(options));
        let (raw, raw_out) = channel(PIECES);
        let (done, done_out) = channel(PIECES);
        let place = Place { key: copy.key.to_owned(), slot: copy.slot, image: id, made: made.unwrap_or(0) };
        let work = tokio::task::spawn_blocking(move || {
            let mut to = io::BufWriter::with_capacity(PIECE, Pieces { to: done.clone() });
            let result = publish(Stream::new(raw_out), &mut to, &place).and_then(|copied| {
                to.flush()?;
                Ok(copied)
            });
            if result.is_err() {
                // The engine must not take what came so far for all of it.
                let _ = done.blocking_send(Err(io::Error::other("the copy was given up")));
            }
            // What is buffered belongs to a copy that failed, or is sent.
            drop(to.into_parts());
            result
        });
        let pump = async {
            while let Some(piece) = download.next().await {
                let failed = piece.is_err();
                // Nobody takes it any more: why not is said elsewhere.
                if raw.send(piece).await.is_err() || failed {
                    break;
                }
            }
            drop(raw);
        };
        let body = futures_util::stream::unfold(done_out, async |mut out| Some((out.recv().await?, out)));
        let options = UploadToContainerOptions { path: MOUNT.to_owned(), ..UploadToContainerOptions::default() };
        let upload = self.docker.upload_to_container(carrier, Some(options), bollard::body_try_stream(body));
        let upload = self.call_within(COPY_TIME, doing, upload);
        let ((), uploaded, worked) = tokio::join!(pump, upload, work);
        let other = |message: String| EngineError::new(ErrorKind::Other, doing, message);
        match worked.unwrap_or_else(|error| Err(io::Error::other(error.to_string()))) {
            Ok(copied) => uploaded.map(|()| copied),
            Err(error) => {
                Err(explained(&error, copy, doing, uploaded.err()).unwrap_or_else(|| other(error.to_string())))
            }
        }
    }
}

/// Why a copy failed: what was refused here, or what the engine said of either end.
fn explained(error: &io::Error, copy: Copy<'_>, doing: &str, uploaded: Option<EngineError>) -> Option<EngineError> {
    let inner = error.get_ref()?;
    let other = |message: String| EngineError::new(ErrorKind::Other, doing, message);
    if let Some(refused) = inner.downcast_ref::<Refused>() {
        return Some(other(format!("{} of {}: {refused}", copy.folder, copy.image)).with_hint(refused.hint()));
    }
    if let Some(error) = inner.downcast_ref::<bollard::errors::Error>() {
        let error = EngineError::from_bollard(doing, error);
        let message = error.message.to_lowercase();
        let missing = error.kind == ErrorKind::NotFound || message.contains("not a directory");
        return Some(if missing {
            other(format!("{} has no folder {}", copy.image, copy.folder)).with_hint(
                "`files` of the route names a folder of the image; what a program writes when it runs is not in it: \
                 make it in the Dockerfile (such as `RUN python manage.py collectstatic --noinput`)",
            )
        } else {
            error
        });
    }
    // The engine stopped listening.
    uploaded.filter(|_| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Reads what arrives.
struct Stream {
    from: Receiver<Result<Bytes, bollard::errors::Error>>,
    now: Bytes,
}

impl Stream {
    fn new(from: Receiver<Result<Bytes, bollard::errors::Error>>) -> Self {
        Self { from, now: Bytes::new() }
    }
}

impl Read for Stream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.from.blocking_recv() {
                Some(Ok(piece)) => self.now = piece,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let count = to.len().min(self.now.len());
        to[..count].copy_from_slice(&self.now[..count]);
        self.now.advance(count);
        Ok(count)
    }
}

/// Sends what is written.
struct Pieces {
    to: Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.to.blocking_send(Ok(Bytes::copy_from_slice(from))).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Name of the container that files are copied out of.
fn source_name(volume: &str) -> String {
    format!("{volume}-stackctl-source")
}

/// Name of the container that they are copied through.
pub(super) fn carrier_name(volume: &str) -> String {
    format!("{volume}-stackctl-assets")
}
