//! BuildKit, as the engine has it inside: one build call whose answer is a trace, and a session beside it.

mod proto;
mod session;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::base::base64;
use crate::model::secrets::percent_encode;
use crate::model::service::Build;

use super::building::{BuildNews, SILENCE, Wanted};
use super::connect::Engine;
use super::error::{EngineError, ErrorKind};

use session::Session;
use trace::Trace;

/// The longest line of the answer, bytes.
const LINE: usize = 16 << 20;

/// How long the engine may take to open a session.
const OPEN: Duration = Duration::from_secs(30);

impl Engine {
    /// Builds with BuildKit.
    pub(super) async fn build_with_buildkit(
        &self,
        wanted: &Wanted<'_>,
        context: Vec<u8>,
        doing: &str,
        tell: &mut dyn FnMut(BuildNews),
    ) -> Result<(), EngineError> {
        let late = |what: String| EngineError::new(ErrorKind::Timeout, doing, what);
        let open = Session::open(self, wanted.secrets.clone(), doing);
        let session = tokio::time::timeout(OPEN, open)
            .await
            .map_err(|_| late(format!("the engine opened no session within {} s", OPEN.as_secs())))??;
        let path = format!("/build?{}", query(wanted, &session.id));
        let request = self.request("POST", &path).header("Content-Type", "application/x-tar");
        let mut body = self.raw(doing, request, Bytes::from(context)).await?.into_body();
        let mut trace = Trace::default();
        let mut buffer = Vec::new();
        let mut failed = None;
        loop {
            let frame = match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(|error| EngineError::lost(doing, &error))?,
                Err(_) => return Err(late(format!("the builder said nothing for {} minutes", SILENCE.as_secs() / 60))),
            };
            let Ok(part) = frame.into_data() else { continue };
            buffer.extend_from_slice(&part);
            if buffer.len() > LINE {
                let message = "a line of the engine's answer does not end";
                return Err(EngineError::new(ErrorKind::Other, doing, message));
            }
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                failed = failed.or(hear(&line, &mut trace, tell));
            }
        }
        // The last line may have no end.
        failed = failed.or(hear(&buffer, &mut trace, tell));
        let Some(message) = failed else { return Ok(()) };
        let mut error = EngineError::answered(doing, 0, &message);
        if matches!(error.kind, ErrorKind::Other | ErrorKind::NoSuchCommand) {
            error.kind = ErrorKind::Build;
        }
        if let (ErrorKind::ImageDenied, Some(why)) = (error.kind, session.silent()) {
            error = error.with_hint(why);
        }
        if let Some((step, log)) = trace.failure() {
            error.message = format!("{step}: {}", without_frames(&error.message));
            error = error.with_log(log);
        }
        Err(error)
    }
}

/// Takes a line of the answer in; what went wrong, if it says so.
fn hear(line: &[u8], trace: &mut Trace, tell: &mut dyn FnMut(BuildNews)) -> Option<String> {
    let line: Value = serde_json::from_slice(line).ok()?;
    if let Some(message) = line.pointer("/errorDetail/message").or_else(|| line.get("error")) {
        return Some(message.as_str().unwrap_or_default().to_owned());
    }
    if line.get("id").and_then(Value::as_str) == Some("moby.buildkit.trace")
        && let Some(message) = line.get("aux").and_then(Value::as_str).and_then(base64::decoded)
    {
        trace.feed(&message, tell);
    }
    None
}

/// The engine's words for what happened to a step, without where in BuildKit it was: the step itself stands before them.
fn without_frames(message: &str) -> &str {
    let message = message.strip_prefix("failed to solve: ").unwrap_or(message);
    let message = message.strip_prefix("rpc error: code = Unknown desc = ").unwrap_or(message);
    match message.rfind("]: exit code: ") {
        Some(at) if message.starts_with("executor failed running [") => &message[at + 3..],
        _ => message.rsplit_once(" did not complete successfully: ").map_or(message, |(_, code)| code),
    }
}

fn query(wanted: &Wanted<'_>, session: &str) -> String {
    let Build { dockerfile, target, args, platform, .. } = wanted.build;
    let pairs = |map: &BTreeMap<String, String>| json!(map).to_string();
    let mut query = vec![
        ("version", "2".to_owned()),
        ("session", session.to_owned()),
        ("dockerfile", dockerfile.trim_start_matches("./").to_owned()),
        ("t", wanted.tag.to_owned()),
        ("buildargs", pairs(args)),
        ("labels", pairs(wanted.labels)),
    ];
    query.extend(target.clone().map(|target| ("target", target)));
    query.extend(platform.clone().map(|platform| ("platform", platform)));
    query.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_to_a_step_in_few_words() {
        for (said, left) in [
            ("executor failed running [/bin/sh -c exit 9]: exit code: 9", "exit code: 9"),
            (
                "failed to solve: process \"/bin/sh -c exit 9\" did not complete successfully: exit code: 9",
                "exit code: 9",
            ),
            (
                "failed to solve: rpc error: code = Unknown desc = executor failed running [/bin/sh -c x]: exit code: 127",
                "exit code: 127",
            ),
            (
                "failed to compute cache key: \"/x\" not found: not found",
                "failed to compute cache key: \"/x\" not found: not found",
            ),
        ] {
            assert_eq!(without_frames(said), left);
        }
    }
}
