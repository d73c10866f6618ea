//! The command line as it is typed. Parsing has no effects; meaning comes in `settings` and in the commands.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, and `--help` shows no Markdown")]

mod cert;
mod deploy;
mod history;
mod inside;
mod running;
mod secrets;
mod start;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::base::units::Span;
use crate::ui::paint::ColourChoice;

use super::candidates;

pub use cert::{CertCommand, CertImportArgs, IssueArgs};
pub use deploy::{Against, FailOn, Format, LockArgs, PlanArgs, UpArgs, VerifyArgs};
pub use history::{AuditArgs, DiffArgs, ReleasesArgs, RollbackArgs};
pub use inside::{ExecArgs, ForwardArgs, InContainer, RunArgs};
pub use running::{
    DownArgs, LogsArgs, MaintenanceArgs, PruneArgs, RestartArgs, ScaleArgs, StatsArgs, StatusArgs, Switch, Tail,
};
pub use secrets::{EditArgs, GetArgs, ImportArgs, PullArgs, RecipientsArgs, RotateArgs, SecretsCommand, SetArgs};
pub use start::{CheckArgs, CheckFormat, ExplainArgs, InitArgs, RenderArgs, Template, Users};
pub use tools::{CompletionsArgs, ManArgs};

/// Deploy a whole stack from one file, without dropping a request, and prove it.
#[derive(Debug, Parser)]
#[command(name = "stackctl", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Global flags.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command, before or after its name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The stack file [default: stack.toml]
    #[arg(long, global = true, value_name = "PATH", display_order = 100)]
    pub file: Option<PathBuf>,
    /// Stage of the stack, such as staging
    #[arg(long, global = true, value_name = "NAME", display_order = 101, add = ArgValueCandidates::new(candidates::stages))]
    pub stage: Option<String>,
    /// Docker engine: unix:///var/run/docker.sock, ssh://user@host, tcp://host:2376
    #[arg(long, global = true, value_name = "URL", display_order = 102)]
    pub host: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true, display_order = 103)]
    pub json: bool,
    /// Print only data and errors
    #[arg(long, global = true, conflicts_with = "verbose", display_order = 104)]
    pub quiet: bool,
    /// Print details too
    #[arg(long, global = true, display_order = 105)]
    pub verbose: bool,
    /// When to use colour: auto, always or never; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", value_enum, hide_possible_values = true, display_order = 106)]
    pub color: Option<Color>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<Color> for ColourChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a first stack.toml, by a few questions or from a template
    Init(InitArgs),
    /// Tell everything that is wrong with stack.toml; touch nothing
    Check(CheckArgs),
    /// Tell where a value comes from and what it becomes
    Explain(ExplainArgs),
    /// Write the files that `up` would use into a folder
    Render(RenderArgs),
    /// Show what `up` would do, and why; touch nothing
    Plan(PlanArgs),
    /// Make it run as stack.toml says, without dropping a request
    Up(UpArgs),
    /// Prove that stack.toml is true, and name the line that is not
    Verify(VerifyArgs),
    /// Hold images to what their tags mean today, in stack.lock
    Lock(LockArgs),
    /// Show what runs, or with --drift what was changed by hand
    Status(StatusArgs),
    /// Show what the services write
    Logs(LogsArgs),
    /// Close the site for everybody with a friendly 503, or open it again
    Maintenance(MaintenanceArgs),
    /// Show the releases that are kept, or all about one of them
    Releases(ReleasesArgs),
    /// Show what differs between two releases
    Diff(DiffArgs),
    /// Go back to a release: images, configuration, environment, secrets
    Rollback(RollbackArgs),
    /// Show who did what, and when
    Audit(AuditArgs),
    /// Show what the services use: processor, memory, network
    Stats(StatsArgs),
    /// Run a command in a service's running container
    Exec(ExecArgs),
    /// Run a command in a new container like those of a service
    Run(RunArgs),
    /// Open a port here that leads to a service, wherever its engine is
    Forward(ForwardArgs),
    /// Restart services, replica by replica
    Restart(RestartArgs),
    /// Change the number of replicas until the next `up`
    Scale(ScaleArgs),
    /// Remove what is left over of the stack: images that no release holds, one-off containers that ended
    Prune(PruneArgs),
    /// Stop the stack; volumes stay unless --volumes
    Down(DownArgs),
    /// Keep, show and change the values of secrets
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Show, ask for and renew certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// Print the JSON schema of stack.toml, for editors
    Schema,
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Write manual pages into a folder
    Man(ManArgs),
}

fn span(text: &str) -> Result<Span, String> {
    text.parse()
}
