//! Finding the engine and getting to know it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::future::BoxFuture;

use crate::base::env::Env;
use crate::base::units::ByteSize;
use crate::model::observed::{EngineFacts, Host};

use super::context;
use super::error::{EngineError, ErrorKind};

/// Where an engine is when nobody says anything else.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How long one call may take. Stops, builds and pulls have their own limits.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// The client library's own limit, out of the way: it counts headers only, and ours counts the whole call.
const LIBRARY_TIMEOUT: u64 = 24 * 3600;

/// The oldest API we know to work: Docker 20.10.
const MIN_API: (u32, u32) = (1, 41);

/// A connection to an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    facts: Arc<EngineFacts>,
    pub(super) config_folder: Option<Arc<PathBuf>>,
    timeout: Duration,
}

impl Engine {
    /// Connects to `host` (the stage's, or `--host`), else `DOCKER_HOST`, else the current Docker context, else the
    /// default socket, and asks for the version.
    pub async fn connect(host: Option<&str>, env: &Env) -> Result<Self, EngineError> {
        let config_folder = context::config_folder(env);
        let (address, origin) = choose(host, env, config_folder.as_deref())?;
        let doing = format!("connect to the engine at {address}{origin}");
        let socket = socket_path(&address, &doing)?;
        let docker = Docker::connect_with_unix(&socket, LIBRARY_TIMEOUT, API_DEFAULT_VERSION)
            .map_err(|error| EngineError::from_bollard(&doing, &error))?;
        let ask = async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok((docker, version))
        };
        let (docker, version) = limit(Duration::from_secs(10), &doing, ask).await?;
        let facts = facts(&docker, &version);
        if parse_api(version.api_version.as_deref().unwrap_or_default()) < MIN_API {
            let message = format!("the engine is version {} (API {}), which is too old", facts.version, facts.api);
            return Err(EngineError::new(ErrorKind::Other, doing, message)
                .with_hint("stackctl needs Docker Engine 20.10 or newer"));
        }
        Ok(Self { docker, facts: Arc::new(facts), config_folder: config_folder.map(Arc::new), timeout: CALL_TIMEOUT })
    }

    /// With another limit for one call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What the engine's host has. An engine that does not say is no reason to stop.
    pub async fn host(&self) -> Host {
        let info = self.call("ask for the size of the host", self.docker.info()).await;
        let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        info.map_or(Host::default(), |info| Host {
            cpus: count(info.ncpu).and_then(|n| u32::try_from(n).ok()),
            memory: count(info.mem_total).map(ByteSize),
        })
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

/// The address, and where it comes from if that is not obvious.
fn choose(host: Option<&str>, env: &Env, config: Option<&Path>) -> Result<(String, String), EngineError> {
    if let Some(host) = host.filter(|h| !h.is_empty()) {
        return Ok((host.to_owned(), String::new()));
    }
    if let Some(host) = env.var("DOCKER_HOST") {
        return Ok((host.to_owned(), " (from DOCKER_HOST)".to_owned()));
    }
    if let Some((name, host)) = context::current(env, config)? {
        return Ok((host, format!(" (from the Docker context `{name}`)")));
    }
    Ok((format!("unix://{DEFAULT_SOCKET}"), String::new()))
}

fn socket_path(address: &str, doing: &str) -> Result<String, EngineError> {
    if let Some(path) = address.strip_prefix("unix://") {
        return Ok(path.to_owned());
    }
    if address.starts_with('/') {
        return Ok(address.to_owned());
    }
    let scheme = address.split_once("://").map_or(address, |(scheme, _)| scheme);
    let (message, hint) = match scheme {
        "ssh" => (
            "engines over ssh are not supported yet".to_owned(),
            "run stackctl on that host, or forward its socket: \
             `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock USER@HOST`, then `--host unix:///tmp/engine.sock`",
        ),
        "tcp" | "http" | "https" => (
            "engines over TCP are not supported yet".to_owned(),
            "run stackctl on that host, or forward its socket over ssh and use `--host unix:///path`",
        ),
        _ => (format!("`{address}` is not an address of an engine"), "write it as `unix:///var/run/docker.sock`"),
    };
    Err(EngineError::new(ErrorKind::Other, doing, message).with_hint(hint))
}

fn facts(docker: &Docker, version: &SystemVersion) -> EngineFacts {
    let os = version.os.clone().unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let same_kernel = version.kernel_version.as_deref().is_some_and(|k| k == kernel.trim());
    let rootless = version.components.iter().flatten().any(|c| c.name == "rootlesskit");
    // In a container of its own we share the kernel, but not the network the engine's bridges are on.
    let inside = Path::new("/.dockerenv").exists() && !Path::new("/sys/class/net/docker0").exists();
    EngineFacts {
        version: version.version.clone().unwrap_or_default(),
        api: docker.client_version().to_string(),
        local: os == "linux" && same_kernel && !rootless && !inside,
        os,
        arch: version.arch.clone().unwrap_or_default(),
    }
}

fn parse_api(text: &str) -> (u32, u32) {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_says_so_and_what_to_do() {
        for address in ["ssh://deploy@h", "tcp://1.2.3.4:2375", "nonsense"] {
            let error = socket_path(address, "connect").err().unwrap_or_else(|| unreachable!());
            assert!(error.hint().is_some_and(|h| h.contains("unix://")), "{address}");
        }
        assert_eq!(socket_path("unix:///a/b", "x").ok().as_deref(), Some("/a/b"));
        assert_eq!(socket_path("/a/b", "x").ok().as_deref(), Some("/a/b"));
    }

    #[test]
    fn api_versions_compare_by_number() {
        assert!(parse_api("1.53") > parse_api("1.9"));
        assert!(parse_api("1.40") < MIN_API);
    }

    #[test]
    fn the_order_of_choice() {
        let mut env = Env::default();
        assert_eq!(choose(None, &env, None).ok().map(|c| c.0).as_deref(), Some("unix:///var/run/docker.sock"));
        env.vars.insert("DOCKER_HOST".into(), "unix:///env".into());
        assert_eq!(choose(None, &env, None).ok().map(|c| c.0).as_deref(), Some("unix:///env"));
        assert_eq!(choose(Some("unix:///arg"), &env, None).ok().map(|c| c.0).as_deref(), Some("unix:///arg"));
    }
}
