//! `stack.lock`: read with places, written sorted, so that a merge touches only what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use crate::base::problem::{Problem, Problems};
use crate::model::lock::{Lock, lockable};
use crate::model::stack::Stack;

use super::Source;
use super::interpolate::Variables;
use super::print::string;
use super::tree::{self, Entry, Value};

/// Form of the file; another number is another form.
const VERSION: i64 = 1;

const HEAD: &str = "\
# Written by `stackctl lock`; belongs into version control. Which image each tag meant
# when it was locked: `plan` and `up` take these, whatever the tags mean by now.
# `stackctl lock --upgrade` takes what they mean today.
";

/// A lock and where it says what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The lock.
    pub lock: Lock,
    /// Where the name of each image stands.
    places: BTreeMap<String, Range<usize>>,
    /// Where the images begin.
    table: Range<usize>,
}

/// The images that a file runs in all of its stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// The services that run each of them; `proxy` for the front door.
    pub images: BTreeMap<String, BTreeSet<String>>,
    /// Stages that cannot be read here, for a variable that is not set, say; `None` is the default one.
    pub unread: Vec<Option<String>>,
}

/// Reads the file; `None` if anything is wrong with it. All of that is told at its place.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Locked> {
    let mut found = Problems::default();
    let locked = read(text, &mut found);
    let wrong = found.has_errors();
    for (index, problem) in found.sorted().into_iter().enumerate() {
        let problem = match index {
            0 => problem.help("take back what was changed by hand; or remove the file and run `stackctl lock`"),
            _ => problem,
        };
        problems.push(problem.in_lock());
    }
    (!wrong).then_some(locked)
}

fn read(text: &str, problems: &mut Problems) -> Locked {
    let root = tree::parse(text, problems);
    let mut locked = Locked { lock: Lock::default(), places: BTreeMap::new(), table: 0..0 };
    // With holes in it, it would only be misunderstood: syntax first.
    if problems.has_errors() {
        return locked;
    }
    match root.get("version").map(|e| (&e.node.value, &e.node.span)) {
        Some((Value::Integer(VERSION), _)) => {}
        Some((_, span)) => problems.push(
            Problem::error(format!("this version of stackctl reads `version = {VERSION}` only")).at(span.clone()),
        ),
        None => problems.push(Problem::error("it has no `version`").at(0..0)),
    }
    if let Value::Table(entries) = &root.value {
        for entry in entries.iter().filter(|e| !["version", "images"].contains(&e.key.as_str())) {
            let problem = Problem::error(format!("unknown key `{}`", entry.key)).rule("unknown-key");
            problems.push(problem.at(entry.key_span.clone()));
        }
    }
    let Some(images) = root.get("images") else { return locked };
    locked.table = images.key_span.clone();
    let Value::Table(entries) = &images.node.value else {
        problems.push(Problem::error("`images` is a table").at(images.node.span.clone()));
        return locked;
    };
    for entry in entries {
        locked.places.insert(entry.key.clone(), entry.key_span.clone());
        match digest(entry) {
            Some(digest) => drop(locked.lock.images.insert(entry.key.clone(), digest)),
            None => problems.push(
                Problem::error(format!("`{}` has no digest", entry.key))
                    .at(entry.node.span.clone())
                    .label("allowed: `sha256:` and 64 hexadecimal digits"),
            ),
        }
    }
    locked
}

/// The images of a stack and of the other stages of its file.
pub fn references(source: Source<'_>, stack: &Stack, variables: &Variables) -> References {
    let mut out = References { images: lockable(stack), unread: Vec::new() };
    let mut root = tree::parse(source.text, &mut Problems::default());
    let stages = super::take_stages(&mut root, &mut Problems::default());
    for overlay in std::iter::once(None).chain(stages.iter().map(Some)) {
        let stage = overlay.map(|(name, _)| name.as_str());
        if stage == stack.stage.as_deref() {
            continue;
        }
        let mut problems = Problems::default();
        let other = super::build(source, root.clone(), overlay, stage, variables, &mut problems);
        match other.filter(|_| !problems.has_errors()) {
            Some(other) => {
                for (image, services) in lockable(&other) {
                    out.images.entry(image).or_default().extend(services);
                }
            }
            None => out.unread.push(stage.map(str::to_owned)),
        }
    }
    out
}

