//! `completions`

use crate::cli::args::CompletionsArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::help;

/// Runs it.
pub fn run(args: &CompletionsArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), "stackctl", &mut script);
    ctx.out.bytes(&script)?;
    Ok(ExitStatus::Done)
}
