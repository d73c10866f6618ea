//! What the process was started with, captured once in `main` and passed down as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, folder and terminal facts. Nothing below `main` reads them from the process.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// Environment variables that are valid UTF-8.
    pub vars: BTreeMap<String, String>,
    /// The folder the command was started in.
    pub cwd: PathBuf,
    /// Standard input is a terminal: questions can be asked.
    pub stdin_tty: bool,
    /// Standard output is a terminal.
    pub stdout_tty: bool,
    /// Standard error is a terminal: progress can be drawn.
    pub stderr_tty: bool,
    /// Width of the terminal in columns, if there is one.
    pub width: Option<usize>,
}

impl Env {
    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}