/// What the lock lacks, and what it has that nothing runs: it works, and `stackctl lock` would change it.
pub fn compare(locked: &Locked, wanted: &References, problems: &mut Problems) {
    for (image, services) in wanted.images.iter().filter(|(image, _)| !locked.lock.images.contains_key(*image)) {
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        problems.push(
            Problem::warning(format!("`{image}` is not locked"))
                .rule("lock-incomplete")
                .in_lock()
                .at(locked.table.clone())
                .label(format!("run by {}", services.join(", ")))
                .help("`stackctl lock` adds what it means today"),
        );
    }
    // What is locked for a stage that cannot be read stays.
    if !wanted.unread.is_empty() {
        return;
    }
    for (image, place) in locked.places.iter().filter(|(image, _)| !wanted.images.contains_key(*image)) {
        problems.push(
            Problem::warning(format!("nothing runs `{image}`"))
                .rule("lock-left-over")
                .in_lock()
                .at(place.clone())
                .help("`stackctl lock` takes it out"),
        );
    }
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
        let _ = writeln!(out, "{} = \"{digest}\"", string(image));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    fn lock(text: &str) -> Option<Lock> {
        parse(text, &mut Problems::default()).map(|locked| locked.lock)
    }

    #[test]
    fn there_and_back() {
        let images = [("nginx:1.30", '0'), ("ghcr.io:443/a/b:1", 'f'), ("odd\"name", 'a')];
        let there = Lock { images: images.into_iter().map(|(name, c)| (name.to_owned(), sum(c))).collect() };
        let text = print(&there);
        assert_eq!(lock(&text), Some(there));
        let order: Vec<_> = text.lines().filter_map(|l| l.split_once(" = \"sha256").map(|(name, _)| name)).collect();
        assert_eq!(order, ["\"ghcr.io:443/a/b:1\"", "\"nginx:1.30\"", "\"odd\\\"name\""]);
        assert_eq!(lock(&print(&Lock::default())), Some(Lock::default()));
    }

    #[test]
    fn all_that_is_wrong() {
        let messages = |text: &str| -> Vec<String> {
            let mut problems = Problems::default();
            assert_eq!(parse(text, &mut problems), None);
            problems.sorted().into_iter().map(|p| p.message).collect()
        };
        assert_eq!(messages("images = {}"), ["it has no `version`"]);
        assert_eq!(messages("version = 2"), ["this version of stackctl reads `version = 1` only"]);
        assert_eq!(messages("version = 1\nimages = 3\nx = 1"), ["`images` is a table", "unknown key `x`"]);
        let short = format!("version = 1\n[images]\na = \"sha256:00\"\nb = 1\nc = \"{}\"\n", sum('F'));
        assert_eq!(messages(&short), ["`a` has no digest", "`b` has no digest", "`c` has no digest"]);
        let conflict = messages("version = 1\n<<<<<<< ours\n");
        assert!(conflict.iter().any(|m| m.starts_with("not valid TOML")), "{conflict:?}");
    }

    #[test]
    fn what_it_lacks_and_what_nothing_runs() {
        let text = "name = \"x\"\n[services.app]\nimage = \"app:1\"\n[stages.a]\nservices.app.image = \"app:2\"\n\
            [stages.b]\nservices.app.image = \"app:${B}\"\n";
        let source = Source { text, beside: &super::super::beside::Nothing };
        let told = |variables: &Variables, lock: &str| {
            let loaded = super::super::load(text, None, &Variables::from([("B".to_owned(), "3".to_owned())]));
            let Some(stack) = loaded.stack else { unreachable!("{:?}", loaded.problems) };
            let mut problems = Problems::default();
            let Some(locked) = parse(lock, &mut problems) else { unreachable!("{problems:?}") };
            compare(&locked, &references(source, &stack, variables), &mut problems);
            let at = |p: &Problem| p.span.as_ref().and_then(|s| lock.get(s.clone())).unwrap_or_default().to_owned();
            problems.sorted().iter().map(|p| format!("{} {}", at(p), p.message)).collect::<Vec<_>>()
        };
        let all = Variables::from([("B".to_owned(), "3".to_owned())]);
        let lock = format!("version = 1\n[images]\n\"app:1\" = \"{0}\"\n\"old:1\" = \"{0}\"\n", sum('a'));
        let lacks = ["images `app:2` is not locked", "images `app:3` is not locked"];
        assert_eq!(told(&all, &lock), [lacks[0], lacks[1], "\"old:1\" nothing runs `old:1`"]);
        // A stage that cannot be read may run it.
        assert_eq!(told(&Variables::new(), &lock), [lacks[0]]);
    }
}
