//! Building images: which builder the engine has, what it can do, and the classic one.

use std::collections::{HashMap, VecDeque};

use bollard::auth::DockerCredentials;
use bollard::query_parameters::BuildImageOptions;
use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;

use crate::model::service::Build;

pub use super::building::{BuildNews, Wanted};
use super::building::{SILENCE, masked};
use super::capability::Capability;
use super::connect::Engine;
use super::dockerfile::{self, Need};
use super::error::{EngineError, ErrorKind};
use super::registry;

/// How many of a step's last lines are kept for an error.
const LAST_LINES: usize = 15;

/// Who builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Builder {
    BuildKit,
    Classic,
    /// Podman's: behind the classic call, and with a Dockerfile's newer words.
    Buildah,
}

impl Engine {
    /// Builds an image from a context (a tar), tags and labels it, and returns its ID. What the builder says goes to
    /// `tell`, without secrets.
    pub async fn build(
        &self,
        wanted: Wanted<'_>,
        context: Vec<u8>,
        tell: &mut dyn FnMut(BuildNews),
    ) -> Result<String, EngineError> {
        let Wanted { build, tag, secrets, .. } = wanted;
        let doing = format!("build {tag} from {}", build.context);
        let refuse = |message: String| EngineError::new(ErrorKind::Build, &doing, message);
        let text = dockerfile::in_context(&context, &build.dockerfile)
            .ok_or_else(|| refuse(format!("there is no {} in the context", build.dockerfile)))?;
        let builder = self.builder(&doing).await?;
        if let Some(error) = self.unable(builder, wanted, &text, &doing) {
            return Err(error);
        }
        let mut tell = |news: BuildNews| {
            tell(match news {
                BuildNews::Step(text) => BuildNews::Step(masked(&text, secrets)),
                BuildNews::Line(text) => BuildNews::Line(masked(&text, secrets)),
            });
        };
        let built = match builder {
            Builder::BuildKit => Box::pin(self.build_with_buildkit(&wanted, context, &doing, &mut tell)).await,
            Builder::Classic | Builder::Buildah => {
                Box::pin(self.build_classic(&wanted, context, &text, &doing, &mut tell)).await
            }
        };
        built.map_err(|error| error.edited(|text| masked(text, secrets)))?;
        match self.image(tag).await? {
            Some(image) => Ok(image.id),
            None => Err(refuse("the build ended, but the image is not there".to_owned())),
        }
    }

    /// The builder the engine recommends. Engines before 23.0 say nothing unless their settings do, and have BuildKit.
    async fn builder(&self, doing: &str) -> Result<Builder, EngineError> {
        let ask = self.raw(doing, self.request("GET", "/_ping"), Bytes::new());
        let answer = tokio::time::timeout(self.time_limit(), ask).await;
        let answer = answer.map_err(|_| {
            EngineError::new(ErrorKind::Timeout, doing, "the engine did not say which builder it has")
        })??;
        Ok(recommended(answer.headers(), self.can(Capability::BuildKit)))
    }

    /// Why this builder cannot build this.
    fn unable(&self, builder: Builder, wanted: Wanted<'_>, text: &str, doing: &str) -> Option<EngineError> {
        let Build { dockerfile, context, .. } = wanted.build;
        let refuse =
            |message: String, hint: String| Some(EngineError::new(ErrorKind::Build, doing, message).with_hint(hint));
        if builder != Builder::BuildKit && !wanted.secrets.is_empty() {
            let names = wanted.secrets.keys().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            return refuse(
                format!("the build has secrets ({names}), which need BuildKit"),
                format!("{TURN_ON}; as a build argument, a secret would stay in the image"),
            );
        }
        match builder {
            Builder::Buildah => None,
            Builder::Classic => {
                let Need { line, what, .. } = dockerfile::needs(text).into_iter().next()?;
                refuse(
                    format!("{dockerfile}:{line}: {what} needs BuildKit"),
                    format!(
                        "{TURN_ON}; or build it elsewhere with `docker buildx build -t NAME {context}`, and write \
                         `image = \"NAME\"` instead of `build`"
                    ),
                )
            }
            Builder::BuildKit => {
                let mut needs = dockerfile::needs(text).into_iter();
                let Need { line, what, capability } = needs.find(|need| !self.can(need.capability))?;
                if dockerfile::names_its_reader(text) {
                    return None;
                }
                let since = capability.row().engine;
                refuse(
                    format!(
                        "{dockerfile}:{line}: {what} needs Docker Engine {since}, and this is {}",
                        self.facts().version
                    ),
                    "write `# syntax=docker/dockerfile:1` as the first line: the engine then fetches a newer reader \
                     of Dockerfiles from its registry; or rewrite the line without it"
                        .to_owned(),
                )
            }
        }
    }

