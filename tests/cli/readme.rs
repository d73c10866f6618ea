//! What the README and the documents show can be done as it stands there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::harness::{Case, root};

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a document")
}

/// README.md, CHANGELOG.md and all of docs.
fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let mut out: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    out.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    out
}

/// What stands between fences of a language.
fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let blocks: Vec<&str> = text.split(fence.as_str()).skip(1).filter_map(|block| block.split("```").next()).collect();
    blocks.into_iter()
}

#[test]
fn the_stack_is_right() {
    let readme = text(&root().join("README.md"));
    let stacks: Vec<&str> = blocks(&readme, "toml").collect();
    assert_eq!(stacks.len(), 1);
    let outcome = Case::new().file("stack.toml", stacks[0]).run(&["check"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.stdout);
}

#[test]
fn commands_and_targets_exist() {
    let readme = text(&root().join("README.md"));
    let makefile = text(&root().join("Makefile"));
    let case = Case::new();
    let (mut commands, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for line in blocks(&readme, "sh").flat_map(str::lines) {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            ["stackctl", command, ..] => drop(commands.insert((*command).to_owned())),
            ["make", target] => drop(targets.insert((*target).to_owned())),
            [] | ["cargo", "install", "--path", "."] => {}
            other => panic!("nobody tries {other:?}"),
        }
    }
    for command in &commands {
        assert_eq!(case.run(&[command, "--help"]).code, Some(0), "{command}");
    }
    for target in &targets {
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "make {target}");
    }
    assert!(commands.len() >= 6 && targets.len() >= 3, "{commands:?} {targets:?}");
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for document in documents() {
        let folder = document.parent().expect("a folder").to_owned();
        for target in text(&document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let path = folder.join(target.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{}: {target}", document.display());
            links += 1;
        }
    }
    assert!(links > 15, "{links} links");
}
