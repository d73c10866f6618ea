//! `completions`

use crate::cli::args::CompletionsArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;

/// Runs it.
pub fn run(args: &CompletionsArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    ctx.out.bytes(&complete::script(&args.shell.to_string())?)?;
    Ok(ExitStatus::Done)
}
