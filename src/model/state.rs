//! What is kept on the engine between runs, in the volume `<project>_stackctl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use super::secrets::SecretValues;

/// The project's memory.
#[derive(Debug, Clone, Default, Serialize)]
pub struct State {
    /// Key of fingerprints; made with the volume.
    #[serde(skip)]
    pub key: Vec<u8>,
    /// Stage that the project was first deployed as; empty for the default one.
    pub stage: String,
    /// Generated secrets, and the last value seen of those that come from elsewhere.
    pub secrets: SecretValues,
    /// For each service that reloads its files: hash of the set it was last told to load.
    pub applied: BTreeMap<String, String>,
    /// Finished and failed releases, oldest first.
    pub releases: Vec<Release>,
    /// How fast the front door was when somebody stored it.
    pub baseline: Option<Baseline>,
}

/// One deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// From 1.
    pub number: u32,
    /// When it ended, seconds since 1970.
    pub ended: u64,
    /// Who ran it: user and host.
    pub by: String,
    /// `done` or `failed`.
    pub result: String,
    /// Images by service: reference and ID.
    pub images: BTreeMap<String, String>,
    /// How many steps it took.
    pub steps: usize,
    /// What was wrong, for a failed one.
    pub error: Option<String>,
}

impl State {
    /// The number the next release gets.
    pub fn next_release(&self) -> u32 {
        self.releases.last().map_or(1, |r| r.number + 1)
    }
}
