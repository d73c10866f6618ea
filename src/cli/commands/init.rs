//! `init`

use crate::cli::args::InitArgs;
use crate::cli::exit::ExitStatus;
use crate::cli::run::Context;
use crate::ui::error::Failure;

/// Runs it.
pub fn run(_args: &InitArgs, _ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    Err(Failure::failed("`init` is not there yet").into())
}
