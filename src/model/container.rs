//! What the engine is asked to create: every value final, nothing left to decide.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::base::hash;
use crate::base::secret::Secret;
use crate::base::units::{ByteSize, Span};

use super::parts::{Parts, hidden, take_apart};
use super::runtime::{Restart, Runtime};

/// Labels of ours, and Compose's that make `docker compose -p NAME ps|logs|stop|down` work.
pub mod label {
    /// Project; on everything we own.
    pub const PROJECT: &str = "stackctl.project";
    /// What it is: `service`, `job`, `run` (one-off), `carrier`, `hold` (of an image), `lock`, `files`, `source` (files
    /// are copied out of it), `data`, `network`.
    pub const ROLE: &str = "stackctl.role";
    /// Service it belongs to.
    pub const SERVICE: &str = "stackctl.service";
    /// Hash of the container's configuration.
    pub const CONFIG: &str = "stackctl.config";
    /// The configuration in parts, with keyed fingerprints (JSON): what changed since, part by part.
    pub const PARTS: &str = "stackctl.parts";
    /// Static addresses, `network=address` joined by commas: also readable while the container is stopped.
    pub const ADDRESSES: &str = "stackctl.addresses";
    /// Address bank, 0 or 1.
    pub const BANK: &str = "stackctl.bank";
    /// Release that created it.
    pub const RELEASE: &str = "stackctl.release";
    /// Stage of the stack, empty for the default one.
    pub const STAGE: &str = "stackctl.stage";
    /// Hash of the build context an image was built from.
    pub const CONTEXT: &str = "stackctl.context";
    /// Major version of the server that a data volume was made for.
    pub const DATA_VERSION: &str = "stackctl.data-version";
    /// Who holds a lock.
    pub const HOLDER: &str = "stackctl.holder";
    /// Since when, seconds since 1970.
    pub const SINCE: &str = "stackctl.since";
    /// Compose: project.
    pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
    /// Compose: service.
    pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
    /// Compose: hash; containers without it are invisible to `ps`.
    pub const COMPOSE_HASH: &str = "com.docker.compose.config-hash";
    /// Compose: number of the replica, from 1.
    pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
    /// Compose: `False`, or `True` for one-off containers.
    pub const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
    /// Compose: order of `down`.
    pub const COMPOSE_DEPENDS: &str = "com.docker.compose.depends_on";
    /// Compose: folder of the files.
    pub const COMPOSE_FOLDER: &str = "com.docker.compose.project.working_dir";
    /// Compose: the files.
    pub const COMPOSE_FILES: &str = "com.docker.compose.project.config_files";
    /// Compose: version.
    pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
    /// Compose: key of a network.
    pub const COMPOSE_NETWORK: &str = "com.docker.compose.network";
    /// Compose: key of a volume.
    pub const COMPOSE_VOLUME: &str = "com.docker.compose.volume";
}

/// Where a container finds the program that starts its own with variables the engine does not know.
pub const LAUNCHER: &str = "/run/secrets/.launcher";

/// Those variables: `NAME=value`, each ended by a zero byte.
pub const VARIABLES: &str = "/run/secrets/.environment";

