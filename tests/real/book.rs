//! What runs of the binary said, kept in a file; `UPDATE_SNAPSHOTS=1` writes it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::support::{Said, root};

/// What was said, scene by scene, and the file that has it as it was last looked at.
pub(crate) struct Book {
    path: PathBuf,
    said: String,
}

impl Book {
    /// A book at a path below tests/real.
    pub(crate) fn at(path: &str) -> Self {
        Self { path: root().join("tests/real").join(path), said: String::new() }
    }

    pub(crate) fn note(&mut self, what: &str, said: &Said, folder: &Path) {
        let text = format!("{}\n{}", said.out, said.err)
            .replace(&folder.display().to_string(), "[DIR]")
            .replace(&root().display().to_string(), "[ROOT]");
        let _ = writeln!(self.said, "## {what}\nends with {}\n{}\n", said.code, plain(&text));
    }

    /// Every scene is in the file, in the same words. The long form of a test has scenes that the short one has not.
    #[track_caller]
    pub(crate) fn is_as_expected(&self) {
        let expected = fs::read_to_string(&self.path).unwrap_or_default();
        let mut kept = scenes(&expected);
        for scene in scenes(&self.said) {
            let title = scene.lines().next();
            let like = kept.iter_mut().find(|e| e.lines().next() == title);
            if std::env::var_os("UPDATE_SNAPSHOTS").is_none() {
                assert_eq!(
                    Some(scene),
                    like.copied(),
                    "{}: if it should be so, UPDATE_SNAPSHOTS=1",
                    self.path.display()
                );
            } else if let Some(like) = like {
                *like = scene;
            } else {
                kept.push(scene);
            }
        }
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            let mut text = String::new();
            for scene in kept {
                let _ = write!(text, "## {scene}\n\n");
            }
            fs::write(&self.path, text.trim_end().to_owned() + "\n").unwrap();
        }
    }
}

fn scenes(text: &str) -> Vec<&str> {
    text.split("## ").map(str::trim).filter(|scene| !scene.is_empty()).collect()
}

/// Without what is different each time: moments, tokens, fingerprints. Line breaks of the terminal's width go, too.
fn plain(text: &str) -> String {
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        // What is done comes with its moment, and with how long it took; notes stay.
        let line = match line.split_once("Z ") {
            Some((moment, rest)) if moment.len() == 8 && moment.as_bytes()[2] == b':' => {
                if ["done ", "begin ", "release "].iter().any(|word| rest.starts_with(word)) {
                    continue;
                }
                rest
            }
            _ => line,
        };
        let line = line.find("Pebble Intermediate CA").map_or(line, |at| &line[..at + 22]);
        let line = without_process(line);
        let words = line.split_whitespace().map(|word| {
            let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            // A container that is to take another one's place has a hash in its name.
            if let Some((name, hash)) = core.rsplit_once('.')
                && hash.len() == 8
                && hash.bytes().all(|b| b.is_ascii_hexdigit())
            {
                return word.replace(core, &format!("{name}.[HASH]"));
            }
            let is_date = core.len() >= 10 && core.is_char_boundary(10) && {
                let day: Vec<&str> = core[..10].split('-').collect();
                day.len() == 3 && day.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
            };
            if is_date {
                return word.replace(core, "[WHEN]");
            }
            match word.split_once("/acme-challenge/") {
                Some((before, _)) => format!("{before}/acme-challenge/[TOKEN]"),
                None if core.len() >= 40 && !core.contains('/') => "[LONG]".to_owned(),
                None => word.to_owned(),
            }
        });
        out.push(words.collect::<Vec<_>>().join(" "));
    }
    out.join("\n")
}

/// What the container's init says, without the number of the process that said it.
fn without_process(line: &str) -> String {
    const INIT: &str = "tini (";
    match line.split_once(INIT).and_then(|(before, rest)| Some((before, rest.split_once(')')?.1))) {
        Some((before, after)) => format!("{before}{INIT}PID){after}"),
        None => line.to_owned(),
    }
}
