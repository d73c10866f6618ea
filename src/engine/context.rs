//! Docker's own configuration: the current context, the folder it lives in.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::base::env::Env;
use crate::base::hash;

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

/// Name and address of the current context, unless it is the default one.
pub(super) fn current(env: &Env, folder: Option<&Path>) -> Result<Option<(String, String)>, EngineError> {
    let config = config_file(folder);
    let named = env
        .var("DOCKER_CONTEXT")
        .or_else(|| config.as_ref().and_then(|c| c.get("currentContext")).and_then(Value::as_str))
        .filter(|name| !name.is_empty() && *name != "default");
    let (Some(name), Some(folder)) = (named, folder) else { return Ok(None) };
    let path = folder.join("contexts/meta").join(hash::sha256(name.as_bytes())).join("meta.json");
    let address = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        .and_then(|meta| Some(meta.pointer("/Endpoints/docker/Host")?.as_str()?.to_owned()));
    match address {
        Some(address) => Ok(Some((name.to_owned(), address))),
        None => Err(EngineError::new(
            ErrorKind::NotReachable,
            format!("use the Docker context `{name}`"),
            format!("{} is missing or names no engine", path.display()),
        )
        .with_hint("`docker context ls` shows the contexts, `docker context use default` goes back to this host")),
    }
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
        assert_eq!(found, Some(("far".into(), "unix:///x".into())));
        io(std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"default"}"#));
        assert_eq!(current(&env, Some(folder.path())).ok().flatten(), None);
    }
}
