//! What is kept on the engine between runs, in the volume `<project>_stackctl`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::name::{SecretName, ServiceName};

use super::baseline::Baseline;
use super::certificate::Attempts;
use super::parts::Parts;
use super::secrets::SecretValues;
use super::served::Served;
use super::stack::Stack;

/// How many releases that came to their end are kept: as far as one can go back.
pub const KEEP_DONE: usize = 10;

/// How many failed ones are kept, with the logs of their containers.
pub const KEEP_FAILED: usize = 5;

/// The project's memory: what every run reads, and so little that it stays quick.
#[derive(Debug, Clone, Default, Serialize)]
pub struct State {
    /// Key of fingerprints; made with the volume.
    #[serde(skip)]
    pub key: Vec<u8>,
    /// Stage that the project was first deployed as; empty for the default one.
    pub stage: String,
    /// Generated secrets, and the last value seen of those that come from elsewhere.
    pub secrets: SecretValues,
    /// When each of them was last changed, seconds since 1970; 0 where that was not kept.
    #[serde(skip)]
    pub changed: BTreeMap<SecretName, u64>,
    /// For each service that reloads its files: hash of the set it was last told to load.
    pub applied: BTreeMap<String, String>,
    /// For each of them: what that set said, part by part.
    pub loaded: BTreeMap<String, Parts>,
    /// Where the front door asks for replicas by files that it was about to load, set by set: of runs that may have
    /// ended before anybody knew that it has. Empty once that is known.
    #[serde(skip)]
    pub about: Vec<Parts>,
    /// Finished and failed releases that are kept, oldest first.
    pub releases: Vec<Release>,
    /// How fast the front door was when somebody stored it.
    pub baseline: Option<Baseline>,
    /// How asking for a certificate failed the last times; nothing after one that came.
    #[serde(skip)]
    pub attempts: Attempts,
}

/// One deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Release {
    /// From 1.
    pub number: u32,
    /// When it began, seconds since 1970.
    pub began: u64,
    /// When it ended, seconds since 1970.
    pub ended: u64,
    /// Who ran it: user and host.
    pub by: String,
    /// `done` or `failed`.
    pub result: String,
    /// Commit of the folder it was made from, where that is a Git checkout; ends in `-dirty` if it was not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The release it went back to, for a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u32>,
    /// How many steps it took.
    pub steps: usize,
    /// What was wrong: for a failed one, or with a hook of one that is out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What visitors met meanwhile; `None` if nobody measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    /// Tags that hold its images.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<String>,
    /// IDs of its images that were built here: nobody else has them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub built: BTreeSet<String>,
    /// Place of its [`Record`] in the volume.
    pub slot: u32,
}

impl Release {
    /// Whether it came to its end.
    pub fn done(&self) -> bool {
        self.result == "done"
    }
}

/// Everything that is needed to do a release again, and to understand why it failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its line in the list.
    pub release: Release,
    /// The stack, with all that was looked up: variables, presets, stage.
    pub stack: Stack,
    /// stack.toml as it was.
    pub text: String,
    /// Registry that stood in for Docker Hub.
    pub mirror: Option<String>,
    /// Contents of files of the project, by service, in the stack's order: the stack itself goes without.
    #[serde(default)]
    pub project_files: BTreeMap<ServiceName, Vec<Vec<String>>>,
    /// Hash of each build context.
    pub contexts: BTreeMap<ServiceName, String>,
    /// Images by the reference that was asked for.
    pub images: BTreeMap<String, HeldImage>,
    /// Each service's configuration, part by part.
    pub parts: BTreeMap<String, Parts>,
    /// What was done, and why.
    pub steps: Vec<String>,
    /// The last lines of containers that were taken back, by name.
    pub logs: BTreeMap<String, Vec<String>>,
    /// Values of secrets that do not come from the stack itself. Kept apart from all else.
    #[serde(skip)]
    pub secrets: SecretValues,
}

/// An image a release ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldImage {
    /// Its ID.
    pub id: String,
    /// Where it can be had again: `repository@sha256:…`; `None` for one that was built here.
    pub digest: Option<String>,
    /// Local tag that holds it.
    pub tag: String,
}

/// A line of the audit log: who changed what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditEntry {
    /// When, seconds since 1970.
    pub at: u64,
    /// Who: user and host.
    pub by: String,
    /// What: the command, in words.
    pub what: String,
    /// The release it made, if any.
    pub release: Option<u32>,
    /// Git commit, where it was known.
    pub commit: Option<String>,
    /// `done` or `failed`.
    pub result: String,
    /// What was wrong, if it failed.
    pub error: Option<String>,
}

