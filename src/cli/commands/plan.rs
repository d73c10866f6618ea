//! `plan`

use crate::cli::args::PlanArgs;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::run::Context;
use crate::ui::error::Failure;

/// Runs it.
#[expect(clippy::unused_async, reason = "it talks to the engine")]
pub async fn run(_args: &PlanArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    load::stack(ctx)?;
    Err(Failure::failed("`plan` is not there yet").into())
}
