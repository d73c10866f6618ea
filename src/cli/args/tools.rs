//! `completions`, `man`.

use std::path::PathBuf;

use clap::Args;

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
