//! What can go wrong with a file, always with its path.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It is not there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A folder where a file is wanted.
    #[error("{} is a folder, not a file", .0.display())]
    IsFolder(PathBuf),
    /// A file where a folder is wanted.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// It is not UTF-8.
    #[error("{} is not text: byte {at} is not valid UTF-8", .path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
        /// Offset of the first bad byte, from 0.
        at: usize,
    },
    /// It is bigger than it may be.
    #[error("{} has {size} bytes, more than the {limit} allowed", .path.display())]
    TooBig {
        /// Which file or folder.
        path: PathBuf,
        /// Its size, as far as it was read.
        size: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// A pattern of `.dockerignore` makes no sense.
    #[error("{}:{line}: `{pattern}` is not a pattern: {reason}", .path.display())]
    Pattern {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// A path that would leave its folder, or cannot be named in an archive.
    #[error("`{0}` is not a path below the folder")]
    Outside(String),
    /// Anything the operating system says.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

impl FilesError {
    /// The operating system's error with its path.
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            io::ErrorKind::IsADirectory => Self::IsFolder(path.to_owned()),
            io::ErrorKind::NotADirectory => Self::NotAFolder(path.to_owned()),
            _ => Self::Io { path: path.to_owned(), error },
        }
    }
}
