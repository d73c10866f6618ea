//! Keys of a service.

use crate::base::name::{EnvName, SecretName, ServiceName};
use crate::base::problem::Problems;
use crate::base::units::{ByteSize, Span};
use crate::config::decode::{At, Decode, Map, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Command, Cores, Int, Templated, Text, UrlPath, word};
use crate::model::service::Restart;

table! {
    /// A service: an image with replicas.
    ServiceKeys as "a service" {
        /// A service we know, with everything it needs to run well: `postgres:15`, `redis:7`, `prometheus:v2.53.3`. The part after the colon is the image's tag.
        preset: Text,
        /// Image to pull.
        image: Text,
        /// Folder to build the image from, or a table.
        build: BuildKey,
        /// Takes image, environment, secrets, volumes, user, dependencies and permissions from another service; what is written here comes on top.
        like: ServiceName,
        /// Arguments instead of the image's own: a list of words. No shell is involved.
        command: Command,
        /// Entry point instead of the image's own.
        entrypoint: Command,
        /// `user` or `user:group` instead of the image's own. A number lets secret files belong to that user alone.
        user: Text,
        /// Environment variables. Values may refer to the stack: `${secrets.NAME.file}`, `${postgres.url.file}`, `${workers}`.
        environment: Map<EnvName, Templated>,
        /// Secrets the service gets as files below `/run/secrets`. Those named in `environment` come by themselves.
        secrets: Vec<At<SecretName>>,
        /// The port the service listens on. It is never published: routes lead to it.
        port: Int<1, 65535>,
        /// How many containers.
        replicas: Int<0, 40> = "1",
        /// Services that must be ready before this one starts. Those it refers to in `environment` come by themselves.
        depends_on: Vec<At<ServiceName>>,
        /// How to know that it is ready: a path that answers 2xx or 3xx on `port`, or a table. Asked by stackctl; nothing is needed in the image. Without it, `port` must accept connections.
        healthcheck: HealthKey,
        /// Run once per release with the new image before it gets traffic; the release stops if it fails. Migrations.
        pre_deploy: Command,
        /// Named volumes: `name:/path` or `name:/path:ro`. Several replicas may share one.
        volumes: Vec<At<Text>>,
        /// In-memory folders besides `/tmp`.
        tmpfs: Vec<At<Text>>,
        /// Share of the processor: 1 is a whole core.
        cpus: Cores,
        /// Most memory it may use; the engine ends it above. Presets tune themselves to it.
        memory: ByteSize,
        /// Most processes and threads at once.
        pids: Int<1, 100_000> = "512",
        /// The root file system cannot be written; `/tmp` and volumes can.
        read_only: bool = "false",
        /// Linux capabilities it keeps; all others are dropped.
        cap_add: Vec<At<Capability>>,
        /// When the engine restarts it. `unless-stopped` stays down after the engine crashed, too: engines take what ends then for stopped by hand.
        restart: RestartKey = "\"always\"",
        /// Signal that asks it to stop, instead of the image's own.
        stop_signal: Text,
        /// How long it may take to stop before it is killed.
        stop_grace_period: Span = "\"30s\"",
        /// How long requests under way to replaced containers may take before these are asked to stop. It ends as soon as the last one has ended.
        drain: Span = "\"10s\"",
        /// It may open connections to the outside. Databases of presets may not.
        egress: bool = "true",
        /// Path of Prometheus metrics on `port`. Closed at the front door.
        metrics: UrlPath,
        /// Preset `postgres`: name of the database.
        database: Text,
        /// Preset `postgres`: role that owns it.
        username: Text,
        /// Preset `postgres` and `redis`: settings of the server, by their own names.
        settings: Map<Text, Templated>,
    }
}

table! {
    /// How an image is built.
    BuildKeys as "build" {
        /// Folder that is sent to the engine, relative to stack.toml.
        context: Text = "\".\"",
        /// Dockerfile, relative to the context.
        dockerfile: Text = "\"Dockerfile\"",
        /// Stage of the Dockerfile to stop at.
        target: Text,
        /// Build arguments. They stay visible in the image: no secrets.
        args: Map<Text, Text>,
    }
}

table! {
    /// How to know that a service is ready. Give one of `path`, `command` or `tcp`.
    HealthKeys as "healthcheck" {
        /// A path on `port` that answers 2xx or 3xx.
        path: UrlPath,
        /// A command in the container that exits 0.
        command: Command,
        /// `port` accepts connections.
        tcp: bool,
        /// Time between two tries once it runs.
        interval: Span = "\"10s\"",
        /// Time one try may take.
        timeout: Span = "\"5s\"",
        /// Failures in a row until it counts as unhealthy.
        retries: Int<1, 100> = "3",
        /// How long it may take to become ready.
        start_period: Span = "\"60s\"",
    }
}

/// `build`: a folder or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildKey {
    /// A folder with a Dockerfile.
    Folder(Text),
    /// In detail.
    Keys(Box<BuildKeys>),
}

impl Decode for BuildKey {
    fn shape() -> Shape {
        Shape::Either(vec![Text::shape(), BuildKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => BuildKeys::decode(node, problems).map(|k| Self::Keys(Box::new(k))),
            Value::Text(_) => Text::decode(node, problems).map(Self::Folder),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// `healthcheck`: a path or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthKey {
    /// A path.
    Path(UrlPath),
    /// In detail.
    Keys(Box<HealthKeys>),
}

impl Decode for HealthKey {
    fn shape() -> Shape {
        Shape::Either(vec![UrlPath::shape(), HealthKeys::shape()])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Table(_) => HealthKeys::decode(node, problems).map(|k| Self::Keys(Box::new(k))),
            Value::Text(_) => UrlPath::decode(node, problems).map(Self::Path),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

/// `restart`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartKey(pub Restart);

const RESTARTS: &[&str] = &["no", "on-failure", "always", "unless-stopped"];

impl Decode for RestartKey {
    fn shape() -> Shape {
        Shape::Word(RESTARTS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self(match word(node, RESTARTS, problems)? {
            "no" => Restart::No,
            "on-failure" => Restart::OnFailure,
            "unless-stopped" => Restart::UnlessStopped,
            _ => Restart::Always,
        }))
    }
}

/// A Linux capability (capabilities(7)) without its `CAP_` prefix. Those that amount to being root on the host are
/// not on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(pub &'static str);

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
];

impl Decode for Capability {
    fn shape() -> Shape {
        Shape::Word(CAPABILITIES)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, CAPABILITIES, problems).map(Self)
    }
}
