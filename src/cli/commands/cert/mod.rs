//! `cert`

mod renew;
mod status;

use crate::cli::args::CertCommand;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;

pub(super) use renew::after_up;

/// Runs it.
pub async fn run(command: &CertCommand, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    match command {
        CertCommand::Status => status::status(&source, ctx).await,
        CertCommand::Trust => status::trust(&source, ctx).await,
        CertCommand::Issue(args) => renew::issue(args, &source, ctx).await,
        CertCommand::Renew => renew::renew(&source, ctx).await,
        CertCommand::Import(args) => renew::import(args, &source, ctx).await,
    }
}
