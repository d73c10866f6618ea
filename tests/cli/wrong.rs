//! Every way a stack file can be wrong that we could think of: `wrong/NAME.toml`, with `NAME.env` beside it as `.env`,
//! and what a user reads then, to the letter, in `NAME.txt`. Fixes are pasted.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use stackctl::base::fix;
use stackctl::base::problem::{Problem, Problems, Severity};
use stackctl::config::{self, dotenv};

use crate::harness::{Case, root};

/// A wrong file.
pub struct Wrong {
    pub name: String,
    pub path: PathBuf,
    pub text: String,
    env: Option<String>,
}

/// All of them, by name.
pub fn all() -> Vec<Wrong> {
    let folder = root().join("tests/cli/wrong");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).expect("the folder").flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| Wrong {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            text: fs::read_to_string(&path).expect("the file"),
            env: fs::read_to_string(path.with_extension("env")).ok(),
            path,
        })
        .collect()
}

impl Wrong {
    fn expected(&self) -> PathBuf {
        self.path.with_extension("txt")
    }

    /// The errors of a text with this file's `.env`.
    fn errors(&self, text: &str) -> Vec<Problem> {
        let mut problems = Problems::default();
        let env = dotenv::parse(self.env.as_deref().unwrap_or_default(), &mut problems);
        problems.extend(config::load(text, None, &env.variables).problems);
        problems.sorted().into_iter().filter(|p| p.severity == Severity::Error).collect()
    }
}

#[test]
fn every_mistake_is_answered_at_its_place() {
    let mut failures = Vec::new();
    for wrong in all() {
        let mut case = Case::new().file("stack.toml", &wrong.text);
        if let Some(env) = &wrong.env {
            case = case.file(".env", env);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| case.snapshot_in(&wrong.expected(), &["check"])));
        if outcome.is_err() {
            failures.push(wrong.name);
        }
    }
    assert!(failures.is_empty(), "not as expected: {failures:?}");
}

#[test]
fn there_are_enough_of_them() {
    let files = all();
    let shown = |wrong: &Wrong| fs::read_to_string(wrong.expected()).unwrap_or_default();
    let with = |what: fn(&str) -> bool| files.iter().filter(|w| what(&shown(w))).count();
    assert!(files.len() >= 60, "{}", files.len());
    assert_eq!(with(|text| text.contains("exit code: 2\n")), files.len(), "each is an error");
    assert!(with(|text| text.matches("\nerror: ").count() > 1) >= 10, "with several errors");
    assert!(with(|text| text.contains("--> .env:")) >= 3, "in .env");
    assert!(files.iter().filter(|w| w.name.starts_with("overlay")).count() >= 4, "in overlays");
}

/// Pastes the first fix, looks again, pastes the next: in the end nothing with a fix is left, and nothing is new.
#[test]
fn fixes_mend() {
    let mut mended = 0;
    for wrong in all() {
        let before = wrong.errors(&wrong.text);
        let mut text = wrong.text.clone();
        let mut pasted = 0;
        loop {
            let errors = wrong.errors(&text);
            let Some(next) = errors.iter().find(|p| p.fix.is_some()) else { break };
            let edit = fix::edit(&text, next);
            let edit = edit.unwrap_or_else(|| panic_with(&wrong.path, next, &text));
            text = edit.apply(&text);
            pasted += 1;
            let after = wrong.errors(&text);
            assert!(!after.contains(next), "{}: pasting does not help: {next:#?}\n{text}", wrong.name);
            assert!(pasted < 20, "{}: no end\n{text}", wrong.name);
        }
        for left in wrong.errors(&text) {
            let known = before.iter().any(|p| p.message == left.message);
            assert!(known, "{}: the fixes brought a new error: {left:#?}\n{text}", wrong.name);
        }
        if before.iter().all(|p| p.fix.is_some()) {
            assert_eq!(wrong.errors(&text), [], "{}: every error had a fix\n{text}", wrong.name);
            mended += 1;
        }
    }
    assert!(mended >= 15, "only {mended} files can be mended by pasting");
}

fn panic_with(path: &Path, problem: &Problem, text: &str) -> fix::Edit {
    unreachable!("{}: the fix has no place: {problem:#?}\n{text}", path.display())
}
