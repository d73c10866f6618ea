//! Keys of a service.

use crate::base::name::{EnvName, SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::base::units::{ByteSize, Span};
use crate::config::decode::{At, Decode, Map, mismatch, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{AbsolutePath, Command, Cores, Int, Scalar, Templated, Text, UrlPath, word};
use crate::model::runtime::Restart;

use super::access::{EnvFiles, FileKey, KindKey, PublishKey, PullKey, SecretUse, VolumeText};
use super::native::{JobKey, JobName, NativeKey};
use super::preset::{DatabaseTls, Extension, ExternalLabel, LabelText, Persistence, Policy, PresetTag};
use super::runtime::{
    DeviceKey, HostAddress, HostName, LabelName, LoggingKeys, NameServer, ReserveKeys, SignalText, UlimitKey,
    UlimitName,
};

table! {
    /// A service: an image with replicas.
    ServiceKeys as "a service" never both of image, build {
        /// A service we know, with everything it needs to run well: `postgres:15`, `redis:7`, `prometheus:v2.53.3`. The part after the colon is the image's tag.
        preset: PresetTag => r#""postgres:15""#,
        /// Image to pull.
        image: Text => r#""ghcr.io/acme/app:1.4""#,
        /// Folder to build the image from, or a table.
        build: BuildKey => r#"".""#,
        /// Takes image, environment, secrets, volumes, user, dependencies and permissions from another service; what is written here comes on top.
        like: ServiceName => r#""app""#,
        /// Arguments instead of the image's own: a list of words. No shell is involved.
        command: Command => r#"["celery", "-A", "app", "worker"]"#,
        /// Entry point instead of the image's own.
        entrypoint: Command => r#"["/entrypoint.sh"]"#,
        /// Variables of `environment` that hold secrets are not told to the engine: a small program of ours (`/run/secrets/.launcher`) reads them from a file, puts them into the environment and becomes the image's own entry point and command. For programs that read secrets from variables only. Commands of `healthcheck` get them, too; those of `docker exec` do not, unless they are put behind `/run/secrets/.launcher`.
        launcher: bool = "false" => "true",
        /// Folder the command starts in, instead of the image's own.
        working_dir: AbsolutePath => r#""/srv/app""#,
        /// A small init as first process: it reaps what others leave behind and passes signals on. Presets have their own.
        init: bool = "true" => "false",
        /// What it is for. `web` needs a `port`; `worker` finds its work itself and gets no routes; `job` runs to its end, once whenever its image, configuration or files have changed, and those that depend on it start when it has exited with 0. Without it: `web` with a `port`, else `worker`.
        kind: KindKey => r#""job""#,
        /// `user` or `user:group` instead of the image's own. A number lets secret files belong to that user alone.
        user: Text => r#""1000:1000""#,
        /// Environment variables. Values may refer to the stack: `${secrets.NAME.file}`, `${postgres.url.file}`, `${workers}`.
        environment: Map<EnvName, Templated> => r#"{ LOG_LEVEL = "info", WORKERS = "${workers}" }"#,
        /// Files with more variables, as lines of `NAME=value`; relative to stack.toml. What stands in `environment` wins. Nothing is replaced inside values.
        env_file: EnvFiles => r#""app.env""#,
        /// Secrets the service gets as files below `/run/secrets`: names, or tables that say who may read the file. Those named in `environment` come by themselves.
        secrets: Vec<At<SecretUse>> => r#"["session_key"]"#,
        /// Files or folders of the project in its containers, read-only: `conf/app.toml:/etc/app/app.toml`. Text, at most 1 MiB each; anything else belongs into the image. A changed file is a change.
        files: Vec<At<FileKey>> => r#"["conf/app.toml:/etc/app/app.toml"]"#,
        /// When the image is pulled: `missing`, when the engine does not have it; `always`, also when the registry has another one by that name; `never`; `send`: no registry is asked, the engine of this machine has it, and what the stack's engine lacks of it is sent there.
        pull_policy: PullKey = "\"missing\"" => r#""always""#,
        /// The port the service listens on. It is never published: routes lead to it.
        port: Int<1, 65535> => "8000",
        /// Ports on the host's loopback address, for tools on the host: `127.0.0.1:15432:5432`. Nothing else is published but the front door. While it is replaced, the service is away for a moment.
        publish: Vec<At<PublishKey>> => r#"["127.0.0.1:15432:5432"]"#,
        /// How many containers.
        replicas: Int<0, 40> = "1" => "3",
        /// Services that must be ready before this one starts. Those it refers to in `environment` come by themselves.
        depends_on: Vec<At<ServiceName>> => r#"["postgres", "redis"]"#,
        /// How to know that it is ready: a path that answers 2xx or 3xx on `port`, or a table. Asked by stackctl; nothing is needed in the image. Without it, `port` must accept connections.
        healthcheck: HealthKey => r#""/health""#,
        /// Run once per release with the new image before it gets traffic; the release stops if it fails. Migrations.
        pre_deploy: Command => r#"["python", "-m", "app.migrate"]"#,
        /// Run once per release when it is out: the new containers serve and the old ones are gone. For what old code would not bear, and for caches. If it fails, the release stays; `up` says so and ends with 1, and the next `up` runs it again. `rollback` runs neither this nor `pre_deploy`.
        post_deploy: Command => r#"["python", "-m", "app.warm_up"]"#,
        /// Run when a release fails, whatever failed, beside a container of the service that serves: `STACKCTL_CAUSE` says why. It may take `deploy.timeout`, or a minute; that it fails is told and changes nothing. All three hooks find `STACKCTL_RELEASE` and `STACKCTL_PREVIOUS_RELEASE`, the latter two `STACKCTL_RESULT` (`done`, `failed`).
        on_failure: Command => r#"["python", "-m", "app.alarm"]"#,
        /// Named volumes: `name:/path` or `name:/path:ro`. Several replicas may share one.
        volumes: Vec<At<VolumeText>> => r#"["uploads:/app/uploads"]"#,
        /// In-memory folders besides `/tmp`.
        tmpfs: Vec<At<Text>> => r#"["/app/cache"]"#,
        /// Share of the processor: 1 is a whole core.
        cpus: Cores => "1.5",
        /// Most memory it may use; the engine ends it above. Presets tune themselves to it.
        memory: ByteSize => r#""1G""#,
        /// What it gets before others do.
        reserve: ReserveKeys => r#"{ memory = "512M" }"#,
        /// Size of `/dev/shm`; the engine's own is 64M.
        shm_size: ByteSize => r#""256M""#,
        /// Limits of each process, as setrlimit(2) names them: a number, `-1` for none, or `{ soft, hard }`. Not above those of the engine itself.
        ulimits: Map<UlimitName, UlimitKey> => "{ nofile = 65536 }",
        /// Devices of the host: `/dev/dri`, or `/dev/x:/dev/y:r`.
        devices: Vec<At<DeviceKey>> => r#"["/dev/dri"]"#,
        /// Host names it finds besides the stack's own, each with an address, or with `host-gateway` for the engine's host.
        extra_hosts: Map<HostName, HostAddress> => r#"{ "mail.internal" = "10.0.0.5" }"#,
        /// Name servers for everything outside the stack.
        dns: Vec<At<NameServer>> => r#"["10.0.0.2"]"#,
        /// Labels of its containers, for other programs.
        labels: Map<LabelName, Scalar> => r#"{ "com.example.team" = "search" }"#,
        /// Where its output goes. Without it: the engine's `json-file`, five files of 10 MB.
        logging: LoggingKeys => r#"{ driver = "local" }"#,
        /// Most processes and threads at once.
        pids: Int<1, 100_000> = "512" => "1024",
        /// The root file system cannot be written; `/tmp` and volumes can.
        read_only: bool = "false" => "true",
        /// Linux capabilities it keeps; all others are dropped.
        cap_add: Vec<At<Capability>> => r#"["NET_BIND_SERVICE"]"#,
        /// When the engine restarts it. `unless-stopped` stays down after the engine crashed, too: engines take what ends then for stopped by hand.
        restart: RestartKey = "\"always\"" => r#""on-failure""#,
        /// Signal that asks it to stop, instead of the image's own.
        stop_signal: SignalText => r#""SIGINT""#,
        /// How long it may take to stop before it is killed.
        stop_grace_period: Span = "\"30s\"" => r#""2m""#,
        /// How long requests under way to replaced containers may take before these are asked to stop. It ends as soon as the last one has ended.
        drain: Span = "\"10s\"" => r#""30s""#,
        /// How a release of the service goes: how many containers at once, what comes first, how long it is watched.
        deploy: DeployKeys => r#"{ canary = 1, watch = "1m" }"#,
        /// Commands that a timer of the host starts, by name: in containers like those of this service, or beside it on the host.
        jobs: Map<JobName, JobKey>,
        /// Also runs on a host without containers: a folder there, such as `"/opt/app"`, or a table. `render` writes its unit below `native/`.
        native: NativeKey => r#""/opt/app""#,
        /// It may open connections to the outside. Databases of presets may not.
        egress: bool = "true" => "false",
        /// Path of Prometheus metrics on `port`. Closed at the front door.
        metrics: UrlPath => r#""/metrics""#,
        /// Presets: URL of one that runs elsewhere (a managed database). Then there is no container, and `${SERVICE.url}` leads there. A password in it is a secret: `postgresql://app:${secrets.db}@db.example.com/app`, or all of it, `${secrets.url}`.
        external: Templated => r#""postgresql://app:${secrets.db}@db.example.com/app""#,
        /// Presets `postgres`, `redis`, `qdrant` (its API key) and `grafana`: a secret of this file instead of one that is made: `${secrets.NAME}`.
        password: Templated => r#""${secrets.db}""#,
        /// Preset `postgres`: name of the database.
        database: Text => r#""app""#,
        /// Preset `postgres`: role that owns the database. Preset `grafana`: name of the administrator.
        username: Text => r#""app""#,
        /// Presets `postgres` and `redis`: settings of the server, by their own names.
        settings: Map<Text, Scalar> => "{ max_connections = 200 }",
        /// Preset `postgres`: memory its settings are made for, where it is not all of `memory`.
        tune_for: ByteSize => r#""2G""#,
        /// Preset `postgres`: extensions to have, in a database that has data, too. A job makes them before anybody uses it.
        extensions: Vec<At<Extension>> => r#"["pg_trgm"]"#,
        /// Preset `postgres`: a file of SQL that is run once in the database, in one transaction, before anybody uses it. Whether it was is kept in the database itself.
        init_sql: Text => r#""init.sql""#,
        /// Preset `postgres`: connections over the network are encrypted, and others are refused. `${SERVICE.url}` then says `sslmode=require`, or `verify-full` and the file of the authority, which is the database's own and comes along; its certificate is renewed by `stackctl cert renew`. On a host without containers, where all of it is the loopback address, the URL says nothing of TLS.
        tls: DatabaseTls => r#""verify-full""#,
        /// Preset `redis`: what it does when its memory is full.
        policy: Policy = "\"allkeys-lru\"" => r#""noeviction""#,
        /// Preset `redis`: what is left after a restart: `aof`, all but the last second; `rdb`, the last snapshot; `off`, nothing.
        persistence: Persistence = "\"aof\"" => r#""rdb""#,
        /// Preset `prometheus`: how long it keeps what it has measured, at least `2h`.
        retention: Span = "\"15d\"" => r#""30d""#,
        /// Preset `prometheus`: labels on everything that leaves it (alerts, remote reads), besides `project` and `stage`.
        external_labels: Map<ExternalLabel, LabelText> => r#"{ region = "eu" }"#,
    }
}

table! {
    /// How an image is built.
    BuildKeys as "build" short for context {
        /// Folder that is sent to the engine, relative to stack.toml.
        context: Text = "\".\"" => r#""./backend""#,
        /// Dockerfile, relative to the context.
        dockerfile: Text = "\"Dockerfile\"" => r#""Dockerfile.prod""#,
        /// Stage of the Dockerfile to stop at.
        target: Text => r#""runtime""#,
        /// Build arguments. They stay visible in the image: no secrets.
        args: Map<Text, Text> => r#"{ PYTHON = "3.12" }"#,
        /// Secrets for `RUN --mount=type=secret,id=NAME`, under their names. They are in no layer, no history and no line that the build prints. Another value does not build again: what an image was made from is its files.
        secrets: Vec<At<SecretName>> => r#"["npm_token"]"#,
        /// Platform to build for instead of the engine's own, which has to be able to run it.
        platform: Platform => r#""linux/arm64""#,
    }
}

table! {
    /// How a release of a service goes. Without it, all new containers start at once beside the old ones, traffic moves when all of them are ready, and the old ones go when their last request has ended.
    DeployKeys as "deploy" {
        /// How many new containers start at once; the next one starts when one of them is ready.
        parallel: Int<1, 40> => "2",
        /// How many new containers come first: the others start when these are ready and have stayed so for `min_healthy`.
        canary: Int<0, 40> = "0" => "1",
        /// `start-first`: new beside old, without interruption. `stop-first`: the old ones stop before the new ones start, where there is no room for both; the service is away meanwhile. A service with a volume of its own is always `stop-first`.
        order: OrderKey = "\"start-first\"" => r#""stop-first""#,
        /// How long a new container must stay ready before it counts.
        min_healthy: Span = "\"0s\"" => r#""10s""#,
        /// How long the old containers stay, running, after traffic has moved. If the new ones answer worse meanwhile (more than 1 % and twice as many errors of 500 and above, or a 95th percentile of time twice as long), traffic goes back to the old ones and the release has failed. `0s` does not watch.
        watch: Span = "\"0s\"" => r#""1m""#,
        /// How long a new container may take to become ready, and `pre_deploy` and `post_deploy` to end. Without it, the container has its `start_period`, and they have all the time they need.
        timeout: Span => r#""5m""#,
    }
}

table! {
    /// How to know that a service is ready. Give one of `path`, `command` or `tcp`.
    HealthKeys as "healthcheck" short for path never both of path, command {
        /// A path on `port` that answers 2xx or 3xx.
        path: UrlPath => r#""/health""#,
        /// A command in the container that exits 0.
        command: Command => r#"["pg_isready"]"#,
        /// `port` accepts connections.
        tcp: bool => "true",
        /// What the answer to `path` must hold: a text; or JSON, such as `{"status":"healthy"}`, whose members must be in it with these values.
        body: Text => r#"'{"status":"healthy"}'"#,
        /// Time between two tries once it runs.
        interval: Span = "\"10s\"" => r#""5s""#,
        /// Time one try may take.
        timeout: Span = "\"5s\"" => r#""2s""#,
        /// Failures in a row until it counts as unhealthy.
        retries: Int<1, 100> = "3" => "5",
        /// How long it may take to become ready.
        start_period: Span = "\"60s\"" => r#""2m""#,
    }
}

/// A platform: `os/arch` or `os/arch/variant`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform(pub String);

impl Decode for Platform {
    fn shape() -> Shape {
        Shape::Text { what: "a platform such as \"linux/amd64\"", pattern: "^[a-z0-9]+/[a-z0-9]+(/v[0-9]+)?$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = Text::decode(node, problems)?.0;
        let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let variant =
            |part: &str| part.strip_prefix('v').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty());
        let sane = match text.split('/').collect::<Vec<_>>()[..] {
            [os, arch] => word(os) && word(arch),
            [os, arch, last] => word(os) && word(arch) && variant(last),
            _ => false,
        };
        if !sane {
            problems.push(
                Problem::error(format!("`{text}` is not a platform"))
                    .at(node.span.clone())
                    .label("allowed: `os/arch`, such as `linux/amd64` or `linux/arm64`"),
            );
        }
        sane.then_some(Self(text))
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

/// `order`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderKey {
    /// Old containers stop before new ones start.
    pub stop_first: bool,
}

const ORDERS: &[&str] = &["start-first", "stop-first"];

impl Decode for OrderKey {
    fn shape() -> Shape {
        Shape::Word(ORDERS)
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self { stop_first: word(node, ORDERS, problems)? == "stop-first" })
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
