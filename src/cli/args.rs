//! The command line as it is typed. Parsing has no effects; meaning comes in `settings` and in the commands.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, and `--help` shows no Markdown")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::base::units::Span;
use crate::ui::paint::ColourChoice;

use super::complete;

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
    #[arg(long, global = true, value_name = "NAME", display_order = 101, add = ArgValueCandidates::new(complete::stages))]
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
    /// Show what runs
    Status,
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
    /// Print the JSON schema of stack.toml, for editors
    Schema,
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Write manual pages into a folder
    Man(ManArgs),
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

/// `check`
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// How to print problems: human, json (short: --json) or sarif
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub format: Option<CheckFormat>,
}

/// Formats of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// With the lines they are about, for people.
    Human,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// `explain`
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Path of a key, such as services.app.memory or routes./api/.limit
    #[arg(value_name = "PATH", add = ArgValueCandidates::new(complete::paths))]
    pub path: String,
}

/// `init`
#[derive(Debug, Clone, Default, Args)]
pub struct InitArgs {
    /// Start from a template instead of what is in the folder: minimal, python-web, storm, sum, aigov, ai-search or research-assistant
    #[arg(long, value_name = "NAME", value_enum, hide_possible_values = true)]
    pub template: Option<Template>,
    /// Size of the services: development, 1000 or 10000 users
    #[arg(long, value_name = "NUMBER", value_enum, hide_possible_values = true)]
    pub users: Option<Users>,
    /// Write without asking
    #[arg(long)]
    pub yes: bool,
}

/// For how many people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Users {
    /// The developers.
    Development,
    /// A thousand.
    #[value(name = "1000")]
    Thousand,
    /// Ten thousand.
    #[value(name = "10000")]
    TenThousand,
}

/// Templates of `init`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// One service behind the front door.
    Minimal,
    /// A Python web app with a worker, a database and Redis.
    PythonWeb,
    /// A research platform: Streamlit, Celery, PostgreSQL, Redis, Qdrant.
    Storm,
    /// Flask under Gunicorn, PostgreSQL, Redis.
    Sum,
    /// An API and a front end, PostgreSQL, Qdrant in the cloud.
    Aigov,
    /// FastAPI with a sandbox for code, PostgreSQL, Redis.
    AiSearch,
    /// FastAPI with WebSocket, PostgreSQL.
    ResearchAssistant,
}

/// `render`
#[derive(Debug, Clone, Args)]
pub struct RenderArgs {
    /// Folder to write to; made if it is not there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Write [secret] instead of the values of secrets
    #[arg(long)]
    pub no_secrets: bool,
    /// Take generated secrets from the deployed stack; without it, those of the folder are kept, or new ones made
    #[arg(long, conflicts_with = "no_secrets")]
    pub deployed: bool,
}

/// `plan`
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Exit with 3 if there are changes
    #[arg(long)]
    pub exit_code: bool,
    /// Write the plan to a file, for `up --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `up`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct UpArgs {
    /// Go on without asking, also where service is interrupted or something is destroyed
    #[arg(long, short)]
    pub yes: bool,
    /// Do not check the front door afterwards
    #[arg(long)]
    pub no_verify: bool,
    /// Do exactly what this plan of `plan --out` says, or refuse
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Keep containers of a failed release, stopped, until the next run
    #[arg(long)]
    pub keep_failed: bool,
    /// Use the images that are there; build nothing
    #[arg(long)]
    pub no_build: bool,
}

/// `verify`
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Only what is quick and disturbs nobody: no measuring of limits
    #[arg(long)]
    pub quick: bool,
    /// Only these checks, such as TLS-1,HDR-2; a family such as TLS means all of it
    #[arg(long, value_name = "IDS", value_delimiter = ',', add = ArgValueCandidates::new(complete::checks))]
    pub only: Vec<String>,
    /// All but these checks
    #[arg(long, value_name = "IDS", value_delimiter = ',', add = ArgValueCandidates::new(complete::checks))]
    pub skip: Vec<String>,
    /// Store how fast the answers are, for later runs to compare with
    #[arg(long, conflicts_with = "quick")]
    pub save_baseline: bool,
    /// How to print the report: human, json (short: --json), junit, tap, sarif, github, markdown, html or prometheus
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub format: Option<Format>,
    /// Write another report to a file, such as junit=report.xml; may be given several times
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report)]
    pub report: Vec<(Format, PathBuf)>,
    /// What ends with exit code 4: warn (warnings too), low (any failure), medium, high or critical (failures of at least this severity)
    #[arg(long, value_name = "LEVEL", value_enum, hide_possible_values = true, default_value = "low")]
    pub fail_on: FailOn,
    /// Longest time for the whole checklist; what is not done by then counts as not judged
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    pub deadline: Span,
}

/// Formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Human,
    /// One JSON document.
    Json,
    /// XML for CI systems.
    Junit,
    /// Test Anything Protocol, version 14.
    Tap,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
    /// Markdown, for summaries.
    Markdown,
    /// One page that stands alone.
    Html,
    /// Metrics for node_exporter's textfile collector.
    Prometheus,
}