/// What is run in the container to have it let in those of `users.acl`, and nobody else: with any password that an
/// earlier set of files knows, since the one of the newest may be what is to be let in. Nobody is cut off.
pub const REDIS_RELOAD: &str = "set -- $(sed -n 's/^user default //p' /run/stackctl/current/users.acl)
for file in /run/stackctl/releases/*/password; do
    export REDISCLI_AUTH=\"$(cat \"$file\")\"
    [ \"$(redis-cli ACL SETUSER default resetpass \"$@\" 2>&1)\" = OK ] && exit 0
done
echo 'no password of an earlier set of files is let in'
exit 1";

/// The words after [`LAUNCHER`]: what the engine would have run, by what is wanted and what the image says (Docker's
/// rule: an entry point of one's own takes the image's arguments away).
pub fn launched(
    entrypoint: Option<&[String]>,
    command: Option<&[String]>,
    image: (&[String], &[String]),
) -> Vec<String> {
    let (entry, arguments) = match (entrypoint, command) {
        (Some(entry), command) => (entry, command.unwrap_or_default()),
        (None, Some(command)) => (image.0, command),
        (None, None) => image,
    };
    [entry, arguments].concat()
}

/// A container to create.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerSpec {
    /// Name to create it under.
    pub name: String,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Image reference or ID.
    pub image: String,
    /// Entry point instead of the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments instead of the image's own.
    pub command: Option<Vec<String>>,
    /// What it runs is started by [`LAUNCHER`], which adds [`VARIABLES`] to its environment.
    pub launcher: bool,
    /// User instead of the image's own.
    pub user: Option<String>,
    /// Environment.
    pub env: BTreeMap<String, EnvValue>,
    /// Volumes.
    pub mounts: Vec<Mount>,
    /// In-memory folders, target to options.
    pub tmpfs: BTreeMap<String, String>,
    /// Networks; the first is joined at creation, the others are connected before the start.
    pub networks: Vec<Attachment>,
    /// Published ports.
    pub ports: Vec<Publish>,
    /// Processor share.
    pub cpus: Option<f64>,
    /// Memory limit.
    pub memory: Option<ByteSize>,
    /// Most processes; `None` for no limit.
    pub pids: Option<u32>,
    /// Read-only root.
    pub read_only: bool,
    /// Kept capabilities; all others are dropped.
    pub cap_add: Vec<String>,
    /// A small init reaps children and passes signals on.
    pub init: bool,
    /// Restart policy.
    pub restart: Restart,
    /// Stop signal instead of the image's own.
    pub stop_signal: Option<String>,
    /// Time to stop.
    pub stop_timeout: Span,
    /// Health check run by the engine.
    pub health: Option<EngineHealth>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// How it runs, beyond that.
    pub runtime: Runtime,
}

/// A container that is nothing yet.
impl Default for ContainerSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            hostname: None,
            image: String::new(),
            entrypoint: None,
            command: None,
            launcher: false,
            user: None,
            env: BTreeMap::new(),
            mounts: Vec::new(),
            tmpfs: BTreeMap::new(),
            networks: Vec::new(),
            ports: Vec::new(),
            cpus: None,
            memory: None,
            pids: None,
            read_only: false,
            cap_add: Vec::new(),
            init: false,
            // Not `unless-stopped`: every signal the engine passes on, a reload's too, makes it take the container for
            // stopped by hand from then on (moby #53415), and so does its own start after a crash (moby `restore`).
            restart: Restart::Always,
            stop_signal: None,
            stop_timeout: Span::seconds(10),
            health: None,
            labels: BTreeMap::new(),
            runtime: Runtime::default(),
        }
    }
}

/// A value of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvValue {
    /// Can be shown.
    Plain(String),
    /// Cannot.
    Secret(Secret),
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Volume name on the engine.
    pub volume: String,
    /// Only this file or folder of the volume.
    pub subpath: Option<String>,
    /// Where it appears.
    pub target: String,
    /// It cannot be written there.
    pub read_only: bool,
    /// The image's files at that path are not copied into an empty volume.
    pub no_copy: bool,
}

/// A place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Network name on the engine.
    pub network: String,
    /// Fixed address; `None` lets the engine choose.
    pub address: Option<Ipv4Addr>,
    /// Names others find it by.
    pub aliases: Vec<String>,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Address of the host.
    pub address: Ipv4Addr,
    /// Port of the host.
    pub host_port: u16,
    /// Port of the container.
    pub container_port: u16,
}

/// A health check run by the engine inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineHealth {
    /// Command and arguments.
    pub command: Vec<String>,
    /// Time between two tries.
    pub interval: Span,
    /// Time one try may take.
    pub timeout: Span,
    /// Failures in a row until unhealthy.
    pub retries: u32,
    /// Time in which failures do not count.
    pub start_period: Span,
}

impl ContainerSpec {
    /// The hash that decides whether a running container is the wanted one. Not in it: name, host name, addresses
    /// and labels, which differ between replicas and releases of the same configuration. Secret values go in keyed.
    pub fn config_hash(&self, key: &[u8]) -> String {
        hash::sha256(self.normal_form(key).to_string().as_bytes())
    }

    /// What the hash is taken of, part by part.
    pub fn parts(&self, key: &[u8]) -> Parts {
        let mut out = Parts::new();
        let serde_json::Value::Object(fields) = self.normal_form(key) else { return out };
        for (name, value) in fields {
            match name.as_str() {
                "name" | "env" | "mounts" | "networks" | "ports" => {}
                _ => take_apart(&name, &value, key, &mut out),
            }
        }
        for (name, value) in &self.env {
            let text = match value {
                EnvValue::Plain(text) => text,
                EnvValue::Secret(secret) => secret.expose(),
            };
            out.insert(format!("env {name}"), hidden(key, text.as_bytes()));
        }
        for mount in &self.mounts {
            let how = if mount.read_only { " (read-only)" } else { "" };
            out.insert(format!("volume {}", mount.target), format!("{}{how}", mount.volume));
        }
        for place in &self.networks {
            out.insert(format!("network {}", place.network), hidden(key, place.aliases.join(",").as_bytes()));
        }
        for port in &self.ports {
            let to = format!("{}:{}", port.address, port.host_port);
            out.insert(format!("published {}", port.container_port), to);
        }
        out
    }

    fn normal_form(&self, key: &[u8]) -> serde_json::Value {
        let mut same = self.clone();
        same.name = String::new();
        same.hostname = None;
        same.labels.clear();
        for attachment in &mut same.networks {
            attachment.address = None;
        }
        for value in same.env.values_mut() {
            if let EnvValue::Secret(secret) = value {
                *value = EnvValue::Plain(hash::fingerprint(key, secret.expose().as_bytes()));
            }
        }
        // Serialising plain data of ours cannot fail; an empty value would only cause one needless replacement.
        let mut value = serde_json::to_value(&same).unwrap_or_default();
        prune(&mut value);
        value
    }
}

/// Takes out what says nothing (null, false, empty), so that a field which a later version adds, and nobody uses,
/// does not replace every container there is.
fn prune(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|_, v| !says_nothing(v));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn says_nothing(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSpec {
    /// Name on the engine.
    pub name: String,
    /// Its /24.
    pub subnet: Subnet,
    /// No way out.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A /24 of ours. `.1` is the gateway (the host), `.2`–`.95` bank 0, `.96`–`.189` bank 1, `.192/26` is left to the
/// engine for containers that others attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subnet(pub Ipv4Addr);

impl Subnet {
    /// The address with this last octet.
    pub fn host(self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.0.octets();
        Ipv4Addr::new(a, b, c, last)
    }

    /// The host's own address on it.
    pub fn gateway(self) -> Ipv4Addr {
        self.host(1)
    }

    /// As the engine writes it.
    pub fn cidr(self) -> String {
        format!("{}/24", self.host(0))
    }

    /// What the engine may hand out by itself.
    pub fn dynamic_range(self) -> String {
        format!("{}/26", self.host(192))
    }

    /// Addresses of a bank (0 or 1), lowest first.
    pub fn bank(self, bank: u8) -> impl Iterator<Item = Ipv4Addr> {
        let range = if bank == 0 { 2..=95 } else { 96..=189 };
        range.map(move |last| self.host(last))
    }
}

/// A volume to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeSpec {
    /// Name on the engine.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "x-app-1".into(),
            hostname: None,
            image: "app:1".into(),
            entrypoint: None,
            command: Some(vec!["serve".into()]),
            launcher: false,
            user: None,
            env: BTreeMap::from([("PASSWORD".into(), EnvValue::Secret(Secret::new("s3cret")))]),
            mounts: vec![],
            tmpfs: BTreeMap::new(),
            networks: vec![Attachment { network: "x_default".into(), address: None, aliases: vec!["app".into()] }],
            ports: vec![],
            cpus: Some(0.5),
            memory: Some(ByteSize(1 << 20)),
            pids: Some(64),
            read_only: true,
            cap_add: vec![],
            init: true,
            restart: Restart::UnlessStopped,
            stop_signal: None,
            stop_timeout: Span::seconds(30),
            health: None,
            labels: BTreeMap::new(),
            runtime: Runtime::default(),
        }
    }

    #[test]
    fn a_new_version_of_stackctl_replaces_nothing() {
        // If this changes, every container of every user is replaced once: databases and the front door with an
        // interruption. Change it only for a reason that is worth that, and say so in the changelog.
        assert_eq!(spec().config_hash(b"key"), "68b288e50553c5a8ebfa853d3c92b15a8efafe45daf7d8cafdbbe0d3663aa141");
    }

    #[test]
    fn what_differs_between_replicas_is_not_in_the_hash() {
        let mut other = spec();
        other.name = "x-app-2".into();
        other.hostname = Some("app-2".into());
        other.labels.insert("stackctl.release".into(), "7".into());
        other.networks[0].address = Some(Ipv4Addr::new(10, 83, 0, 9));
        assert_eq!(other.config_hash(b"key"), spec().config_hash(b"key"));
        other.env.insert("PASSWORD".into(), EnvValue::Secret(Secret::new("another")));
        assert_ne!(other.config_hash(b"key"), spec().config_hash(b"key"));
    }
}
