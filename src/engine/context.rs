//! Docker's own configuration: the current context, the folder it lives in.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::base::env::Env;
use crate::base::hash;

use super::address::TlsFiles;
use super::error::{EngineError, ErrorKind};

/// `DOCKER_CONFIG`, or `~/.docker`.
pub(super) fn config_folder(env: &Env) -> Option<PathBuf> {
    env.var("DOCKER_CONFIG").map(PathBuf::from).or_else(|| env.var("HOME").map(|h| Path::new(h).join(".docker")))
}

/// `config.json` of that folder; nothing if it is missing or is not JSON (Docker itself warns about that).
pub(super) fn config_file(folder: Option<&Path>) -> Option<Value> {
    let text = std::fs::read_to_string(folder?.join("config.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// A Docker context: a named engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
    /// The engine's address.
    pub(super) address: String,
    /// Certificates, if it has any.
    pub(super) tls: Option<TlsFiles>,
}

/// The current context, unless it is the default one.
pub(super) fn current(env: &Env, folder: Option<&Path>) -> Result<Option<Named>, EngineError> {
    let config = config_file(folder);
    let named = env
        .var("DOCKER_CONTEXT")
        .or_else(|| config.as_ref().and_then(|c| c.get("currentContext")).and_then(Value::as_str))
        .filter(|name| !name.is_empty() && *name != "default");
    let (Some(name), Some(folder)) = (named, folder) else { return Ok(None) };
    let id = hash::sha256(name.as_bytes());
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let meta = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let address = meta.as_ref().and_then(|meta| meta.pointer("/Endpoints/docker/Host")?.as_str());
    let unchecked = meta.as_ref().and_then(|meta| meta.pointer("/Endpoints/docker/SkipTLSVerify")?.as_bool());
    let certificates = folder.join("contexts/tls").join(&id).join("docker");
    let tls = certificates
        .join("cert.pem")
        .exists()
        .then(|| TlsFiles { folder: certificates, unchecked: unchecked.unwrap_or(false) });
    match address {
        Some(address) => Ok(Some(Named { name: name.to_owned(), address: address.to_owned(), tls })),
        None => Err(EngineError::new(
            ErrorKind::NotReachable,
            format!("use the Docker context `{name}`"),
            format!("{} is missing or names no engine", path.display()),
        )
        .with_hint("`docker context ls` shows the contexts, `docker context use default` goes back to this host")),
    }
}

/// Certificates for `tcp://` outside of contexts, as Docker's client finds them: `DOCKER_CERT_PATH`, or the folder of its
/// configuration where `DOCKER_TLS_VERIFY` asks for TLS.
pub(super) fn certificates(env: &Env, folder: Option<&Path>) -> Option<TlsFiles> {
    let named = env.var("DOCKER_CERT_PATH").map(PathBuf::from);
    let asked = env.var("DOCKER_TLS_VERIFY").is_some() || env.var("DOCKER_TLS").is_some();
    let folder = named.or_else(|| folder.filter(|_| asked).map(Path::to_owned))?;
    Some(TlsFiles { folder, unchecked: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io<T>(result: std::io::Result<T>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn the_current_context_names_the_engine() {
        let folder = io(tempfile::tempdir());
        let meta = folder.path().join("contexts/meta").join(hash::sha256(b"far"));
        io(std::fs::create_dir_all(&meta));
        io(std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#));
        let env = Env::default();
        assert!(current(&env, Some(folder.path())).is_err(), "a context without its file");
        io(std::fs::write(meta.join("meta.json"), r#"{"Name":"far","Endpoints":{"docker":{"Host":"unix:///x"}}}"#));
        let found = current(&env, Some(folder.path())).ok().flatten();
        assert_eq!(found, Some(Named { name: "far".into(), address: "unix:///x".into(), tls: None }));
        let tls = folder.path().join("contexts/tls").join(hash::sha256(b"far")).join("docker");
        io(std::fs::create_dir_all(&tls));
        io(std::fs::write(tls.join("cert.pem"), ""));
        let found = current(&env, Some(folder.path())).ok().flatten().and_then(|n| n.tls);
        assert_eq!(found, Some(TlsFiles { folder: tls, unchecked: false }));
        io(std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"default"}"#));
        assert_eq!(current(&env, Some(folder.path())).ok().flatten(), None);
    }

    #[test]
    fn certificates_are_where_docker_looks() {
        let mut env = Env::default();
        let found = |env: &Env| certificates(env, Some(Path::new("/home/me/.docker"))).map(|f| f.folder);
        assert_eq!(found(&env), None);
        env.vars.insert("DOCKER_TLS_VERIFY".into(), "1".into());
        assert_eq!(found(&env), Some("/home/me/.docker".into()));
        env.vars.insert("DOCKER_CERT_PATH".into(), "/certs".into());
        assert_eq!(found(&env), Some("/certs".into()));
    }
}
