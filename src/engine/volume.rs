//! Volumes, and files in them. Files travel through a container that is created, never started, and removed again:
//! the archive API then writes into the volume it mounts, whatever image the volume's users run.

use std::collections::BTreeMap;

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{
    DownloadFromContainerOptions, RemoveContainerOptions, RemoveVolumeOptions, UploadToContainerOptions,
};
use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::model::artifact::Artifact;
use crate::model::container::VolumeSpec;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
pub use super::tarball::Entry;
use super::{assets, holder, tarball};

/// Where the volume appears in the container that carries files.
pub(super) const MOUNT: &str = "/v";

impl Engine {
    /// Creates a volume; an existing one of that name stays as it is.
    pub async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let request = VolumeCreateRequest {
            name: Some(spec.name.clone()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.call(&format!("create the volume {}", spec.name), self.docker.create_volume(request)).await?;
        Ok(())
    }

    /// Removes a volume and all that is in it; fine if it is not there.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let doing = format!("remove the volume {name}");
        let remove = || self.call(&doing, self.docker.remove_volume(name, None::<RemoveVolumeOptions>));
        let result = match remove().await {
            // A run that was killed may have left its carrier behind, and that alone may hold the volume.
            Err(error) if error.kind == ErrorKind::Conflict => {
                self.discard(&carrier_name(name)).await?;
                self.discard(&assets::carrier_name(name)).await?;
                remove().await
            }
            other => other,
        };
        match result {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Writes files, then links (path and target, in that order), into a volume. Folders are made as needed; what is
    /// there under other names stays. What is there under the same name is away for a moment before the new one comes:
    /// see [`Engine::replace_links`] and [`Engine::update_files`] for what must not be.
    pub async fn write_files(
        &self,
        volume: &str,
        files: &[Artifact],
        links: &[(String, String)],
    ) -> Result<(), EngineError> {
        let doing = format!("write files into the volume {volume}");
        let tar = tarball::of_files(files, links)
            .map_err(|error| EngineError::new(ErrorKind::Other, &doing, error.to_string()))?;
        let id = self.volume_carrier(volume, &doing).await?;
        let written = self.put_archive(&id, MOUNT, tar, &doing).await;
        let removed = self.discard(&id).await;
        written.and(removed)
    }

    /// Reads all files and links of a volume below `path` (empty for all), by path below it.
    pub async fn read_files(&self, volume: &str, path: &str) -> Result<BTreeMap<String, Entry>, EngineError> {
        let doing = format!("read files of the volume {volume}");
        let id = self.volume_carrier(volume, &doing).await?;
        let from = if path.is_empty() { MOUNT.to_owned() } else { format!("{MOUNT}/{path}") };
        let read = self.get_archive(&id, &from, &doing).await;
        self.discard(&id).await?;
        read
    }

    /// All files and links of a folder of a container, by path below it. Works with any image: nothing runs in it.
    pub async fn folder(&self, container: &str, path: &str) -> Result<BTreeMap<String, Entry>, EngineError> {
        self.get_archive(container, path, &format!("read {path} of {container}")).await
    }

    pub(super) async fn volume_carrier(&self, volume: &str, doing: &str) -> Result<String, EngineError> {
        Box::pin(self.volume_carrier_of(volume, doing, holder::carrier(volume, MOUNT))).await
    }

    /// A container that carries files of a volume; there is one at a time.
    pub(super) async fn volume_carrier_of(
        &self,
        volume: &str,
        doing: &str,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let name = carrier_name(volume);
        match self.create_holder(doing, &name, body.clone()).await {
            // Left behind by a run that was killed: under the lock nobody else uses it.
            Err(error) if error.kind == ErrorKind::Conflict => {
                self.discard(&name).await?;
                self.create_holder(doing, &name, body).await
            }
            other => other,
        }
    }

    pub(super) async fn put_archive(&self, id: &str, to: &str, tar: Vec<u8>, doing: &str) -> Result<(), EngineError> {
        let options = UploadToContainerOptions { path: to.to_owned(), ..UploadToContainerOptions::default() };
        let body = bollard::body_full(Bytes::from(tar));
        self.call(doing, self.docker.upload_to_container(id, Some(options), body)).await
    }

    pub(super) async fn get_archive(
        &self,
        id: &str,
        from: &str,
        doing: &str,
    ) -> Result<BTreeMap<String, Entry>, EngineError> {
        let bytes = self.download(id, from, doing).await?;
        tarball::read(&bytes).map_err(|error| unreadable(doing, &error))
    }

    /// What is in one file of a container.
    pub(super) async fn get_file(&self, id: &str, path: &str, doing: &str) -> Result<Vec<u8>, EngineError> {
        let bytes = self.download(id, path, doing).await?;
        tarball::read_one(&bytes).map_err(|error| unreadable(doing, &error))
    }

    async fn download(&self, id: &str, from: &str, doing: &str) -> Result<Vec<u8>, EngineError> {
        let options = DownloadFromContainerOptions { path: from.to_owned() };
        let download = self.docker.download_from_container(id, Some(options));
        let bytes = download.try_fold(Vec::new(), |mut all, part| {
            all.extend_from_slice(&part);
            std::future::ready(Ok(all))
        });
        self.call(doing, bytes).await
    }

    /// Removes a container of ours that holds nothing.
    pub(super) async fn discard(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        match self.call(&format!("remove the container {id}"), self.docker.remove_container(id, Some(options))).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn unreadable(doing: &str, error: &std::io::Error) -> EngineError {
    EngineError::new(ErrorKind::Other, doing, format!("the engine's archive cannot be read: {error}"))
}

fn carrier_name(volume: &str) -> String {
    format!("{volume}-stackctl-files")
}
