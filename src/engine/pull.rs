//! Pulling images.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::connect::Engine;
use super::context;
use super::error::{EngineError, ErrorKind};
use super::registry::{self, Login};

/// How long a pull may say nothing before it counts as stuck.
const SILENCE: Duration = Duration::from_secs(300);

/// What bollard 0.21 says at the end of a pull whose last line came in two pieces, although all is well.
const FALSE_ALARM: &str = "bytes remaining on stream";

/// How far a pull is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Layer, if the message is about one.
    pub layer: Option<String>,
    /// The engine's words: `Downloading`, `Extracting`, `Pull complete` …
    pub status: String,
    /// Bytes done.
    pub current: u64,
    /// Bytes in all; 0 if that is not known.
    pub total: u64,
}

impl Engine {
    /// Pulls an image. A reference without tag and digest means `latest`, never all tags.
    pub async fn pull(&self, reference: &str, progress: &mut dyn FnMut(PullProgress)) -> Result<(), EngineError> {
        let doing = format!("pull the image {reference}");
        let (credentials, silent) = self.login(reference).await;
        let options = CreateImageOptions { from_image: Some(with_tag(reference)), ..CreateImageOptions::default() };
        let docker = url_safe_auth(&self.docker);
        let mut lines = docker.create_image(Some(options), None, credentials);
        loop {
            match tokio::time::timeout(SILENCE, lines.next()).await {
                Ok(Some(Ok(line))) => {
                    let detail = line.progress_detail.unwrap_or_default();
                    let bytes = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
                    progress(PullProgress {
                        layer: line.id,
                        status: line.status.unwrap_or_default(),
                        current: bytes(detail.current),
                        total: bytes(detail.total),
                    });
                }
                Ok(None) => break,
                Ok(Some(Err(Error::IOError { err }))) if err.to_string() == FALSE_ALARM => break,
                Ok(Some(Err(error))) => {
                    return Err(with_login_hint(EngineError::from_bollard(doing, &error), silent, reference));
                }
                Err(_) => {
                    let message = format!("nothing happened for {} s", SILENCE.as_secs());
                    return Err(EngineError::new(ErrorKind::Timeout, doing, message)
                        .with_hint("check the engine's connection to the registry, then try again"));
                }
            }
        }
        // The end of the stream proves nothing (a cut connection ends it, too); the image does.
        match self.image(reference).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::new(ErrorKind::Other, doing, "the pull ended, but the image is not there")
                .with_hint("try again; if it stays so, look at the engine's log (`journalctl -u docker`)")),
        }
    }

    /// Digest of what the registry has by this reference now.
    pub async fn registry_digest(&self, reference: &str) -> Result<String, EngineError> {
        let doing = format!("ask the registry for {reference}");
        let (credentials, silent) = self.login(reference).await;
        let docker = url_safe_auth(&self.docker);
        let reference_with_tag = with_tag(reference);
        let asked = self.call(&doing, docker.inspect_registry_image(&reference_with_tag, credentials)).await;
        let found = asked.map_err(|error| with_login_hint(error, silent, reference))?;
        found.descriptor.digest.ok_or_else(|| EngineError::new(ErrorKind::Other, doing, "it told no digest"))
    }

    /// Credentials for an image's registry; beside them, why a helper that keeps some cannot be asked: that is told
    /// only if the registry wants any.
    pub(super) async fn login(&self, reference: &str) -> (Option<DockerCredentials>, Option<String>) {
        let config = context::config_file(self.config_folder.as_deref().map(std::path::PathBuf::as_path));
        match registry::login(config.as_ref(), reference) {
            Login::None => (None, None),
            Login::Known(known) => (Some(*known), None),
            Login::Helper(helper, server) => match registry::ask(&helper, &server).await {
                Ok(credentials) => (credentials, None),
                Err(why) => (None, Some(why)),
            },
        }
    }
}

/// bollard writes the credentials in the standard alphabet; the engine reads the URL-safe one and ignores what it
/// cannot read.
fn url_safe_auth(docker: &Docker) -> Docker {
    docker.clone().with_request_modifier(|mut request| {
        if let Some(value) = request.headers_mut().get_mut("x-registry-auth")
            && let Ok(text) = value.to_str()
            && let Ok(safe) = text.replace('+', "-").replace('/', "_").try_into()
        {
            *value = safe;
        }
        request
    })
}

fn with_tag(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    if name.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

fn with_login_hint(error: EngineError, silent: Option<String>, reference: &str) -> EngineError {
    match silent {
        Some(why) if error.kind == ErrorKind::ImageDenied => error.with_hint(why),
        // Whatever it was, it was between the engine and the registry.
        _ if error.kind == ErrorKind::Other && !error.is_explained() => error.with_hint(format!(
            "check the name of the image, and whether the engine reaches {}",
            registry::registry_of(reference)
        )),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tag_is_latest() {
        assert_eq!(with_tag("nginx"), "nginx:latest");
        assert_eq!(with_tag("r:5000/nginx"), "r:5000/nginx:latest");
        assert_eq!(with_tag("nginx:1"), "nginx:1");
        assert_eq!(with_tag("nginx@sha256:ab"), "nginx@sha256:ab");
    }
}
