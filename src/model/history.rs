//! What a repository remembers.

use crate::base::name::SecretName;

/// Whether values of secrets stand in the history of a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// The folder is in no repository.
    None,
    /// All files of all commits were searched, except those larger than the search takes.
    Searched {
        /// How many files, each version counted.
        files: usize,
        /// How many were too large.
        too_large: usize,
        /// Secrets that were found, and a commit that brought each in.
        found: Vec<(SecretName, String)>,
    },
}
