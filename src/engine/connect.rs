//! Finding the engine and getting to know it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use futures_util::future::BoxFuture;

use crate::base::env::Env;
use crate::base::units::ByteSize;
use crate::model::observed::{EngineFacts, Host, Keeps};

use super::address::{self, Address, TlsFiles};
use super::capability::{Api, Capability};
use super::context;
use super::error::{EngineError, ErrorKind};
use super::kept::Forwards;
use super::ssh::Ssh;
use super::transport::{self, Way};

/// Where an engine is when nobody says anything else.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How long one call may take. Stops, builds and pulls have their own limits.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the engine may take for its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// The client library's own limit, out of the way: it counts headers only, and ours counts the whole call.
const LIBRARY_TIMEOUT: u64 = 24 * 3600;

/// A connection to an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    facts: Arc<EngineFacts>,
    pub(super) config_folder: Option<Arc<PathBuf>>,
    timeout: Duration,
    /// Version of the interface in use.
    pub(super) api: Api,
    /// For connections of our own.
    pub(super) way: Way,
    pub(super) road: Road,
    pub(super) forwards: Forwards,
    /// It is Podman, which speaks as Docker does and keeps some things in its own way.
    pub(super) podman: bool,
}

/// How the engine is reached, as far as it matters for reaching its containers.
#[derive(Debug, Clone)]
pub(super) enum Road {
    /// A socket of this host.
    Socket,
    /// TCP to this host.
    Tcp(String),
    /// A login.
    Ssh(Arc<Ssh>),
}

/// What chose the engine.
struct Chosen {
    address: String,
    /// In words, where it is not obvious.
    origin: String,
    tls: Option<TlsFiles>,
}

impl Engine {
    /// Connects to `host` (the stage's, or `--host`), else `DOCKER_HOST`, else the current Docker context, else the
    /// default socket, and asks what it is.
    pub async fn connect(host: Option<&str>, env: &Env) -> Result<Self, EngineError> {
        let config_folder = context::config_folder(env);
        let chosen = choose(host, env, config_folder.as_deref())?;
        let doing = format!("connect to the engine at {}{}", chosen.address, chosen.origin);
        let (way, road) = match address::parse(&chosen.address, chosen.tls, &doing)? {
            Address::Unix(path) => {
                let client = |version: &ClientVersion| Docker::connect_with_unix(&path, LIBRARY_TIMEOUT, version);
                return Self::meet(client, Way::Unix(path.clone()), Road::Socket, config_folder, &doing).await;
            }
            Address::Tcp { host, port, tls } => {
                let tls = tls.map(|files| transport::tls(&host, &files, &doing)).transpose()?;
                (Way::Tcp { host: host.clone(), port, tls }, Road::Tcp(host))
            }
            Address::Ssh(address) => {
                let ssh = Arc::new(Ssh::open(address, env, &doing).await?);
                (Way::Ssh(Arc::clone(&ssh)), Road::Ssh(ssh))
            }
        };
        let make = |version: &ClientVersion| transport::client(way.clone(), LIBRARY_TIMEOUT, version);
        Self::meet(make, way.clone(), road, config_folder, &doing).await
    }

    /// Gets to know the engine, and settles on the newest version of the interface that both know.
    async fn meet(
        client: impl Fn(&ClientVersion) -> Result<Docker, Error>,
        way: Way,
        road: Road,
        config_folder: Option<PathBuf>,
        doing: &str,
    ) -> Result<Self, EngineError> {
        let failed = |error: &Error| EngineError::from_bollard(doing, error);
        let first = client(API_DEFAULT_VERSION).map_err(|error| failed(&error))?;
        // What it says of its host is good to know, and not needed: some refuse it.
        let ask = async { tokio::try_join!(first.version(), async { Ok(first.info().await.ok()) }) };
        let asked = limit(FIRST_ANSWER, doing, ask).await;
        let (version, info) = match (asked, &road) {
            (Err(error), Road::Ssh(ssh)) if error.kind != ErrorKind::Timeout => return Err(ssh.explain(&error, doing)),
            (Err(error), Road::Tcp(_)) => return Err(transport::explain(error)),
            (asked, _) => asked?,
        };
        let theirs = parse_api(version.api_version.as_deref().unwrap_or_default());
        let ours = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
        let used = theirs.min(ours);
        let docker = client(&ClientVersion { major_version: used.0, minor_version: used.1 });
        let docker = docker.map_err(|error| failed(&error))?;
        let facts = facts(used, &version, &info.unwrap_or_default(), matches!(road, Road::Socket));
        if !Capability::Everything.is_in(theirs) {
            let message =
                format!("the engine is version {} (API {}.{}), which is too old", facts.version, theirs.0, theirs.1);
            let oldest = Capability::Everything.row().engine;
            return Err(EngineError::new(ErrorKind::Other, doing, message)
                .with_hint(format!("stackctl needs Docker Engine {oldest} or newer")));
        }
        Ok(Self {
            // With the first client, its connections: the next call need not make another.
            docker: if used == ours { first } else { docker },
            facts: Arc::new(facts),
            config_folder: config_folder.map(Arc::new),
            timeout: CALL_TIMEOUT,
            api: used,
            way,
            road,
            forwards: Forwards::default(),
            podman: version.components.iter().flatten().any(|c| c.name.starts_with("Podman")),
        })
    }

