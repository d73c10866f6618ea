//! Completions: the shell's script asks the program itself, which knows the services and stages of the file that is
//! there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use crate::base::env::Env;
use crate::base::problem::Problems;
use crate::config::describe;
use crate::config::tree::{self, Node, Value};
use crate::probe::CATALOGUE;
use crate::ui::error::Failure;

use super::help;
use super::load;

/// Variable by which the script asks. Not `COMPLETE`, which is anybody's.
const VARIABLE: &str = "STACKCTL_COMPLETE";

/// The script for a shell.
pub(super) fn script(shell: &str) -> Result<Vec<u8>, Failure> {
    let shells = Shells::builtins();
    let wanted = shells.completer(shell).ok_or_else(|| Failure::usage(format!("no completions for `{shell}`")))?;
    let mut out = Vec::new();
    wanted
        .write_registration(VARIABLE, "stackctl", "stackctl", "stackctl", &mut out)
        .map_err(|e| Failure::failed("cannot write the script").because(e))?;
    Ok(out)
}

/// Answers the script, if it is the one who asks.
pub(super) fn answer(args: &[OsString], env: &Env) -> Option<Result<(), Failure>> {
    env.var(VARIABLE)?;
    let done = CompleteEnv::with_factory(help::command).var(VARIABLE).try_complete(args.to_vec(), Some(&env.cwd));
    match done {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(error) => Some(Err(Failure::usage(error.to_string()))),
    }
}

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
    let text = load::file(&path, Path::new("stack.toml")).ok()?;
    Some(tree::parse(&text, &mut Problems::default()))
}
