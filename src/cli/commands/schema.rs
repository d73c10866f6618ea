//! `schema`

use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::config::describe;

/// Runs it.
pub fn run(ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    ctx.out.json(&describe::schema())?;
    Ok(ExitStatus::Done)
}
