//! What the tests share: projects that clean up after themselves, and a small image with a shell.

use std::collections::BTreeMap;
use std::process::Command;

use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions,
    RemoveVolumeOptions,
};
use futures_util::StreamExt;
use stackctl::base::env::Env;
use stackctl::base::name::ProjectName;
use stackctl::engine::Engine;
use stackctl::model::container::{ContainerSpec, label};
use stackctl::model::runtime::Restart;
use tokio::sync::OnceCell;

pub(crate) const SHELL: &str = "stackctl-test/shell:1";

pub(crate) fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

/// A project of its own on the real engine; everything with its label or name goes away with it.
pub(crate) struct Real {
    pub(crate) engine: Engine,
    pub(crate) project: ProjectName,
}

/// `None` where there is no engine.
pub(crate) async fn real(test: &str) -> Real {
    let engine = Engine::connect(None, &Env::default()).await.unwrap();
    Real { engine, project: project(&format!("t{}-{test}", std::process::id())) }
}

impl Real {
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(label::PROJECT.to_owned(), self.project.to_string())])
    }

    /// A container of the shell image that runs a script.
    pub(crate) fn spec(&self, service: &str, script: &str) -> ContainerSpec {
        let mut labels = self.labels();
        labels.insert(label::SERVICE.to_owned(), service.to_owned());
        ContainerSpec {
            name: format!("{}-{service}-1", self.project),
            image: SHELL.to_owned(),
            entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]),
            command: Some(vec![script.to_owned()]),
            read_only: true,
            restart: Restart::No,
            labels,
            ..ContainerSpec::default()
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let project = self.project.to_string();
        let cleaner = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(clean(&project));
        });
        cleaner.join().unwrap();
    }
}

async fn clean(project: &str) {
    let docker = Docker::connect_with_unix_defaults().unwrap();
    let ours = |name: &str| name.trim_start_matches('/').starts_with(project);
    let all = ListContainersOptions { all: true, ..Default::default() };
    for container in docker.list_containers(Some(all)).await.unwrap() {
        if container.names.unwrap_or_default().iter().any(|name| ours(name)) {
            let force = RemoveContainerOptions { force: true, v: true, ..Default::default() };
            let _ = docker.remove_container(&container.id.unwrap(), Some(force)).await;
        }
    }
    for network in docker.list_networks(None::<ListNetworksOptions>).await.unwrap() {
        if network.name.as_deref().is_some_and(ours) {
            let _ = docker.remove_network(&network.id.unwrap()).await;
        }
    }
    for volume in docker.list_volumes(None::<ListVolumesOptions>).await.unwrap().volumes.unwrap_or_default() {
        if ours(&volume.name) {
            let _ = docker.remove_volume(&volume.name, Some(RemoveVolumeOptions { force: true })).await;
        }
    }
}

/// Imports an image with this machine's own `sh`, `cat` and `sleep`, and the libraries they need. It stays: the next
/// run is faster for it.
pub(crate) async fn shell_image() {
    static ONCE: OnceCell<()> = OnceCell::const_new();
    ONCE.get_or_init(|| async {
        let docker = Docker::connect_with_unix_defaults().unwrap();
        if docker.inspect_image(SHELL).await.is_ok() {
            return;
        }
        let mut tar = tar::Builder::new(Vec::new());
        let mut files = vec!["/bin/sh".to_owned(), "/bin/cat".to_owned(), "/bin/sleep".to_owned()];
        let libraries = Command::new("ldd").args(&files).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        files.extend(
            libraries.split_whitespace().filter(|w| w.starts_with('/') && !w.ends_with(':')).map(str::to_owned),
        );
        files.sort();
        files.dedup();
        for file in files {
            tar.append_file(file.trim_start_matches('/'), &mut std::fs::File::open(&file).unwrap()).unwrap();
        }
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            repo: Some("stackctl-test/shell".into()),
            tag: Some("1".into()),
            ..Default::default()
        };
        let body = bollard::body_full(tar.into_inner().unwrap().into());
        docker.create_image(Some(options), Some(body), None).for_each(|_| std::future::ready(())).await;
        docker.inspect_image(SHELL).await.unwrap();
    })
    .await;
}
