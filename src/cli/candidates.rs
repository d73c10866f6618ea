//! What arguments can be completed to: names of the file that is there, keys it could have, checks.

use std::path::{Path, PathBuf};

use clap_complete::engine::CompletionCandidate;

use crate::base::problem::Problems;
use crate::config::describe;
use crate::config::tree::{self, Node, Value};
use crate::probe::CATALOGUE;

use super::text;

/// Names of services.
pub(super) fn services() -> Vec<CompletionCandidate> {
    root().map(|root| names(&root, "services", "")).unwrap_or_default()
}

/// Names of stages.
pub(super) fn stages() -> Vec<CompletionCandidate> {
    root().map(|root| names(&root, "stages", "")).unwrap_or_default()
}

/// Paths of keys that the file has or could have.
pub(super) fn paths() -> Vec<CompletionCandidate> {
    root().map(|root| describe::paths(&root).into_iter().map(Into::into).collect()).unwrap_or_default()
}

/// Checks by identifier.
pub(super) fn checks() -> Vec<CompletionCandidate> {
    CATALOGUE.iter().map(|c| CompletionCandidate::new(c.id).help(Some(c.title.into()))).collect()
}

fn names(root: &Node, table: &str, prefix: &str) -> Vec<CompletionCandidate> {
    root.get(table).into_iter().flat_map(|e| keys(&e.node)).map(|key| format!("{prefix}{key}").into()).collect()
}

fn keys(node: &Node) -> impl Iterator<Item = &str> {
    let entries = if let Value::Table(entries) = &node.value { entries.as_slice() } else { &[] };
    entries.iter().map(|e| e.key.as_str())
}

/// The file that is meant, as far as it can be read: somebody may be in the middle of writing it.
fn root() -> Option<Node> {
    let words: Vec<String> = std::env::args().collect();
    let typed = words.iter().enumerate().find_map(|(i, word)| {
        word.strip_prefix("--file=")
            .map(str::to_owned)
            .or_else(|| words.get(i + 1).filter(|_| word == "--file").cloned())
    });
    let path = typed.or_else(|| std::env::var("STACKCTL_FILE").ok()).unwrap_or_else(|| "stack.toml".to_owned());
    let path = PathBuf::from(path);
    let text = text::stack_file(&path, Path::new("stack.toml")).ok()?;
    Some(tree::parse(&text, &mut Problems::default()))
}
