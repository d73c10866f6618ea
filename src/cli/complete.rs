//! Completions: the shell's script asks the program itself, which knows the services and stages of the file that is
//! there.

use std::ffi::OsString;

use clap_complete::env::{CompleteEnv, Shells};

use crate::base::env::Env;
use crate::ui::error::Failure;

use super::help;

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
