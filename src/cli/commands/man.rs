//! `man`

use crate::cli::args::ManArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::help;
use crate::ui::error::Failure;
use crate::ui::text::count;

/// Runs it.
pub fn run(args: &ManArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let dir = ctx.env.cwd.join(&args.dir);
    let wrong = || Failure::failed(format!("cannot write manual pages to `{}`", args.dir.display()));
    std::fs::create_dir_all(&dir).map_err(|e| wrong().because(e))?;
    let command = help::command();
    let pages = command.get_subcommands().map(|sub| 1 + sub.get_subcommands().count()).sum::<usize>() + 1;
    clap_mangen::generate_to(command, &dir).map_err(|e| wrong().because(e))?;
    ctx.out.say(format!("wrote {} to {}", count(pages, "page"), args.dir.display()));
    Ok(ExitStatus::Done)
}