impl Record {
    /// The stack with the contents of its files.
    pub fn whole_stack(&self) -> Stack {
        let mut stack = self.stack.clone();
        for (name, texts) in &self.project_files {
            let Some(service) = stack.services.get_mut(name) else { continue };
            for (file, texts) in service.project_files.iter_mut().zip(texts) {
                for (content, text) in file.files.iter_mut().zip(texts) {
                    content.text.clone_from(text);
                }
            }
        }
        stack
    }
}

/// Contents of files of the project, as [`Record`] keeps them.
pub fn texts_of_files(stack: &Stack) -> BTreeMap<ServiceName, Vec<Vec<String>>> {
    let with_files = stack.services.values().filter(|s| !s.project_files.is_empty());
    let texts = with_files.map(|service| {
        let of_file = |file: &super::service::ProjectFile| file.files.iter().map(|f| f.text.clone()).collect();
        (service.name.clone(), service.project_files.iter().map(of_file).collect())
    });
    texts.collect()
}

impl State {
    /// The number the next release gets.
    pub fn next_release(&self) -> u32 {
        self.releases.last().map_or(1, |r| r.number + 1)
    }

    /// The release that came to its end last.
    pub fn current(&self) -> Option<&Release> {
        self.releases.iter().rev().find(|r| r.done())
    }
}

/// Images that were built here, of as many releases before the one that serves, and not of that one: its containers
/// hold its own.
pub fn built_before(releases: &[Release], back: u32) -> BTreeSet<String> {
    let mut done = releases.iter().rev().filter(|r| r.done());
    let now = done.next().map(|r| r.built.clone()).unwrap_or_default();
    let before = done.take(usize::try_from(back).unwrap_or(usize::MAX)).flat_map(|r| &r.built);
    before.filter(|image| !now.contains(*image)).cloned().collect()
}

/// The list with one more release: those that go for it, and the place the new one gets. The newest of each kind stay.
pub fn with_release(mut all: Vec<Release>, mut new: Release) -> (Vec<Release>, Vec<Release>, u32) {
    all.retain(|r| r.number != new.number);
    let (mut done, mut failed) = (usize::from(new.done()), usize::from(!new.done()));
    let mut kept: Vec<Release> = Vec::new();
    let mut gone = Vec::new();
    for release in all.into_iter().rev() {
        let (count, most) = if release.done() { (&mut done, KEEP_DONE) } else { (&mut failed, KEEP_FAILED) };
        *count += 1;
        if *count <= most { kept.push(release) } else { gone.push(release) }
    }
    kept.reverse();
    let taken: BTreeSet<u32> = kept.iter().map(|r| r.slot).collect();
    new.slot = (0..=u32::MAX).find(|slot| !taken.contains(slot)).unwrap_or_default();
    let slot = new.slot;
    kept.push(new);
    (kept, gone, slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(number: u32, done: bool) -> Release {
        Release { number, result: if done { "done" } else { "failed" }.to_owned(), ..Release::default() }
    }

    #[test]
    fn a_thousand_releases_take_the_place_of_fifteen() {
        let mut all = Vec::new();
        for number in 1..=1000 {
            // Long runs of failures must not push out what one can go back to.
            (all, _, _) = with_release(all, release(number, number % 17 == 0 || number < 12));
            assert!(all.len() <= KEEP_DONE + KEEP_FAILED);
            assert!(all.iter().all(|r| (r.slot as usize) < KEEP_DONE + KEEP_FAILED));
            let slots: BTreeSet<u32> = all.iter().map(|r| r.slot).collect();
            assert_eq!(slots.len(), all.len(), "each has a place of its own");
            assert_eq!(all.last().map(|r| r.number), Some(number));
            assert!(all.is_sorted_by_key(|r| r.number));
        }
        assert_eq!(all.iter().filter(|r| r.done()).count(), KEEP_DONE);
    }

    #[test]
    fn images_of_before_are_held_as_far_back_as_asked() {
        let built =
            |number, image: &str, done| Release { built: BTreeSet::from([image.to_owned()]), ..release(number, done) };
        let all =
            [built(1, "a", true), built(2, "b", true), built(3, "x", false), built(4, "c", true), built(5, "c", true)];
        let held = |back| built_before(&all, back).into_iter().collect::<Vec<_>>();
        assert_eq!(held(0), Vec::<String>::new());
        assert_eq!(held(1), Vec::<String>::new(), "the release before ran what this one runs");
        assert_eq!(held(2), ["b"], "what failed never ran");
        assert_eq!(held(9), ["a", "b"]);
        assert_eq!(built_before(&[], 3), BTreeSet::new());
    }

    #[test]
    fn what_goes_is_told() {
        let all: Vec<Release> = (1..=10).map(|n| Release { slot: n - 1, ..release(n, true) }).collect();
        let (kept, gone, slot) = with_release(all, release(11, true));
        assert_eq!(gone.iter().map(|r| r.number).collect::<Vec<_>>(), [1]);
        assert_eq!((slot, kept.len()), (0, 10), "its place is used again");
    }
}