    /// With another limit for one call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one call may take.
    pub(super) fn time_limit(&self) -> Duration {
        self.timeout
    }

    /// What the engine's host has. An engine that does not say is no reason to stop.
    pub async fn host(&self) -> Host {
        let info = self.call("ask for the size of the host", self.docker.info()).await;
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        info.map_or(Host::default(), |info| Host {
            cpus: count(info.ncpu).and_then(|n| u32::try_from(n).ok()),
            memory: count(info.mem_total).map(ByteSize),
            keeps: Keeps {
                memory: info.memory_limit.unwrap_or(false),
                cpus: info.cpu_cfs_quota.unwrap_or(false),
                shares: info.cpu_shares.unwrap_or(false),
                pids: info.pids_limit.unwrap_or(false),
            },
        })
    }

    /// The same connection, with nothing that is kept open for it.
    pub(super) fn apart(&self) -> Self {
        Self { forwards: Forwards::default(), ..self.clone() }
    }

    /// Whether this engine, spoken to in the newest version that both know, can do something.
    pub fn can(&self, capability: Capability) -> bool {
        capability.is_in(self.api)
    }

    /// What the engine is.
    pub fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// One call within the time limit.
    pub(super) fn call<'a, T: 'a>(
        &self,
        doing: &'a str,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, EngineError>> {
        limit(self.timeout, doing, call)
    }

    /// One call that may take so much longer.
    pub(super) fn call_within<'a, T: 'a>(
        &self,
        extra: Duration,
        doing: &'a str,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, EngineError>> {
        limit(self.timeout.saturating_add(extra), doing, call)
    }
}

/// Boxed: the client library's futures are large, and there are several in most of ours.
fn limit<'a, T: 'a>(
    time: Duration,
    doing: &'a str,
    call: impl Future<Output = Result<T, Error>> + Send + 'a,
) -> BoxFuture<'a, Result<T, EngineError>> {
    Box::pin(async move {
        match tokio::time::timeout(time, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(EngineError::from_bollard(doing, &error)),
            Err(_) => {
                let message = format!("the engine did not answer within {} s", time.as_secs_f32());
                Err(EngineError::new(ErrorKind::Timeout, doing, message))
            }
        }
    })
}

fn choose(host: Option<&str>, env: &Env, config: Option<&Path>) -> Result<Chosen, EngineError> {
    let tls = || context::certificates(env, config);
    let chosen =
        |address: &str, origin: &str, tls| Ok(Chosen { address: address.to_owned(), origin: origin.to_owned(), tls });
    if let Some(host) = host.filter(|h| !h.is_empty()) {
        return chosen(host, "", tls());
    }
    if let Some(host) = env.var("DOCKER_HOST") {
        return chosen(host, " (from DOCKER_HOST)", tls());
    }
    if let Some(named) = context::current(env, config)? {
        return chosen(&named.address, &format!(" (from the Docker context `{}`)", named.name), named.tls);
    }
    chosen(&format!("unix://{DEFAULT_SOCKET}"), "", None)
}

fn facts(api: Api, version: &SystemVersion, info: &SystemInfo, socket: bool) -> EngineFacts {
    let os = version.os.clone().unwrap_or_default();
    let here = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let same_kernel = version.kernel_version.as_deref().is_some_and(|k| k == here("/proc/sys/kernel/osrelease"));
    // A socket that is forwarded from another host of the same make has the same kernel, and another name.
    let same_name = info.name.as_deref().is_none_or(|name| name == here("/proc/sys/kernel/hostname"));
    let rootless = version.components.iter().flatten().any(|c| c.name == "rootlesskit");
    // In a container of its own we share the kernel, but not the network the engine's bridges are on.
    let inside = Path::new("/.dockerenv").exists() && !Path::new("/sys/class/net/docker0").exists();
    EngineFacts {
        version: version.version.clone().unwrap_or_default(),
        api: format!("{}.{}", api.0, api.1),
        local: socket && os == "linux" && same_kernel && same_name && !rootless && !inside,
        os,
        arch: version.arch.clone().unwrap_or_default(),
    }
}

fn parse_api(text: &str) -> Api {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_compare_by_number() {
        assert!(parse_api("1.53") > parse_api("1.9"));
        assert!(!Capability::Everything.is_in(parse_api("1.40")));
    }

    #[test]
    fn the_order_of_choice() {
        let mut env = Env::default();
        assert_eq!(choose(None, &env, None).ok().map(|c| c.address).as_deref(), Some("unix:///var/run/docker.sock"));
        env.vars.insert("DOCKER_HOST".into(), "unix:///env".into());
        assert_eq!(choose(None, &env, None).ok().map(|c| c.address).as_deref(), Some("unix:///env"));
        assert_eq!(choose(Some("unix:///arg"), &env, None).ok().map(|c| c.address).as_deref(), Some("unix:///arg"));
    }
}
