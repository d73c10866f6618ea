//! What commands that talk to an engine share: who runs them, which engine, which stack.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::apply::secrets::Outside;
use crate::apply::{ApplyError, Wanted};
use crate::base::env::Env;
use crate::base::secret::Secret;
use crate::engine::send::Here;
use crate::engine::{Engine, EngineError};
use crate::files::encrypted::{self, Keyring};
use crate::plan::PlanError;
use crate::ui;
use crate::ui::error::{Failure, Kind};
use crate::ui::text::clean;

use super::context::Context;
use super::exit::ExitStatus;
use super::load::Source;

/// Variable that names a registry which stands in for Docker Hub.
const MIRROR: &str = "STACKCTL_REGISTRY_MIRROR";

/// Connects to the engine of a stack.
pub async fn connect(ctx: &Context<'_>, source: &Source) -> anyhow::Result<Engine> {
    let engine = ctx.settings.engine(Some(&source.stack), ctx.env);
    Ok(Engine::connect(engine.address.as_deref(), ctx.env).await.map_err(|error| {
        let mut failure = Failure::failed(error.to_string());
        failure.hints.extend(error.hint());
        failure
    })?)
}

/// What `up` and its like work from.
pub fn wanted(ctx: &Context<'_>, source: &Source) -> Wanted {
    Wanted {
        stack: source.stack.clone(),
        variables: source.variables.clone(),
        folder: source.folder.clone(),
        file: ctx.settings.path.clone(),
        mirror: ctx.env.var(MIRROR).map(str::to_owned),
        by: who(ctx.env),
        text: source.text.clone(),
        // Asking Git takes its time; only what is recorded needs it.
        commit: None,
        locked: source.lock.clone(),
        past: None,
        outside: Outside::new(keyring(ctx)),
        look_into_files: false,
        here: Here::new(ctx.env),
    }
}

/// Where this person's identities for encrypted files may be.
pub fn keyring(ctx: &Context<'_>) -> Keyring {
    Keyring {
        text: ctx.env.var(encrypted::IDENTITY).map(Secret::new),
        named: ctx.env.var(encrypted::IDENTITY_FILE).map(|path| ctx.env.cwd.join(path)),
        home: ctx.env.var("HOME").map(std::path::PathBuf::from),
    }
}

/// The commit of a folder, where it is a Git checkout and Git is there to be asked; `-dirty` if files differ from it.
pub fn commit(folder: &std::path::Path) -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .current_dir(folder)
        // Somebody else may be at work in the same checkout.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(std::process::Stdio::null())
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    let text = clean(String::from_utf8_lossy(&output.stdout).trim());
    (!text.is_empty()).then_some(text)
}

/// A commit as people read it: the first 12 digits, and `-dirty`.
pub fn shown(commit: &str) -> String {
    let (name, dirty) = commit.strip_suffix("-dirty").map_or((commit, ""), |name| (name, "-dirty"));
    clean(&format!("{}{dirty}", name.get(..12).unwrap_or(name)))
}

/// User and host: for the lock and the release's record.
fn who(env: &Env) -> String {
    let user = env.var("USER").or(env.var("LOGNAME")).unwrap_or("somebody");
    let host = env.var("HOSTNAME").map(str::to_owned).or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.map(|h| h.trim().to_owned()).filter(|h| !h.is_empty());
    clean(&host.map_or_else(|| user.to_owned(), |host| format!("{user}@{host}")))
}

/// `NAME=value`, or `NAME` alone for the value it has here.
pub fn environment(pair: &str, env: &Env) -> String {
    if pair.contains('=') { pair.to_owned() } else { format!("{pair}={}", env.var(pair).unwrap_or_default()) }
}

/// A command that ended with this code.
pub fn command_status(code: i64) -> ExitStatus {
    ExitStatus::Command(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A command that is not there, or cannot be run: told, with a shell's exit codes.
pub fn cannot_run(error: &EngineError, ctx: &Context<'_>) -> ExitStatus {
    let mut failure = Failure::failed(error.to_string());
    failure.hints.extend(error.hint());
    ui::error::show(&failure.into(), ctx.out);
    ExitStatus::Command(if error.message.contains("permission denied") { 126 } else { 127 })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// An error of a deploy as a failure of the command: kind, log lines, next step.
pub fn failure(error: &ApplyError) -> Failure {
    let kind = match error {
        ApplyError::Locked { .. } => Kind::Locked,
        ApplyError::WrongStage { .. }
        | ApplyError::NeedsConsent
        | ApplyError::Stale(_)
        | ApplyError::Plan(PlanError::ForeignData(_)) => Kind::Refused,
        ApplyError::Secrets(_) => Kind::Usage,
        ApplyError::Interrupted => Kind::Interrupted,
        _ => Kind::Failed,
    };
    let hint = error.hint();
    let mut message = match error {
        ApplyError::Locked { by, seconds } => {
            format!("another run is at work on this stack: {by}, for {seconds} s")
        }
        other => other.to_string(),
    };
    let mut failure = Failure::new(kind, String::new());
    if let ApplyError::Step(step) = error {
        if !step.log.is_empty() {
            // A step of a build has no container that anybody could look for.
            let of = step.container.as_ref().map(|container| format!(" of {container}")).unwrap_or_default();
            message.extend(["\nlast lines", &of, ":"]);
            for line in &step.log {
                message.extend(["\n  | ", &clean(line)]);
            }
        }
        if !step.aftermath.is_empty() {
            message.push('\n');
            message.push_str(&step.aftermath);
        }
    }
    failure.message = message;
    failure.hints.extend(hint);
    failure
}
