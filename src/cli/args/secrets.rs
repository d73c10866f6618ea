//! `secrets`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
