//! What every command gets, and how it hears that it shall stop.

use crate::base::env::Env;
use crate::ui::output::Output;

use super::settings::Settings;

/// What every command gets.
pub struct Context<'a> {
    /// What the process was started with.
    pub env: &'a Env,
    /// What was asked for.
    pub settings: &'a Settings,
    /// Where to show it.
    pub out: &'a Output,
}

/// Ends when the user (Ctrl-C) or the system (SIGTERM) asks the process to stop.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending::<()>().await },
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
