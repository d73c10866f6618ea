//! One deploy at a time. The lock is a container with a fixed name that lives as long as our connection to its
//! input: creating it is atomic, and the engine frees it a moment after the holder died, however it died.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::query_parameters::{AttachContainerOptions, RemoveContainerOptions};
use futures_util::StreamExt;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::base::name::ProjectName;
use crate::model::container::label;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;

/// How long a lock may stay created but not started before its holder counts as dead.
const START_GRACE: Duration = Duration::from_secs(3);

/// How often we look again while a lock goes away.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why there is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("the lock is held by {by}")]
    Held {
        /// Who.
        by: String,
        /// Since when, seconds since 1970; 0 if that is not known.
        since: u64,
    },
    /// The engine could not give it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A held lock. Dropping it frees it too, a little later.
pub struct Lock {
    engine: Engine,
    id: String,
    open: Arc<AtomicBool>,
    watcher: JoinHandle<()>,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock").field("id", &self.id).field("open", &self.is_open()).finish_non_exhaustive()
    }
}

/// What is there under the lock's name.
enum Found {
    Nothing,
    Held { by: String, since: u64 },
    NotStarted { id: String },
    Leaving,
}

impl Engine {
    /// Takes the project's lock, as `holder` (user and host), at `since` (seconds since 1970).
    pub async fn lock(&self, project: &ProjectName, holder: &str, since: u64) -> Result<Lock, LockError> {
        let name = lock_name(project);
        let deadline = Instant::now() + START_GRACE;
        let mut body = holder::body(
            [
                (label::PROJECT.to_owned(), project.to_string()),
                (label::ROLE.to_owned(), "lock".to_owned()),
                (label::HOLDER.to_owned(), holder.to_owned()),
                (label::SINCE.to_owned(), since.to_string()),
            ],
            None,
        );
        body.open_stdin = Some(true);
        body.stdin_once = Some(true);
        body.attach_stdin = Some(true);
        if let Some(config) = &mut body.host_config {
            config.auto_remove = Some(true);
        }
        let id = loop {
            match self.create_holder("take the lock", &name, body.clone()).await {
                Ok(id) => break id,
                Err(error) if error.kind == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
            let late = Instant::now() >= deadline;
            match self.find_lock(&name).await? {
                Found::Nothing => {}
                Found::Held { by, since } => return Err(LockError::Held { by, since }),
                // Its holder died between creating and starting it: nobody else starts it by now.
                Found::NotStarted { id } if late => self.remove_lock(&id).await?,
                Found::Leaving if late => {
                    let message = format!("the container {name} neither runs nor goes away");
                    return Err(EngineError::new(ErrorKind::Conflict, "take the lock", message)
                        .with_hint(format!("`docker rm -f {name}` removes it"))
                        .into());
                }
                Found::NotStarted { .. } | Found::Leaving => sleep(LOOK_AGAIN).await,
            }
        };
        match self.hold(id.clone()).await {
            Ok(lock) => Ok(lock),
            Err(error) => {
                // The first error is the one to tell; the next one to come removes what is left.
                let _ = self.remove_lock(&id).await;
                Err(error.into())
            }
        }
    }

    async fn hold(&self, id: String) -> Result<Lock, EngineError> {
        let options = AttachContainerOptions { stream: true, stdin: true, stdout: true, ..Default::default() };
        let attach = self.docker.attach_container(&id, Some(options));
        let AttachContainerResults { mut output, input } = self.call("hold the lock", attach).await?;
        self.call("hold the lock", self.docker.start_container(&id, None)).await?;
        let open = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&open);
        let watcher = tokio::spawn(async move {
            while output.next().await.is_some_and(|line| line.is_ok()) {}
            seen.store(false, Ordering::Release);
        });
        Ok(Lock { engine: self.clone(), id, open, watcher, input: Some(input) })
    }

    async fn find_lock(&self, name: &str) -> Result<Found, EngineError> {
        let info = match self.call("see who holds the lock", self.docker.inspect_container(name, None)).await {
            Ok(info) => info,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let labels = info.config.and_then(|c| c.labels).unwrap_or_default();
        let status = info.state.and_then(|s| s.status).map(|s| s.to_string()).unwrap_or_default();
        Ok(match status.as_str() {
            "running" | "paused" => Found::Held {
                by: labels.get(label::HOLDER).cloned().unwrap_or_else(|| "somebody unknown".to_owned()),
                since: labels.get(label::SINCE).and_then(|s| s.parse().ok()).unwrap_or(0),
            },
            "created" => Found::NotStarted { id: info.id.unwrap_or_else(|| name.to_owned()) },
            _ => Found::Leaving,
        })
    }

    async fn remove_lock(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        match self.call("free the lock", self.docker.remove_container(id, Some(options))).await {
            // Gone, or on its way: the engine removes it by itself once its input is closed.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => Ok(()),
            other => other,
        }
    }
}

impl Lock {
    /// Whether it is still ours. To be asked before every call that changes something.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Frees it, and waits until its name is free.
    pub async fn release(mut self) -> Result<(), EngineError> {
        self.watcher.abort();
        self.input = None;
        self.engine.remove_lock(&self.id).await?;
        let deadline = Instant::now() + START_GRACE;
        while Instant::now() < deadline {
            match self.engine.find_lock(&self.id).await? {
                Found::Nothing => return Ok(()),
                _ => sleep(LOOK_AGAIN / 5).await,
            }
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Name of the project's lock.
pub fn lock_name(project: &ProjectName) -> String {
    format!("{project}-stackctl-lock")
}
