//! What runs: `logs`, `stats`, `restart`, `scale`, `maintenance`, `prune`, `down`.

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::base::units::Span;
use crate::cli::candidates;

use super::span;

/// `status`
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Show what was changed by hand, field by field, files in volumes too
    #[arg(long)]
    pub drift: bool,
    /// Exit with 3 if there is any drift
    #[arg(long, requires = "drift")]
    pub exit_code: bool,
}

/// `logs`
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Services to show; all if none is named
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(candidates::services))]
    pub services: Vec<String>,
    /// Go on until interrupted
    #[arg(long, short)]
    pub follow: bool,
    /// Begin this many lines before the end, or all
    #[arg(long, short = 'n', value_name = "N", default_value = "100", value_parser = tail)]
    pub tail: Tail,
    /// Only what was written in the last 10m, 2h …
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub since: Option<Span>,
    /// Only lines with this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub grep: Vec<String>,
    /// Show when each line was written
    #[arg(long, short)]
    pub timestamps: bool,
    /// Show lines as they are, without the name of their container
    #[arg(long, alias = "no-log-prefix")]
    pub no_prefix: bool,
}

/// How many lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// All.
    All,
    /// The last ones.
    Lines(u32),
}

/// `stats`
#[derive(Debug, Clone, Args)]
pub struct StatsArgs {
    /// Services to show; all if none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Show them once instead of every second
    #[arg(long)]
    pub no_stream: bool,
}

/// `restart`
#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// Services to restart; all if none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// `scale`
#[derive(Debug, Clone, Args)]
pub struct ScaleArgs {
    /// Services and how many containers each shall have
    #[arg(value_name = "SERVICE=N", value_parser = replicas, required = true)]
    pub services: Vec<(String, u32)>,
    /// Go on without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Do not check the front door afterwards
    #[arg(long)]
    pub no_verify: bool,
}

/// `maintenance`
#[derive(Debug, Clone, Args)]
pub struct MaintenanceArgs {
    /// on or off; without it, tell which it is
    #[arg(value_name = "SWITCH", value_enum, hide_possible_values = true)]
    pub switch: Option<Switch>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Closed.
    On,
    /// Open.
    Off,
}

/// `prune`
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Only show what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Go on without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// `down`
#[derive(Debug, Clone, Args)]
pub struct DownArgs {
    /// Remove the volumes too: all data of the stack
    #[arg(long, short)]
    pub volumes: bool,
    /// Go on without asking
    #[arg(long, short)]
    pub yes: bool,
    /// The project's name, spelled out: consent to --volumes where nobody can be asked
    #[arg(long, value_name = "PROJECT", requires = "volumes")]
    pub confirm: Option<String>,
}

fn replicas(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("`{text}` is not a service and a number; write `app=3`");
    let (service, number) = text.split_once('=').ok_or_else(wrong)?;
    Ok((service.to_owned(), number.parse().map_err(|_| wrong())?))
}

fn tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail::All);
    }
    text.parse().map(Tail::Lines).map_err(|_| format!("`{text}` is not a number of lines; write `100` or `all`"))
}
