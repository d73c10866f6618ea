//! Changes to the values that are kept on the engine, made by hand.

use std::collections::BTreeMap;

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::engine::Engine;
use crate::engine::state::secret_file;
use crate::model::container::label;
use crate::model::observed::Observed;
use crate::model::secrets::{Recipe, SecretSource, SecretValues};
use crate::model::service::{Preset, Service};
use crate::model::stack::Stack;

use super::generate::generate;
use crate::apply::error::ApplyError;
use crate::apply::event::Sink;
use crate::apply::prepare::check_stage;
use crate::apply::up::take_lock;
use crate::apply::wanted::Wanted;

/// Puts values onto the engine, under the lock. The services that use them get them with the next `up`.
///
/// # Errors
/// The engine's, the lock's, and [`ApplyError::WrongStage`].
pub async fn keep(
    engine: &Engine,
    wanted: &Wanted,
    values: &BTreeMap<SecretName, Secret>,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<(), ApplyError> {
    let project = &wanted.stack.project;
    engine.ensure_holder().await?;
    let lock = take_lock(engine, wanted, now, sink).await?;
    check_stage(&wanted.stack, &engine.observe(project, &[]).await?)?;
    let labels = BTreeMap::from([(label::PROJECT.to_owned(), project.to_string())]);
    engine.create_state(project, wanted.stack.stage.as_deref().unwrap_or_default(), labels).await?;
    let files: Vec<_> = values.iter().map(|(name, value)| secret_file(name, value)).collect();
    engine.write_state(project, &files).await?;
    lock.release().await?;
    Ok(())
}

/// A fresh value for a generated secret; `None` for any other.
///
/// # Errors
/// In words, if it is made in another way, or the system gives no random numbers.
pub fn fresh(source: &SecretSource) -> Result<Option<Secret>, String> {
    match source {
        SecretSource::Generate(Recipe::Authority(_) | Recipe::Trial { .. }) => {
            Err("trial certificates are made anew by `stackctl cert renew`".to_owned())
        }
        SecretSource::Generate(recipe) => generate(recipe, &SecretValues::new()).map(Some),
        _ => Ok(None),
    }
}

/// Why a value cannot simply be replaced: a database that has data keeps the password it was made with.
pub fn bound(stack: &Stack, observed: &Observed, name: &SecretName) -> Option<String> {
    let (owner, _) = name.as_str().rsplit_once(".password").filter(|(_, rest)| rest.is_empty())?;
    let keeps = |s: &&Service| matches!(s.preset, Some(Preset::Postgres | Preset::Grafana));
    let service = stack.services.get(owner).filter(keeps)?;
    let volume = service.volumes.iter().map(|v| stack.volume_name(&v.volume));
    let there = volume.into_iter().find(|name| observed.volumes.iter().any(|v| v.name == *name))?;
    Some(format!(
        "the database in {there} was made with the password it has; another value here would lock everybody out"
    ))
}
