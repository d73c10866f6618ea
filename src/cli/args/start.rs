//! What is done to the file before there is anything else: `init`, `check`, `explain`, `render`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::cli::candidates;

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
    #[arg(value_name = "PATH", add = ArgValueCandidates::new(candidates::paths))]
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
