//! A folder, a command, and what came of it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of its own, gone when the test ends.
pub struct Case {
    folder: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

/// How a command ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Case {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the test"), vars: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content, 0o600)
    }

    pub fn file_with_mode(self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        fs::write(&path, content).expect("the file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        self
    }

    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs the binary in the folder, with nothing but the case's own variables and nobody to ask.
    pub fn run(&self, args: &[&str]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_stackctl"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .envs(self.vars.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let folder = self.path().canonicalize().unwrap_or_else(|_| self.path().to_owned());
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .expect("text")
                .replace(&folder.display().to_string(), "[DIR]")
                .replace(&self.path().display().to_string(), "[DIR]")
        };
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs, and compares all of it with `tests/cli/snapshots/NAME.txt`.
    pub fn snapshot(&self, name: &str, args: &[&str]) {
        self.snapshot_in(&root().join("tests/cli/snapshots").join(format!("{name}.txt")), args);
    }

    /// Runs, and compares all of it with a file.
    pub fn snapshot_in(&self, expected: &Path, args: &[&str]) {
        let outcome = self.run(args);
        let mut text = format!("$ stackctl {}\n", args.join(" "));
        let code = outcome.code.map_or("killed".to_owned(), |c| c.to_string());
        let _ = writeln!(text, "exit code: {code}");
        for (stream, content) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
            if !content.is_empty() {
                let _ = write!(text, "--- {stream}\n{content}");
                if !content.ends_with('\n') {
                    text.push_str("\n(no line break at the end)\n");
                }
            }
        }
        compare(expected, &text, "UPDATE_SNAPSHOTS");
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a text with a file, or writes the file if the variable is set.
pub fn compare(path: &Path, text: &str, update: &str) {
    if std::env::var_os(update).is_some() {
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        return fs::write(path, text).expect("the file can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == text,
        "{} is not as expected; if it should be so, run with {update}=1\n--- expected\n{expected}\n--- found\n{text}",
        path.display()
    );
}
