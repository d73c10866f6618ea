//! Files beside stack.toml that it names. The core knows no disk: whoever has one passes it in.

use crate::model::service::FileContent;

/// Reads texts below the folder of stack.toml.
pub trait Beside {
    /// The file at this path, with an empty path of its own, or all files of the folder there, sorted by their paths
    /// below it.
    ///
    /// # Errors
    /// In words, such as "does not exist": not there, not text, too large, not readable.
    fn read(&self, path: &str) -> Result<Vec<FileContent>, String>;
}

/// A folder with nothing in it: for texts of stack.toml that came from nowhere.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Beside for Nothing {
    fn read(&self, _: &str) -> Result<Vec<FileContent>, String> {
        Err("does not exist".to_owned())
    }
}
