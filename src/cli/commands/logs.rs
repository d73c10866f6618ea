//! `logs`

use crate::cli::args::LogsArgs;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::run::Context;
use crate::ui::error::Failure;

/// Runs it.
#[expect(clippy::unused_async, reason = "it talks to the engine")]
pub async fn run(_args: &LogsArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    load::stack(ctx)?;
    Err(Failure::failed("`logs` is not there yet").into())
}
