//! `plan`, `up`, `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::base::units::Span;
use crate::cli::candidates;

use super::span;

/// `plan`
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Exit with 3 if there are changes
    #[arg(long)]
    pub exit_code: bool,
    /// Write the plan to a file, for `up --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also read the files in volumes: was one edited by hand?
    #[arg(long)]
    pub drift: bool,
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
    /// Also read the files in volumes, and write those anew that were edited by hand
    #[arg(long)]
    pub drift: bool,
}

/// `lock`
#[derive(Debug, Clone, Args)]
pub struct LockArgs {
    /// Ask anew what tags mean; without it, only those that are not locked yet
    #[arg(long)]
    pub upgrade: bool,
    /// Write nothing, and exit with 3 if there were something to write
    #[arg(long)]
    pub check: bool,
    /// Services whose images to upgrade; all if none is named; `proxy` is the front door
    #[arg(value_name = "SERVICE", requires = "upgrade", add = ArgValueCandidates::new(candidates::services))]
    pub services: Vec<String>,
}

/// `verify`
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Only what is quick and disturbs nobody: no measuring of limits
    #[arg(long)]
    pub quick: bool,
    /// Only these checks, such as TLS-1,HDR-2; a family such as TLS means all of it
    #[arg(long, value_name = "IDS", value_delimiter = ',', add = ArgValueCandidates::new(candidates::checks))]
    pub only: Vec<String>,
    /// All but these checks
    #[arg(long, value_name = "IDS", value_delimiter = ',', add = ArgValueCandidates::new(candidates::checks))]
    pub skip: Vec<String>,
    /// Only what can be seen from outside, at the address of the first domain; no engine is needed
    #[arg(long)]
    pub outside: bool,
    /// Judge the site at this URL by general rules: no stack.toml, no engine. With --outside: judge the stack there
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Judge what Docker Compose runs of this file, by general rules: no stack.toml. With --url: the site in front of it, too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["outside", "save_baseline"])]
    pub compose: Option<PathBuf>,
    /// Trust these authorities (PEM), too: a company's own
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Store how fast the answers are, for later runs to compare with
    #[arg(long, conflicts_with_all = ["quick", "outside", "url"])]
    pub save_baseline: bool,
    /// How to print the report: human, json (short: --json), junit, tap, sarif, github, gitlab, markdown, html or prometheus
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub format: Option<Format>,
    /// Write another report to a file, such as junit=report.xml; may be given several times
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report)]
    pub report: Vec<(Format, PathBuf)>,
    /// What ends with exit code 4: warn (warnings too), low (any failure), medium, high or critical (failures of at least this severity)
    #[arg(long, value_name = "LEVEL", value_enum, hide_possible_values = true, default_value = "low")]
    pub fail_on: FailOn,
    /// Compare with what was found of a release (its number) or with an earlier report (a file of --json): tell what is worse, and only that ends with exit code 4 or 6
    #[arg(long, value_name = "EARLIER", value_parser = against)]
    pub against: Option<Against>,
    /// Longest time for the whole checklist; what is not done by then counts as not judged
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = span)]
    pub deadline: Span,
}

/// What a report is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// What was kept with a release.
    Release(u32),
    /// A report in a file.
    File(PathBuf),
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
    /// Code Quality of GitLab.
    Gitlab,
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

#[expect(clippy::unnecessary_wraps, reason = "what parses values returns a result")]
fn against(text: &str) -> Result<Against, String> {
    Ok(text.parse().map_or_else(|_| Against::File(PathBuf::from(text)), Against::Release))
}

fn report(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) = text
        .split_once('=')
        .filter(|(_, file)| !file.is_empty())
        .ok_or("write it as FORMAT=FILE, such as junit=report.xml")?;
    Ok((Format::from_str(format, false)?, PathBuf::from(file)))
}
