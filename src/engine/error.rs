//! What can go wrong with an engine, in words, and what to do next.

use bollard::errors::Error;

use crate::diagnose;

/// Why a call failed, as far as anybody acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No engine answers there, or it went away during the call.
    NotReachable,
    /// The engine is there, but we may not talk to it.
    Permission,
    /// No such container, network, volume.
    NotFound,
    /// The object is there already, is in use, or is in the wrong state.
    Conflict,
    /// A port of the host is taken.
    PortTaken,
    /// A network's addresses, or one address on it, are taken.
    AddressTaken,
    /// The engine's disk is full.
    NoSpace,
    /// The registry refuses us (or does not say whether the image exists).
    ImageDenied,
    /// The registry or the engine does not have the image.
    ImageNotFound,
    /// The program to run is not in the image.
    NoSuchCommand,
    /// A build step failed, or the Dockerfile needs a builder that is not there.
    Build,
    /// The engine did not answer in time.
    Timeout,
    /// Anything else.
    Other,
}

/// A call to the engine failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {doing}: {message}")]
pub struct EngineError {
    /// Why.
    pub kind: ErrorKind,
    /// What we were doing, as the rest of "could not …".
    pub doing: String,
    /// The engine's own words.
    pub message: String,
    /// The last lines of what it was about, if they were told with it: of a build's step.
    pub log: Vec<String>,
    hint: Option<String>,
}

impl EngineError {
    /// An error of ours.
    pub fn new(kind: ErrorKind, doing: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), message: message.into(), log: Vec::new(), hint: None }
    }

    /// With a next step that fits better than the kind's own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the last lines of what it was about.
    #[must_use]
    pub(super) fn with_log(mut self, log: Vec<String>) -> Self {
        self.log = log;
        self
    }

    /// With all its texts run through this.
    #[must_use]
    pub(super) fn edited(self, edit: impl Fn(&str) -> String) -> Self {
        let log = self.log.iter().map(|line| edit(line)).collect();
        Self { message: edit(&self.message), hint: self.hint.as_deref().map(&edit), log, ..self }
    }

    /// The engine's own words, classified; status 0 is a message in a stream.
    pub(super) fn answered(doing: impl Into<String>, status: u16, message: &str) -> Self {
        Self::new(classify(status, message), doing, tidy(message, status))
    }

    /// A connection of our own that failed.
    pub(super) fn lost(doing: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let chain = chain(error);
        let kind = match transport(&chain.join(": ")) {
            ErrorKind::Other => ErrorKind::NotReachable,
            kind => kind,
        };
        Self::new(kind, doing, chain.last().cloned().unwrap_or_default())
    }

    /// The client library's error, classified.
    pub(crate) fn from_bollard(doing: impl Into<String>, error: &Error) -> Self {
        let (kind, message) = match error {
            Error::DockerResponseServerError { status_code, message } => {
                (classify(*status_code, message), tidy(message, *status_code))
            }
            Error::DockerStreamError { error } => (classify(0, error), tidy(error, 0)),
            Error::RequestTimeoutError => (ErrorKind::Timeout, "the engine did not answer in time".to_owned()),
            Error::SocketNotFoundError(path) => (ErrorKind::NotReachable, format!("there is no socket {path}")),
            Error::JsonDataError { message, .. } => (ErrorKind::Other, format!("the answer makes no sense: {message}")),
            Error::JsonSerdeError { err } => (ErrorKind::Other, format!("the answer makes no sense: {err}")),
            other => {
                let chain = chain(other);
                (transport(&chain.join(": ")), chain.last().cloned().unwrap_or_default())
            }
        };
        Self::new(kind, doing, message)
    }

    /// Whether more is known than its kind: somebody has said what to do, or the engine's words are those of a cause.
    pub(super) fn is_explained(&self) -> bool {
        self.hint.is_some() || diagnose::of_engine(&self.message).is_some()
    }

    /// What to do next, in words.
    pub fn hint(&self) -> Option<String> {
        if let Some(hint) = &self.hint {
            return Some(hint.clone());
        }
        // The table of causes knows more than the kind does.
        if let Some(found) = diagnose::of_engine(&self.message) {
            return Some(found.cause.step.to_owned());
        }
        let text = match self.kind {
            ErrorKind::NotReachable => {
                "is the engine running (`systemctl status docker`)? `DOCKER_HOST`, `--host` or the stage's `host` \
                 choose another one"
            }
            ErrorKind::Permission => {
                "add yourself to the `docker` group (`sudo usermod -aG docker $USER`, then log in again), or run as root"
            }
            ErrorKind::Timeout => {
                "the engine is busy or stuck; try again, and look at its log (`journalctl -u docker`)"
            }
            ErrorKind::PortTaken
            | ErrorKind::AddressTaken
            | ErrorKind::NoSpace
            | ErrorKind::ImageDenied
            | ErrorKind::ImageNotFound
            | ErrorKind::NoSuchCommand
            | ErrorKind::Build => return None,
            ErrorKind::NotFound | ErrorKind::Conflict => {
                "somebody else may be at work on the same things: look with `stackctl status`, then run it again"
            }
            ErrorKind::Other => {
                "run it again: it goes on where this run stopped; if the engine says the same, its log tells more \
                 (`journalctl -u docker`)"
            }
        };
        Some(text.to_owned())
    }
}

