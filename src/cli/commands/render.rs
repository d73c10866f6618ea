//! `render`

use crate::cli::args::RenderArgs;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::run::Context;
use crate::ui::error::Failure;

/// Runs it.
pub fn run(_args: &RenderArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    load::stack(ctx)?;
    Err(Failure::failed("`render` is not there yet").into())
}
