//! What a run wants, before anything is asked of the engine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::name::ServiceName;
use crate::config::interpolate::Variables;
use crate::engine::send::Here;
use crate::model::lock::Lock;
use crate::model::secrets::SecretValues;
use crate::model::stack::Stack;
use crate::model::state::HeldImage;

use super::secrets::outside::Outside;

/// What a run wants, and where it stands.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The stack.
    pub stack: Stack,
    /// The environment over `.env`: for secrets that come from there.
    pub variables: Variables,
    /// Folder of stack.toml; relative paths start there.
    pub folder: PathBuf,
    /// stack.toml itself.
    pub file: PathBuf,
    /// Registry that stands in for Docker Hub.
    pub mirror: Option<String>,
    /// Who runs this: user and host.
    pub by: String,
    /// Text of stack.toml, for the release's record.
    pub text: String,
    /// Commit of the folder, where that is a Git checkout.
    pub commit: Option<String>,
    /// Values of secrets that are not on the engine.
    pub outside: Outside,
    /// Files in volumes are read, too, and compared.
    pub look_into_files: bool,
    /// Images that are held to a digest; `None` without a `stack.lock`.
    pub locked: Option<Lock>,
    /// Where this machine's own engine is.
    pub here: Here,
    /// The release to go back to, if it is that what is wanted.
    pub past: Option<Past>,
}

/// What a release was made from besides its stack.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its number.
    pub number: u32,
    /// Hash of each build context.
    pub contexts: BTreeMap<ServiceName, String>,
    /// Values of secrets.
    pub secrets: SecretValues,
    /// Images by reference.
    pub images: BTreeMap<String, HeldImage>,
}