/// Texts that say more than the status code; engines 20.10 to 29 where they differ. The first that matches wins.
const TEXTS: &[(&str, ErrorKind)] = &[
    ("no space left on device", ErrorKind::NoSpace),
    ("disk quota exceeded", ErrorKind::NoSpace),
    ("port is already allocated", ErrorKind::PortTaken),
    ("ports are not available", ErrorKind::PortTaken),
    ("failed to bind host port", ErrorKind::PortTaken),
    ("listen tcp", ErrorKind::PortTaken),
    ("bind: address already in use", ErrorKind::PortTaken),
    ("pool overlaps with other one", ErrorKind::AddressTaken),
    // Podman's words.
    ("is already used on the host or by another config", ErrorKind::AddressTaken),
    ("address already in use", ErrorKind::AddressTaken),
    ("address is already in use", ErrorKind::AddressTaken),
    ("already in use by container", ErrorKind::Conflict),
    ("to be able to reuse that name", ErrorKind::Conflict),
    ("pull access denied", ErrorKind::ImageDenied),
    ("unauthorized", ErrorKind::ImageDenied),
    ("authentication required", ErrorKind::ImageDenied),
    ("no basic auth credentials", ErrorKind::ImageDenied),
    ("denied: requested access", ErrorKind::ImageDenied),
    ("error from registry: denied", ErrorKind::ImageDenied),
    ("insufficient_scope", ErrorKind::ImageDenied),
    ("manifest unknown", ErrorKind::ImageNotFound),
    ("no such image", ErrorKind::ImageNotFound),
    ("no matching manifest", ErrorKind::ImageNotFound),
    ("repository name not known to registry", ErrorKind::ImageNotFound),
    ("executable file not found", ErrorKind::NoSuchCommand),
    ("no such file or directory: unknown", ErrorKind::NoSuchCommand),
    ("exec format error", ErrorKind::NoSuchCommand),
    ("permission denied while trying to connect", ErrorKind::Permission),
];

/// The kind of an answer; status 0 is a message in a stream.
pub(crate) fn classify(status: u16, message: &str) -> ErrorKind {
    let lower = message.to_lowercase();
    if let Some((_, kind)) = TEXTS.iter().find(|(text, _)| lower.contains(text)) {
        return *kind;
    }
    if lower.contains("manifest for ") && lower.contains("not found") {
        return ErrorKind::ImageNotFound;
    }
    match status {
        403 if !lower.contains("endpoint") => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        504 => ErrorKind::Timeout,
        _ => ErrorKind::Other,
    }
}

