//! Building images with the engine's classic builder.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::BuildImageOptions;
use bytes::Bytes;
use futures_util::StreamExt;

use crate::model::service::Build;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};

/// How long a build step may say nothing before it counts as stuck.
const SILENCE: Duration = Duration::from_secs(1800);

impl Engine {
    /// Builds an image from a context (a tar), tags and labels it, and returns its ID. Each line the builder prints
    /// goes to `progress`.
    pub async fn build(
        &self,
        build: &Build,
        context: Vec<u8>,
        tag: &str,
        labels: &BTreeMap<String, String>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<String, EngineError> {
        let doing = format!("build {tag} from {}", build.context);
        let refuse = |message: String| EngineError::new(ErrorKind::Build, &doing, message);
        let dockerfile = dockerfile(&context, &build.dockerfile)
            .ok_or_else(|| refuse(format!("there is no {} in the context", build.dockerfile)))?;
        if let Some((line, what)) = needs_buildkit(&dockerfile) {
            return Err(refuse(format!("{}:{line}: {what} needs BuildKit", build.dockerfile)).with_hint(format!(
                "build it with `docker buildx build -t NAME {}`, then write `image = \"NAME\"` instead of `build`; \
                 or rewrite that line without it",
                build.context
            )));
        }
        let options = BuildImageOptions {
            dockerfile: build.dockerfile.clone(),
            t: Some(tag.to_owned()),
            rm: true,
            forcerm: true,
            buildargs: Some(build.args.clone().into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            target: build.target.clone().unwrap_or_default(),
            ..BuildImageOptions::default()
        };
        let mut output = self.docker.build_image(options, None, Some(bollard::body_full(Bytes::from(context))));
        loop {
            match tokio::time::timeout(SILENCE, output.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(info))) => {
                    if let Some(message) = info.error_detail.and_then(|e| e.message) {
                        return Err(refuse(message));
                    }
                    let text = info.stream.or(info.status).unwrap_or_default();
                    text.lines().filter(|line| !line.trim().is_empty()).for_each(&mut *progress);
                }
                Ok(Some(Err(error))) => {
                    let mut error = EngineError::from_bollard(&doing, &error);
                    if matches!(error.kind, ErrorKind::Other | ErrorKind::NoSuchCommand) {
                        error.kind = ErrorKind::Build;
                    }
                    return Err(error);
                }
                Err(_) => {
                    let message = format!("the builder said nothing for {} minutes", SILENCE.as_secs() / 60);
                    return Err(EngineError::new(ErrorKind::Timeout, &doing, message));
                }
            }
        }
        match self.image(tag).await? {
            Some(image) => Ok(image.id),
            None => Err(refuse("the build ended, but the image is not there".to_owned())),
        }
    }
}

fn dockerfile(context: &[u8], path: &str) -> Option<String> {
    let wanted = Path::new(path.trim_start_matches("./"));
    for entry in tar::Archive::new(context).entries().ok()? {
        let mut entry = entry.ok()?;
        if entry.path().is_ok_and(|p| p == wanted) {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).ok()?;
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
    }
    None
}

/// The first line the classic builder cannot do, and what it is.
pub(crate) fn needs_buildkit(dockerfile: &str) -> Option<(usize, String)> {
    let mut continued = false;
    for (index, line) in dockerfile.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let starts = !continued;
        continued = trimmed.ends_with('\\') || trimmed.ends_with('`');
        if !starts {
            continue;
        }
        let (instruction, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let instruction = instruction.to_ascii_uppercase();
        let flags: Vec<&str> = rest.split_whitespace().take_while(|word| word.starts_with("--")).collect();
        let flag = |names: &[&str]| {
            flags
                .iter()
                .map(|flag| flag.split_once('=').map_or(*flag, |(name, _)| name))
                .find(|flag| names.contains(flag))
                .map(|flag| format!("`{instruction} {flag}`"))
        };
        let found = match instruction.as_str() {
            "RUN" => flag(&["--mount", "--network", "--security"]).or_else(|| heredoc(&instruction, rest)),
            "COPY" => flag(&["--link", "--parents", "--exclude", "--chmod"]).or_else(|| heredoc(&instruction, rest)),
            "ADD" => flag(&["--link", "--checksum", "--keep-git-dir", "--exclude", "--chmod"])
                .or_else(|| heredoc(&instruction, rest)),
            _ => None,
        };
        if let Some(what) = found {
            return Some((index + 1, what));
        }
    }
    None
}

/// `<<EOF`, `<<-EOF`, `<<"EOF"` as a word of its own; `<<<` and arithmetic shifts are none.
fn heredoc(instruction: &str, rest: &str) -> Option<String> {
    let is_one = |word: &str| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
        word.strip_prefix("<<").is_some_and(|name| {
            let name = name.strip_prefix('-').unwrap_or(name);
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"' || c == '\'')
        })
    };
    // A shell's own here-document works in the classic builder only if the whole of it is on continued lines.
    rest.split_whitespace().any(is_one).then(|| format!("`{instruction} <<` (a here-document)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_classic_builder_cannot_do_is_named_with_its_line() {
        for (text, line) in [
            ("FROM a\nRUN --mount=type=cache,target=/x make", Some(2)),
            ("FROM a\n\nrun --network=none make", Some(3)),
            ("FROM a\nRUN <<EOF\nx\nEOF", Some(2)),
            ("FROM a\nCOPY <<-\"EOF\" /x\ny\nEOF", Some(2)),
            ("FROM a\nCOPY --link a b", Some(2)),
            ("FROM a\nCOPY --chmod=755 a b", Some(2)),
            ("FROM a\nCOPY --from=b --chown=1:1 a b\nRUN echo --mount $((1 << 2)) \\\n  --mount", None),
            ("FROM a\n# RUN --mount=x\nRUN cat <<< x", None),
        ] {
            assert_eq!(needs_buildkit(text).map(|f| f.0), line, "{text}");
        }
    }
}
