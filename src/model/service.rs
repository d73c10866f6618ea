//! One service: an image with replicas.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::name::{SecretName, ServiceName};
use crate::base::units::{ByteSize, Span};

use super::container::Publish;
use super::native::{Jobs, Native};
use super::runtime::{Restart, Runtime};
use super::secrets::Template;

/// Data folder of PostgreSQL in containers of the official image, up to version 17.
pub const POSTGRES_DATA: &str = "/var/lib/postgresql/data";

/// Where services that read their files again while they run find them: `releases/<hash>/` and the link `current`.
pub const RELOADED: &str = "/run/stackctl";

/// One service with all defaults filled in.
#[expect(clippy::struct_excessive_bools, reason = "each is a key of stack.toml, and none decides about another")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name and its host name on the stack's networks.
    pub name: ServiceName,
    /// Line of stack.toml that declares it, from 1.
    pub line: u32,
    /// What it is for.
    pub kind: Kind,
    /// What runs.
    pub image: Image,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// Which preset it came from, if any.
    pub preset: Option<Preset>,
    /// Arguments instead of the image's own.
    pub command: Option<Vec<String>>,
    /// Entry point instead of the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// `user` or `user:group` instead of the image's own.
    pub user: Option<String>,
    /// Numeric user that must be able to read its secret files, where it is known; else they are world-readable
    /// inside the container.
    pub uid: Option<u32>,
    /// Environment.
    pub environment: BTreeMap<String, Template>,
    /// Secrets it gets as files below `/run/secrets`.
    pub secrets: BTreeSet<SecretName>,
    /// Who may read some of those files, where it is not left to us.
    pub grants: BTreeMap<SecretName, Grant>,
    /// Configuration files rendered for it below `/run/secrets` (they may hold secrets), by file name.
    pub files: BTreeMap<String, Template>,
    /// Files of the project, each at its place in the container.
    pub project_files: Vec<ProjectFile>,
    /// Named volumes.
    pub volumes: Vec<VolumeMount>,
    /// In-memory folders, target to mount options; `/tmp` is always there.
    pub tmpfs: BTreeMap<String, String>,
    /// The port it listens on.
    pub port: Option<u16>,
    /// Ports on the host's own loopback addresses.
    pub publish: Vec<Publish>,
    /// How many containers, 0 to 64.
    pub replicas: u32,
    /// What must be ready before it starts.
    pub depends_on: BTreeSet<ServiceName>,
    /// How to know that it is ready.
    pub health: Option<Health>,
    /// Run once per release with the new image, before it gets traffic.
    pub pre_deploy: Option<Vec<String>>,
    /// Run once per release when it is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_deploy: Option<Vec<String>>,
    /// Run when a release fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Vec<String>>,
    /// Processor share; 1.0 is one core.
    pub cpus: Option<f64>,
    /// Memory limit.
    pub memory: Option<ByteSize>,
    /// Most processes and threads at once.
    pub pids: u32,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// Capabilities it keeps; all others are dropped.
    pub cap_add: BTreeSet<String>,
    /// When the engine restarts it.
    pub restart: Restart,
    /// Signal that asks it to stop, instead of the image's own.
    pub stop_signal: Option<String>,
    /// How long it may take to stop before it is killed.
    pub stop_grace_period: Span,
    /// It may open connections to the outside.
    pub egress: bool,
    /// Path of its Prometheus metrics on `port`.
    pub metrics: Option<String>,
    /// Seconds-based drain: how long old replicas stay after traffic left them.
    pub drain: Span,
    /// A small init reaps its children and passes signals on.
    pub init: bool,
    /// How its containers run.
    pub runtime: Runtime,
    /// How a release of it goes.
    #[serde(default)]
    pub deploy: Rollout,
    /// Of a server that reads only data of its own major version: that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<u32>,
    /// Variables that hold secrets reach the program through our launcher, and not through the engine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub launcher: bool,
    /// Of a database: the secret that others log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretName>,
    /// TLS that a database demands of everybody who connects over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTls>,
    /// How it runs on a host without containers, if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// What timers start in its place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: Jobs,
}

/// How a release of a service goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Most new containers that start at once; `None` for all.
    pub parallel: Option<u32>,
    /// New containers that must be ready before the others start.
    pub canary: u32,
    /// The old ones stop before the new ones start, even where both could run.
    pub stop_first: bool,
    /// How long a new container must stay ready before it counts.
    pub min_healthy: Span,
    /// How long the old ones stay to go back to after traffic has moved; zero for not at all.
    pub watch: Span,
    /// Longest time for a container to get ready and for `pre_deploy` to end.
    pub timeout: Option<Span>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            parallel: None,
            canary: 0,
            stop_first: false,
            min_healthy: Span::seconds(0),
            watch: Span::seconds(0),
            timeout: None,
        }
    }
}

