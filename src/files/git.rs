//! What git does with a file.

use std::path::Path;
use std::process::{Command, Stdio};

fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1").env("LC_ALL", "C");
    git.stdin(Stdio::null()).stderr(Stdio::null());
    git
}

/// Whether a folder is in a working tree. `None` if that cannot be found out: git is not installed.
pub fn is_repository(folder: &Path) -> Option<bool> {
    let output = git(folder).args(["rev-parse", "--is-inside-work-tree"]).output().ok()?;
    Some(output.status.success() && output.stdout.starts_with(b"true"))
}

/// Whether git keeps a file.
pub fn is_tracked(folder: &Path, file: &Path) -> bool {
    let status = git(folder).args(["ls-files", "--error-unmatch", "--"]).arg(file).stdout(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

/// Whether git would keep a file out of `git add .`.
pub fn is_ignored(folder: &Path, file: &Path) -> bool {
    let status = git(folder).args(["check-ignore", "--quiet", "--"]).arg(file).status();
    status.is_ok_and(|s| s.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_ignored_or_neither() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let at = folder.path();
        assert_eq!(is_repository(at), Some(false));
        let run = |arguments: &[&str]| assert!(git(at).args(arguments).status().is_ok_and(|s| s.success()));
        run(&["init", "--quiet"]);
        for (name, text) in [("config.py", ""), (".gitignore", ".env\n"), (".env", "A=b\n"), ("other", "")] {
            let _ = std::fs::write(at.join(name), text);
        }
        run(&["add", "config.py"]);
        assert_eq!(is_repository(at), Some(true));
        let seen = |name: &str| (is_tracked(at, Path::new(name)), is_ignored(at, Path::new(name)));
        assert_eq!((seen("config.py"), seen(".env"), seen("other")), ((true, false), (false, true), (false, false)));
    }
}
