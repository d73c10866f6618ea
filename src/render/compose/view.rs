//! What the template of a Compose file is given.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::name::SecretName;
use crate::model::runtime::{Logging, Ulimit};

/// The whole file.
#[derive(Serialize)]
pub(super) struct View<'a> {
    pub(super) project: &'a str,
    pub(super) variables: Vec<String>,
    pub(super) launcher: bool,
    pub(super) services: Vec<Entry<'a>>,
    pub(super) proxy: Option<Door<'a>>,
    pub(super) networks: Vec<String>,
    pub(super) outside: bool,
    pub(super) volumes: BTreeSet<String>,
    pub(super) secrets: BTreeMap<String, String>,
}

/// A service.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) image: Option<&'a str>,
    pub(super) build: Option<BuildView<'a>>,
    pub(super) entrypoint: Option<Cow<'a, [String]>>,
    pub(super) command: Option<Cow<'a, [String]>>,
    pub(super) user: Option<&'a str>,
    pub(super) working_dir: Option<&'a str>,
    pub(super) init: bool,
    pub(super) pull_policy: Option<&'static str>,
    /// Names to whole YAML tokens.
    pub(super) environment: BTreeMap<&'a str, String>,
    pub(super) secrets: Vec<Granted>,
    pub(super) volumes: Vec<VolumeView<'a>>,
    /// Files of the project, beside the file.
    pub(super) files: Vec<FileView<'a>>,
    /// Folder beside the file with what it reloads.
    pub(super) reloaded: Option<&'a str>,
    pub(super) tmpfs: Vec<String>,
    pub(super) networks: Vec<String>,
    pub(super) depends_on: BTreeMap<String, &'static str>,
    pub(super) health: Option<HealthView>,
    pub(super) replicas: u32,
    pub(super) cpus: Option<f64>,
    pub(super) memory: Option<String>,
    pub(super) pids: u32,
    pub(super) read_only: bool,
    pub(super) cap_add: &'a BTreeSet<String>,
    pub(super) restart: &'static str,
    pub(super) stop_signal: Option<&'a str>,
    pub(super) stop_grace_period: String,
    pub(super) ports: Vec<String>,
    pub(super) shm_size: Option<String>,
    pub(super) cpu_shares: Option<i64>,
    pub(super) mem_reservation: Option<String>,
    pub(super) ulimits: &'a BTreeMap<String, Ulimit>,
    pub(super) devices: Vec<String>,
    pub(super) extra_hosts: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) logging: Logging,
}

#[derive(Serialize)]
pub(super) struct FileView<'a> {
    pub(super) source: String,
    pub(super) target: &'a str,
}

/// A volume that was filled from an image, and where it is seen.
#[derive(Serialize)]
pub(super) struct FolderView {
    pub(super) volume: String,
    pub(super) target: String,
}

#[derive(Serialize)]
pub(super) struct BuildView<'a> {
    pub(super) context: String,
    pub(super) dockerfile: &'a str,
    pub(super) target: Option<&'a str>,
    pub(super) args: &'a BTreeMap<String, String>,
    pub(super) secrets: &'a BTreeSet<SecretName>,
    pub(super) platform: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Granted {
    pub(super) source: String,
    pub(super) target: String,
}

#[derive(Serialize)]
pub(super) struct VolumeView<'a> {
    pub(super) source: String,
    pub(super) target: &'a str,
    pub(super) read_only: bool,
}

#[derive(Serialize)]
pub(super) struct HealthView {
    pub(super) test: Vec<String>,
    pub(super) interval: String,
    pub(super) timeout: String,
    pub(super) retries: u32,
    pub(super) start_period: String,
}

#[derive(Serialize)]
pub(super) struct Door<'a> {
    pub(super) name: &'static str,
    pub(super) image: &'a str,
    pub(super) user: String,
    pub(super) ports: Vec<String>,
    pub(super) networks: Vec<String>,
    pub(super) depends_on: Vec<&'a str>,
    pub(super) memory: String,
    pub(super) cpus: Option<f64>,
    /// Files out of images.
    pub(super) files: Vec<FolderView>,
}
