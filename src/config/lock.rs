//! `stack.lock`: read with places, written sorted, so that a merge touches only what differs.

use std::fmt::Write as _;

use crate::base::problem::{Problem, Problems};
use crate::model::lock::Lock;

use super::tree::{self, Entry, Value};

/// Form of the file; another number is another form.
const VERSION: i64 = 1;

const HEAD: &str = "\
# Written by `stackctl lock`; belongs into version control. Which image each tag meant
# when it was locked: `plan` and `up` take these, whatever the tags mean by now.
# `stackctl lock --upgrade` takes what they mean today.
";

/// Reads the file.
///
/// # Errors
/// All that is wrong with it, at its places.
pub fn parse(text: &str) -> Result<Lock, Problems> {
    let mut problems = Problems::default();
    let root = tree::parse(text, &mut problems);
    let mut lock = Lock::default();
    if problems.has_errors() {
        return Err(problems);
    }
    match root.get("version").map(|e| &e.node.value) {
        Some(Value::Integer(VERSION)) => {}
        Some(_) => problems.push(
            Problem::error(format!("this version of stackctl reads `version = {VERSION}` only"))
                .at(root.get("version").map_or(0..0, |e| e.node.span.clone())),
        ),
        None => problems.push(Problem::error("it has no `version`").at(0..0)),
    }
    if let Value::Table(entries) = &root.value {
        for entry in entries.iter().filter(|e| !["version", "images"].contains(&e.key.as_str())) {
            problems.push(Problem::error(format!("unknown key `{}`", entry.key)).at(entry.key_span.clone()));
        }
    }
    match root.get("images").map(|e| (&e.node.value, &e.node.span)) {
        Some((Value::Table(entries), _)) => {
            for entry in entries {
                match digest(entry) {
                    Some(digest) => drop(lock.images.insert(entry.key.clone(), digest)),
                    None => problems.push(
                        Problem::error(format!("`{}` has no digest", entry.key))
                            .at(entry.node.span.clone())
                            .label("allowed: `sha256:` and 64 hexadecimal digits"),
                    ),
                }
            }
        }
        Some((_, span)) => problems.push(Problem::error("`images` is a table").at(span.clone())),
        None => {}
    }
    if problems.has_errors() { Err(problems) } else { Ok(lock) }
}

fn digest(entry: &Entry) -> Option<String> {
    let text = entry.node.plain()?;
    let hex = text.strip_prefix("sha256:")?;
    let sane = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    sane.then_some(text)
}

/// Writes the file: equal locks are equal to the byte.
pub fn print(lock: &Lock) -> String {
    let mut out = format!("{HEAD}version = {VERSION}\n\n[images]\n");
    for (image, digest) in &lock.images {
        // References are made of letters, digits and `./:_-`, or they would not have been read.
        let _ = writeln!(out, "{} = \"{digest}\"", serde_json::Value::from(image.as_str()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    #[test]
    fn there_and_back() {
        let images = [("nginx:1.30", '0'), ("ghcr.io:443/a/b:1", 'f'), ("odd\"name", 'a')];
        let lock = Lock { images: images.into_iter().map(|(name, c)| (name.to_owned(), sum(c))).collect() };
        let text = print(&lock);
        assert_eq!(parse(&text), Ok(lock));
        let order: Vec<_> = text.lines().filter_map(|l| l.split_once(" = \"sha256").map(|(name, _)| name)).collect();
        assert_eq!(order, ["\"ghcr.io:443/a/b:1\"", "\"nginx:1.30\"", "\"odd\\\"name\""]);
        assert_eq!(parse(&print(&Lock::default())), Ok(Lock::default()));
    }

    #[test]
    fn all_that_is_wrong() {
        let places = |text: &str| -> Vec<String> {
            let problems = parse(text).err().map(Problems::sorted).unwrap_or_default();
            problems.into_iter().map(|p| p.message).collect()
        };
        assert_eq!(places("images = {}"), ["it has no `version`"]);
        assert_eq!(places("version = 2"), ["this version of stackctl reads `version = 1` only"]);
        assert_eq!(places("version = 1\nimages = 3\nx = 1"), ["`images` is a table", "unknown key `x`"]);
        let short = format!("version = 1\n[images]\na = \"sha256:00\"\nb = 1\nc = \"{}\"\n", sum('F'));
        assert_eq!(places(&short), ["`a` has no digest", "`b` has no digest", "`c` has no digest"]);
        let conflict = places("version = 1\n<<<<<<< ours\n");
        assert!(conflict.iter().any(|m| m.starts_with("not valid TOML")), "{conflict:?}");
    }
}