    async fn build_classic(
        &self,
        wanted: &Wanted<'_>,
        context: Vec<u8>,
        dockerfile: &str,
        doing: &str,
        tell: &mut dyn FnMut(BuildNews),
    ) -> Result<(), EngineError> {
        let Wanted { build, tag, labels, .. } = *wanted;
        let options = BuildImageOptions {
            dockerfile: build.dockerfile.clone(),
            t: Some(tag.to_owned()),
            rm: true,
            forcerm: true,
            buildargs: Some(build.args.clone().into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            target: build.target.clone().unwrap_or_default(),
            platform: build.platform.clone().unwrap_or_default(),
            ..BuildImageOptions::default()
        };
        let logins = self.logins(dockerfile).await;
        let mut output = self.docker.build_image(options, logins, Some(bollard::body_full(Bytes::from(context))));
        let mut last: VecDeque<String> = VecDeque::new();
        let fail = |message: String, mut last: VecDeque<String>| {
            let step = last.pop_front().unwrap_or_default();
            let mut error = EngineError::answered(doing, 0, &message);
            if matches!(error.kind, ErrorKind::Other | ErrorKind::NoSuchCommand) {
                error.kind = ErrorKind::Build;
            }
            if !step.is_empty() {
                error.message = format!("{step}: {}", error.message);
            }
            error.with_log(last.into())
        };
        loop {
            match tokio::time::timeout(SILENCE, output.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(info))) => {
                    if let Some(message) = info.error_detail.and_then(|e| e.message) {
                        return Err(fail(message, last));
                    }
                    let text = info.stream.or(info.status).unwrap_or_default();
                    for line in text.lines().filter(|line| !line.trim().is_empty()) {
                        if line.starts_with("Step ") {
                            last = VecDeque::from([line.trim().to_owned()]);
                            tell(BuildNews::Step(line.trim().to_owned()));
                        } else {
                            if last.len() > LAST_LINES {
                                last.remove(1);
                            }
                            last.push_back(line.to_owned());
                            tell(BuildNews::Line(line.to_owned()));
                        }
                    }
                }
                Ok(Some(Err(bollard::errors::Error::DockerStreamError { error }))) => return Err(fail(error, last)),
                Ok(Some(Err(error))) => {
                    let mut error = EngineError::from_bollard(doing, &error);
                    if matches!(error.kind, ErrorKind::Other | ErrorKind::NoSuchCommand) {
                        error.kind = ErrorKind::Build;
                    }
                    return Err(error);
                }
                Err(_) => {
                    let message = format!("the builder said nothing for {} minutes", SILENCE.as_secs() / 60);
                    return Err(EngineError::new(ErrorKind::Timeout, doing, message));
                }
            }
        }
    }

    /// Logins to the registries that a Dockerfile names: the classic builder cannot ask for them later.
    async fn logins(&self, dockerfile: &str) -> Option<HashMap<String, DockerCredentials>> {
        let mut out = HashMap::new();
        for line in dockerfile.lines() {
            let mut words = line.split_whitespace();
            if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("FROM")) {
                continue;
            }
            let Some(base) = words.find(|word| !word.starts_with("--")) else { continue };
            if let (Some(found), _) = self.login_at(registry::registry_of(base)).await {
                out.insert(found.serveraddress.clone().unwrap_or_default(), found);
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// Credentials for a registry by its host; beside them, why a helper that keeps some cannot be asked.
    pub(super) async fn login_at(&self, host: &str) -> (Option<DockerCredentials>, Option<String>) {
        // Docker Hub's registry has another name than its images have.
        let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
        self.login(&format!("{host}/x")).await
    }
}

const TURN_ON: &str = "turn BuildKit on in the engine's settings (`\"features\": {\"buildkit\": true}` in \
                       /etc/docker/daemon.json, then restart it)";

fn recommended(head: &HeaderMap, has_buildkit: bool) -> Builder {
    let says = |name: &str| head.get(name).and_then(|value| value.to_str().ok());
    if says("server").is_some_and(|server| server.starts_with("Libpod")) {
        return Builder::Buildah;
    }
    match says("builder-version") {
        Some("2") => Builder::BuildKit,
        None if has_buildkit && says("server").is_some_and(|server| server.starts_with("Docker")) => Builder::BuildKit,
        _ => Builder::Classic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_by_what_engines_say() {
        for (head, builder) in [
            (&[("server", "Docker/20.10.24 (linux)")][..], Builder::BuildKit),
            (&[("server", "Docker/20.10.24 (linux)"), ("builder-version", "1")], Builder::Classic),
            (&[("server", "Docker/29.1 (linux)"), ("builder-version", "2")], Builder::BuildKit),
            (&[("server", "Libpod/4.3.1 (linux)"), ("builder-version", "")], Builder::Buildah),
            (&[("server", "Docker/23.0 (windows)"), ("builder-version", "1")], Builder::Classic),
            (&[], Builder::Classic),
        ] {
            let head: HeaderMap = head
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
                .collect();
            assert_eq!(recommended(&head, true), builder, "{head:?}");
        }
    }
}