impl Service {
    /// A service with nothing but its name; defaults of the keys.
    pub fn new(name: ServiceName, line: u32, image: Image) -> Self {
        Self {
            name,
            line,
            kind: Kind::Worker,
            image,
            pull: PullPolicy::Missing,
            preset: None,
            command: None,
            entrypoint: None,
            user: None,
            uid: None,
            environment: BTreeMap::new(),
            secrets: BTreeSet::new(),
            grants: BTreeMap::new(),
            files: BTreeMap::new(),
            project_files: Vec::new(),
            volumes: Vec::new(),
            tmpfs: BTreeMap::new(),
            port: None,
            publish: Vec::new(),
            replicas: 1,
            depends_on: BTreeSet::new(),
            health: None,
            pre_deploy: None,
            post_deploy: None,
            on_failure: None,
            cpus: None,
            memory: None,
            pids: 512,
            read_only: false,
            cap_add: BTreeSet::new(),
            restart: Restart::Always,
            stop_signal: None,
            stop_grace_period: Span::seconds(30),
            egress: true,
            metrics: None,
            drain: Span::seconds(10),
            init: true,
            runtime: Runtime::default(),
            deploy: Rollout::default(),
            data_version: None,
            launcher: false,
            password: None,
            tls: None,
            native: None,
            jobs: BTreeMap::new(),
        }
    }

    /// Whether it reads rendered files that can change without a new container.
    pub fn reloads(&self) -> bool {
        matches!(self.preset, Some(Preset::Prometheus | Preset::Alertmanager)) || self.tls.is_some() || self.lets_in()
    }

    /// Whether who may log in is in a file that it reads again.
    fn lets_in(&self) -> bool {
        self.preset == Some(Preset::Redis) && self.password.is_some()
    }

    /// A service with replicas that can run beside its successor: the new one starts before the old one stops. A
    /// service that owns data must not: two writers on one volume lose it, and two stores of a preset in memory would
    /// answer differently. Nor can two have the same port of the host.
    pub fn start_first(&self) -> bool {
        !self.deploy.stop_first
            && self.preset.is_none()
            && self.volumes.iter().all(|v| v.shared)
            && self.publish.is_empty()
    }
}

/// TLS of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTls {
    /// What those who connect by the preset's URL look at.
    pub demand: Demand,
    /// The secret that is certificate and key.
    pub certificate: SecretName,
    /// The secret that is the authority which signed it.
    pub authority: SecretName,
}

/// What a client of PostgreSQL asks of a connection, in libpq's words (PostgreSQL manual, 34.19.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// That it is encrypted.
    Require,
    /// Also that the certificate is the server's own, by name and authority.
    VerifyFull,
}

impl Demand {
    /// As `sslmode` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// What a service is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It runs all the time, and others ask it on its port.
    Web,
    /// It runs all the time, and finds its work itself.
    #[default]
    Worker,
    /// It runs to its end when something about it has changed; those that depend on it start afterwards.
    Job,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// When the engine does not have it.
    #[default]
    Missing,
    /// Also when the registry has another one by the same name.
    Always,
    /// Never: it has to be there.
    Never,
    /// Never: the engine of this machine has it, and it is sent from there.
    Send,
}

/// Who may read a secret's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Numeric owner.
    pub uid: Option<u32>,
}

/// A file of the project in a container, or a folder of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFile {
    /// Path relative to stack.toml.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// What is there: one file with an empty path, or those of a folder with their paths below it.
    pub files: Vec<FileContent>,
}

/// The content of a file of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Path below the folder; empty for a file that was named itself.
    pub path: String,
    /// What is in it.
    #[serde(skip)]
    pub text: String,
    /// It can be executed.
    pub executable: bool,
}

/// Services we know, with everything they need to run well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Prometheus.
    Prometheus,
    /// Qdrant.
    Qdrant,
    /// Grafana.
    Grafana,
    /// Alertmanager.
    Alertmanager,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// A reference to pull.
    Pull(String),
    /// A folder to build.
    Build(Build),
}

/// How to build an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Service that declares it: names the image `<project>-<service>`.
    pub name: ServiceName,
    /// Context folder, relative to the file.
    pub context: String,
    /// Dockerfile, relative to the context.
    pub dockerfile: String,
    /// Stage to stop at.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Platform to build for, as `os/arch`; else the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Secrets that steps of the build may read, under their names. Their values are not part of
    /// what decides whether to build again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<SecretName>,
}

/// A named volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Its key (without the project).
    pub volume: String,
    /// Where it appears.
    pub target: String,
    /// It cannot be written there.
    pub read_only: bool,
    /// Several containers may write to it at once (uploads); a database's may not.
    pub shared: bool,
}

/// How to know that a container is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The question.
    pub ask: Ask,
    /// What the answer to [`Ask::Http`] must hold.
    pub body: Option<String>,
    /// Time between two tries while it runs.
    pub interval: Span,
    /// Time one try may take.
    pub timeout: Span,
    /// Failures in a row until it counts as unhealthy.
    pub retries: u32,
    /// How long it may take to become ready.
    pub start_period: Span,
    /// Line of stack.toml that declares it, from 1; the service's own if a preset did.
    pub line: u32,
}

/// The question a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// GET this path on `port`; 2xx or 3xx is healthy.
    Http(String),
    /// The port accepts a connection.
    Tcp,
    /// A command in the container exits 0.
    Command(Vec<String>),
    /// PostgreSQL accepts a start-up message for this user and database (it may ask for a password: then it is up).
    Postgres {
        /// Role name.
        user: String,
        /// Database name.
        database: String,
    },
    /// Redis answers PING (or asks for a password: then it is up), and is not still loading.
    Redis,
}