/// What ends with exit code 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Warnings and failures.
    Warn,
    /// Failures.
    Low,
    /// Failures of medium severity and above.
    Medium,
    /// Failures of high severity and above.
    High,
    /// Critical failures only.
    Critical,
}

/// `logs`
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Services to show; all if none is named
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(complete::services))]
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

/// `exec`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches")]
pub struct ExecArgs {
    /// Number of the replica; the first that runs if none is given
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// Give it no terminal, also where there is one
    #[arg(long, short = 'T', visible_alias = "no-TTY")]
    pub no_tty: bool,
    /// Leave it alone once it runs
    #[arg(long, short)]
    pub detach: bool,
    /// Variable for it: NAME=value, or NAME for the value here
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Run as another user
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Folder to run it in
    #[arg(long, short, value_name = "PATH")]
    pub workdir: Option<String>,
    /// What Compose users type; an input and a terminal are given where there are any
    #[arg(short, hide = true)]
    pub interactive: bool,
    /// As above
    #[arg(short, hide = true)]
    pub tty: bool,
    /// Service to run it in
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command and arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}

/// `run`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches")]
pub struct RunArgs {
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Give it no terminal, also where there is one
    #[arg(long, short = 'T', visible_alias = "no-TTY")]
    pub no_tty: bool,
    /// Leave it alone once it runs, and print its name
    #[arg(long, short)]
    pub detach: bool,
    /// Variable for it: NAME=value, or NAME for the value here
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Run as another user
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Folder to run it in
    #[arg(long, short, value_name = "PATH")]
    pub workdir: Option<String>,
    /// Program instead of the service's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What Compose users type; an input and a terminal are given where there are any
    #[arg(short, hide = true)]
    pub interactive: bool,
    /// As above
    #[arg(short, hide = true)]
    pub tty: bool,
    /// Service it is like: image, environment, secrets, volumes, networks
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command and arguments; the service's own if there are none
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `forward`
#[derive(Debug, Clone, Args)]
pub struct ForwardArgs {
    /// Service, and its port if it is not the one stack.toml names
    #[arg(value_name = "SERVICE[:PORT]", value_parser = service_port)]
    pub service: (String, Option<u16>),
    /// Port to open on 127.0.0.1 [default: the same number, or any that is free]
    #[arg(long, short, value_name = "PORT")]
    pub port: Option<u16>,
    /// Number of the replica; the first that runs if none is given
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
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

/// How many lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// All.
    All,
    /// The last ones.
    Lines(u32),
}

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

/// `secrets`
#[derive(Debug, Clone, Subcommand)]
pub enum SecretsCommand {
    /// Show each secret's source, age, length and users; never a value
    List,
    /// Print the value of one secret
    Get(GetArgs),
    /// Give a secret a value, typed at a prompt or read from stdin or a file
    Set(SetArgs),
    /// Open an encrypted file in $EDITOR
    Edit(EditArgs),
    /// Write the values kept on the engine for `env` secrets into a .env file
    Pull(PullArgs),
    /// Take the values of a .env file over: onto the engine, or into an encrypted file
    Import(ImportArgs),
    /// Make a generated secret anew; its users get it with the next `up`
    Rotate(RotateArgs),
    /// Show or change who can open an encrypted file
    Recipients(RecipientsArgs),
    /// Look for secrets that are missing, weak, shared, or in the history of git
    Check,
}

/// `secrets get`
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
    /// The secret
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Yes, print it
    #[arg(long)]
    pub reveal: bool,
}

/// `secrets set`
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// The secret
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Read the value from this file instead
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
}

/// `secrets edit`
#[derive(Debug, Clone, Args)]
pub struct EditArgs {
    /// The encrypted file; not needed if stack.toml names only one
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
}

/// `secrets pull`
#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// File to write, with mode 0600; it must not exist
    #[arg(value_name = "PATH", default_value = ".env")]
    pub path: PathBuf,
}

/// `secrets import`
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// File of NAME=value lines
    #[arg(value_name = "PATH", default_value = ".env")]
    pub path: PathBuf,
}

/// `secrets rotate`
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// The secrets
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Go on without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// `secrets recipients`
#[derive(Debug, Clone, Args)]
pub struct RecipientsArgs {
    /// The encrypted file; not needed if stack.toml names only one
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Somebody who may open it: age1… or a public SSH key
    #[arg(long, value_name = "RECIPIENT")]
    pub add: Vec<String>,
    /// Somebody who may not open what is written from now on
    #[arg(long, value_name = "RECIPIENT")]
    pub remove: Vec<String>,
}

/// `completions`
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `man`
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Folder to write to; made if it is not there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

fn span(text: &str) -> Result<Span, String> {
    text.parse()
}

fn report(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) = text
        .split_once('=')
        .filter(|(_, file)| !file.is_empty())
        .ok_or("write it as FORMAT=FILE, such as junit=report.xml")?;
    Ok((Format::from_str(format, false)?, PathBuf::from(file)))
}

fn service_port(text: &str) -> Result<(String, Option<u16>), String> {
    match text.split_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((service, port)) => {
            let port = port.parse().map_err(|_| format!("`{port}` is not a port; write `postgres:5432`"))?;
            Ok((service.to_owned(), Some(port)))
        }
    }
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
