//! Values that do not live on the engine: of the environment, of files, of programs. Read once a run, however often the
//! plan is made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::config::interpolate::Variables;
use crate::files::command::line_of;
use crate::files::encrypted::{self, Entries, Keyring};
use crate::files::private::read_private;
use crate::model::secrets::SecretSource;
use crate::model::stack::Stack;

/// What each source gave, or why it gave nothing. Secrets that have no value in their source are not there.
type Given = BTreeMap<SecretName, Result<Secret, String>>;

/// The sources of one run.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Where identities for encrypted files may be.
    pub keyring: Keyring,
    given: Arc<OnceCell<Given>>,
}

impl Outside {
    /// With the person's identities.
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring, given: Arc::default() }
    }

    /// Reads all sources, the first time; programs run side by side.
    pub(super) async fn read(&self, stack: &Stack, variables: &Variables, folder: &Path) -> &Given {
        self.given.get_or_init(|| self.gather(stack, variables, folder)).await
    }

    async fn gather(&self, stack: &Stack, variables: &Variables, folder: &Path) -> Given {
        let mut out = Given::new();
        let mut opened: BTreeMap<&str, Result<Entries, String>> = BTreeMap::new();
        let mut commands = Vec::new();
        for (name, spec) in &stack.secrets {
            let value = match &spec.source {
                SecretSource::Env(variable) => {
                    variables.get(variable).filter(|v| !v.is_empty()).map(|v| Ok(Secret::new(v.clone())))
                }
                SecretSource::File(path) => from_file(&folder.join(path), spec.optional),
                SecretSource::Age(path) => {
                    let path_of = || folder.join(path);
                    let entries = opened.entry(path).or_insert_with(|| {
                        if path_of().exists() { encrypted::open(&path_of(), &self.keyring) } else { Ok(Entries::new()) }
                    });
                    match entries {
                        Ok(entries) => entries.get(name).cloned().map(Ok),
                        Err(why) => Some(Err(why.clone())),
                    }
                }
                SecretSource::Command { words, timeout } => {
                    commands.push(async move { (name.clone(), line_of(words, folder, timeout.0).await) });
                    None
                }
                SecretSource::Generate(_)
                | SecretSource::Stored
                | SecretSource::Issued
                | SecretSource::PublicOf(_)
                | SecretSource::Derived(_) => None,
            };
            out.extend(value.map(|v| (name.clone(), v)));
        }
        out.extend(futures_util::future::join_all(commands).await);
        out
    }
}

/// An optional one may be missing; whatever else is wrong with it is an error all the same.
fn from_file(path: &Path, optional: bool) -> Option<Result<Secret, String>> {
    let missing = optional && std::fs::symlink_metadata(path).is_err();
    (!missing).then(|| read_private(path))
}
