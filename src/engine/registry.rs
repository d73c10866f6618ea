//! Credentials for registries, as `docker login` left them.

use std::process::Stdio;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::base::base64;

/// Key under which Docker Hub's credentials are kept.
const HUB: &str = "https://index.docker.io/v1/";

/// What Docker's configuration has for an image's registry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Login {
    /// Nothing: ask anonymously.
    None,
    /// A user and a password, or a token.
    Known(Box<DockerCredentials>),
    /// A credential helper, by the end of its program's name, and the key it knows the registry by.
    Helper(String, String),
}

/// The registry of a reference; a first part without dot, colon or `localhost` is a folder of Docker Hub.
pub(super) fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

pub(super) fn login(config: Option<&Value>, reference: &str) -> Login {
    let Some(config) = config else { return Login::None };
    let registry = registry_of(reference);
    let keys = if registry == "docker.io" { vec![HUB, "docker.io", "index.docker.io"] } else { vec![registry] };
    let auths = config.get("auths").and_then(Value::as_object);
    let entry = auths.and_then(|auths| {
        keys.iter().find_map(|key| {
            auths.iter().find(|(name, _)| *name == key || bare(name) == bare(key)).map(|(_, value)| value)
        })
    });
    if let Some(credentials) = entry.and_then(|entry| credentials(entry, keys[0])) {
        return Login::Known(Box::new(credentials));
    }
    let helper = config
        .get("credHelpers")
        .and_then(Value::as_object)
        .and_then(|helpers| keys.iter().find_map(|key| helpers.get(*key)))
        .or_else(|| config.get("credsStore"))
        .and_then(Value::as_str);
    helper.map_or(Login::None, |name| Login::Helper(name.to_owned(), keys[0].to_owned()))
}

/// How long a helper may take: it may ask for a touch or a passphrase.
const HELPER: Duration = Duration::from_secs(60);

/// Asks `docker-credential-NAME` for what it keeps; `None` if it has nothing. An error is why it cannot be asked.
pub(super) async fn ask(helper: &str, server: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &dyn std::fmt::Display| format!("`{program}` keeps the credentials of {server}: {why}");
    let run = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(server.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER, run).await {
        Ok(output) => output.map_err(|error| failed(&error))?,
        Err(_) => return Err(failed(&format!("it did not answer within {} s", HELPER.as_secs()))),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        // The protocol has no code for this, only these words.
        if text.contains("credentials not found") {
            return Ok(None);
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned() + &text;
        return Err(failed(&why.lines().next().unwrap_or("it failed without a word")));
    }
    let answer: Value = serde_json::from_str(&text).map_err(|_| failed(&"its answer makes no sense"))?;
    let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (user, secret) = (field("Username"), field("Secret"));
    let mut found = DockerCredentials { serveraddress: Some(server.to_owned()), ..DockerCredentials::default() };
    if user == "<token>" {
        found.identitytoken = Some(secret);
    } else {
        found.username = Some(user);
        found.password = Some(secret);
    }
    Ok(Some(found))
}

fn bare(name: &str) -> &str {
    let name = name.trim_start_matches("https://").trim_start_matches("http://");
    name.split('/').next().unwrap_or(name)
}

fn credentials(entry: &Value, server: &str) -> Option<DockerCredentials> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    let mut found = DockerCredentials {
        serveraddress: Some(server.to_owned()),
        identitytoken: text("identitytoken"),
        username: text("username"),
        password: text("password"),
        ..DockerCredentials::default()
    };
    if let Some(auth) = text("auth") {
        let plain = String::from_utf8(base64::decoded(&auth)?).ok()?;
        let (user, password) = plain.split_once(':')?;
        found.username = Some(user.to_owned());
        found.password = Some(password.trim_end_matches('\0').to_owned());
    }
    (found.identitytoken.is_some() || found.username.is_some()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn registries_of_references() {
        for (reference, registry) in [
            ("nginx", "docker.io"),
            ("acme/app:1", "docker.io"),
            ("ghcr.io/acme/app", "ghcr.io"),
            ("localhost/x", "localhost"),
            ("r:5000/x@sha256:ab", "r:5000"),
        ] {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    #[test]
    fn logins_are_found() {
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6cMOkc3M6d29yZA=="},
            "https://ghcr.io": {"identitytoken": "t"},
            "empty.io": {},
        }, "credHelpers": {"ecr.io": "ecr-login"}});
        match login(Some(&config), "nginx:1") {
            Login::Known(found) => {
                assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("me"), Some("päss:word")));
            }
            other => unreachable!("{other:?}"),
        }
        assert!(matches!(login(Some(&config), "ghcr.io/a/b"), Login::Known(found) if found.identitytoken.is_some()));
        assert_eq!(login(Some(&config), "empty.io/x"), Login::None);
        assert_eq!(login(Some(&config), "ecr.io/x"), Login::Helper("ecr-login".into(), "ecr.io".into()));
        assert_eq!(login(None, "nginx"), Login::None);
    }
}
