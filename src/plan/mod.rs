//! L2: from the desired stack and what the engine has to a plan. Pure: no clock, no engine, no questions.
//!
//! In two halves, because the front door's files name addresses: [`place()`] gives every container a name and an
//! address, the files are rendered from that, and [`reconcile()`] compares everything with what is there.

mod address;
pub mod capacity;
pub mod data;
pub mod disk;
pub mod door;
pub mod down;
pub mod drift;
pub mod image;
mod launcher;
mod loaded;
mod network;
pub mod place;
pub mod prune;
pub mod reconcile;
pub mod seal;
mod spec;
pub mod step;
pub mod undo;

use std::collections::BTreeMap;

use crate::base::name::ServiceName;
use crate::model::observed::Observed;
use crate::model::secrets::SecretValues;
use crate::model::stack::Stack;

pub use place::{Placed, Placement, Replica, place};
pub use reconcile::{Files, load_files, load_front_door, parts, reconcile};
pub use seal::Seal;
pub use step::{Action, Plan, Step, only_flags};

/// Everything a plan is made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// What should be.
    pub stack: &'a Stack,
    /// What is.
    pub observed: &'a Observed,
    /// Values of all secrets that have one, derived ones too.
    pub values: &'a SecretValues,
    /// Key of fingerprints.
    pub key: &'a [u8],
    /// Hash of each build context, by the service that declares it.
    pub contexts: &'a BTreeMap<ServiceName, String>,
    /// Registry that stands in for Docker Hub.
    pub mirror: Option<&'a str>,
    /// Folder and file the stack was read from, for Compose's labels.
    pub origin: (&'a str, &'a str),
    /// For going back to a release: images whose reference means something else by now, each with the name it can be
    /// had by. Nothing is built then, and no `pre_deploy` job runs: data does not go back.
    pub back: Option<&'a BTreeMap<String, String>>,
    /// Images that `stack.lock` holds to another digest than their reference means on the engine, each with the name it
    /// can be had by.
    pub locked: Option<&'a BTreeMap<String, String>>,
}

impl Inputs<'_> {
    /// The name an image can be had by.
    pub fn pinned<'b>(&'b self, reference: &'b str) -> &'b str {
        let name = |pins: Option<&'b BTreeMap<String, String>>| pins.and_then(|pins| pins.get(reference));
        name(self.back).or_else(|| name(self.locked)).map_or(reference, String::as_str)
    }
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The pool has no free /24 left.
    #[error("no free /24 is left in {pool} for network {network}; choose another `pool`")]
    PoolExhausted {
        /// The pool.
        pool: String,
        /// The network that got none.
        network: String,
    },
    /// The host has fewer processors than the stack asks for: one sentence each, with its line.
    #[error("{}", .0.join("\n"))]
    TooLarge(Vec<String>),
    /// Databases whose data is of another major version.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    ForeignData(Vec<data::Foreign>),
    /// A network has no free address left.
    #[error("network {network} has no free address left for {container}")]
    NetworkFull {
        /// The network.
        network: String,
        /// The container that got none.
        container: String,
    },
    /// There is no launcher for the engine's machines.
    #[error("`{service}` has `launcher = true`, and there is no launcher for {arch}: only for amd64 and arm64")]
    NoLauncher {
        /// The service.
        service: String,
        /// The engine's architecture.
        arch: String,
    },
    /// An image that may not be pulled is not there.
    #[error(
        "the engine does not have {image}, and `{service}` says `pull_policy = \"never\"`; bring it there (`docker load`, `docker build`), or leave `pull_policy` away"
    )]
    NoImage {
        /// The image.
        image: String,
        /// The service that runs it.
        service: String,
    },
}
