//! `releases`, `diff`, `rollback`, `audit`.

use clap::Args;

/// `releases`
#[derive(Debug, Clone, Args)]
pub struct ReleasesArgs {
    /// The release to tell all about
    #[arg(value_name = "N")]
    pub release: Option<u32>,
}

/// `diff`
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// The release to begin with
    #[arg(value_name = "N")]
    pub from: u32,
    /// The release to compare it with [default: the one that runs]
    #[arg(value_name = "M")]
    pub to: Option<u32>,
}

/// `rollback`
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    /// The release to go back to [default: the one before the one that runs]
    #[arg(value_name = "N")]
    pub release: Option<u32>,
    /// Only tell whether it could be done, and what would be done
    #[arg(long)]
    pub check: bool,
    /// Go on without asking, also where service is interrupted
    #[arg(long, short)]
    pub yes: bool,
    /// Do not check the front door afterwards
    #[arg(long)]
    pub no_verify: bool,
}

/// `audit`
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Show this many of the last entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub tail: usize,
}