fn transport(message: &str) -> ErrorKind {
    let lower = message.to_lowercase();
    if lower.contains("permission denied") {
        ErrorKind::Permission
    } else if lower.contains("no space left") {
        ErrorKind::NoSpace
    } else if ["connection refused", "connection reset", "broken pipe", "no such file", "connection closed", "connect)"]
        .iter()
        .any(|text| lower.contains(text))
        || lower.contains("unexpected end of file")
        || lower.contains("error reading a body")
        || lower.contains("incomplete")
    {
        ErrorKind::NotReachable
    } else {
        ErrorKind::Other
    }
}

/// The error and its causes: the client library's outermost words alone say nothing, the innermost say what happened.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        texts.push(inner.to_string());
        source = inner.source();
    }
    texts
}

fn tidy(message: &str, status: u16) -> String {
    let text = message.trim();
    if text.is_empty() { format!("the engine answered {status} without a reason") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_old_and_new_engines() {
        use ErrorKind as K;
        for (status, text, kind) in [
            (
                500,
                "driver failed programming external connectivity on endpoint x (ab): Bind for 0.0.0.0:80 failed: port is already allocated",
                K::PortTaken,
            ),
            (
                500,
                "failed to set up container networking: driver failed programming external connectivity on endpoint x: failed to bind host port 0.0.0.0:80/tcp: address already in use",
                K::PortTaken,
            ),
            (
                500,
                "driver failed programming external connectivity on endpoint x (ab): Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                K::PortTaken,
            ),
            (
                403,
                "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:1 failed: port is already allocated",
                K::PortTaken,
            ),
            (403, "Address already in use", K::AddressTaken),
            (500, "failed to set up container networking: Address already in use", K::AddressTaken),
            (403, "Pool overlaps with other one on this address space", K::AddressTaken),
            (403, "invalid pool request: Pool overlaps with other one on this address space", K::AddressTaken),
            (
                409,
                "Conflict. The container name \"/x\" is already in use by container \"ab\". You have to remove (or rename) that container to be able to reuse that name.",
                K::Conflict,
            ),
            (
                500,
                "container create: creating container storage: the container name \"x\" is already in use by ab. You have to remove that container to be able to reuse that name: that name is already in use",
                K::Conflict,
            ),
            (403, "subnet 10.83.0.0/24 is already used on the host or by another config", K::AddressTaken),
            (
                404,
                "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                K::ImageDenied,
            ),
            (404, "manifest for nginx:nope not found: manifest unknown: manifest unknown", K::ImageNotFound),
            (404, "No such image: x:1", K::ImageNotFound),
            (404, "No such container: x", K::NotFound),
            (
                400,
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"x\": executable file not found in $PATH: unknown",
                K::NoSuchCommand,
            ),
            (
                400,
                "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: \"/x\": stat /x: no such file or directory: unknown",
                K::NoSuchCommand,
            ),
            (500, "write /v/x: no space left on device", K::NoSpace),
            (0, "Error response from daemon: unauthorized: authentication required", K::ImageDenied),
            (403, "authorization denied by plugin", K::Permission),
            (500, "something", K::Other),
        ] {
            assert_eq!(classify(status, text), kind, "{text}");
        }
    }

    #[test]
    fn every_kind_that_a_text_tells_has_a_next_step() {
        // A conflict is settled by whoever meets it.
        for (text, kind) in TEXTS.iter().filter(|(_, kind)| *kind != ErrorKind::Conflict) {
            let error = EngineError::new(*kind, "x", format!("the engine: {text} (and more)"));
            assert!(error.hint().is_some(), "{text}");
        }
    }

    #[test]
    fn an_empty_answer_is_said_to_be_one() {
        let error = Error::DockerResponseServerError { status_code: 500, message: String::new() };
        let error = EngineError::from_bollard("list containers", &error);
        assert_eq!(error.to_string(), "could not list containers: the engine answered 500 without a reason");
    }
}
