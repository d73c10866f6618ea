//! What can be asked behind the front door, where somebody lets us in. The prober knows no engine: who starts it
//! hands in something that does, or nothing, and then what needs it says so.

use std::pin::Pin;

use crate::model::history::History;
use crate::model::inspected::{FileMode, Inspected};

/// An answer that is on its way; `Err` says in words why there is none.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// The engine, its host and the folder of stack.toml, asked on behalf of the checks. Nothing here changes anything.
pub trait Inside {
    /// Every container of the project in detail.
    fn containers(&self) -> Answer<'_, Vec<Inspected>>;
    /// Runs a command in a running container: its exit code, and what it printed.
    fn run(&self, container: &str, argv: &[&str]) -> Answer<'_, (i64, String)>;
    /// Files below a folder of a container, with owner and mode; what is in them is not looked at.
    fn files(&self, container: &str, folder: &str) -> Answer<'_, Vec<FileMode>>;
    /// The last lines a container printed.
    fn log(&self, container: &str, lines: usize) -> Answer<'_, Vec<String>>;
    /// The clock of the engine's host, seconds since 1970.
    fn clock(&self) -> Answer<'_, u64>;
    /// A file of the engine's host; `None` if it is not there, an error if that host is another machine.
    fn host_file(&self, path: &str) -> Answer<'_, Option<String>>;
    /// Whether secrets of the stack stand in the history of the repository that stack.toml is in.
    fn history(&self) -> Answer<'_, History>;
}
