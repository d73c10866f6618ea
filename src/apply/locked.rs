//! Images as `stack.lock` has them, whatever their tags mean on the engine or in the registry.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::model::lock::Lock;
use crate::model::observed::Observed;
use crate::plan::image::{at_digest, mirrored};

use super::error::ApplyError;

/// Names by which locked images are had, where their own reference means something else on this engine. `observed`
/// then shows each reference as it is locked; one that is not here counts as moved, so that what runs by it is replaced.
pub(super) async fn pins(
    engine: &Engine,
    lock: &Lock,
    mirror: Option<&str>,
    references: &[String],
    observed: &mut Observed,
) -> Result<BTreeMap<String, String>, ApplyError> {
    let mut out = BTreeMap::new();
    for (reference, digest) in &lock.images {
        let reference = mirrored(reference, mirror);
        if !references.contains(&reference) {
            continue;
        }
        let here = observed.images.get(&reference);
        if here.is_some_and(|image| image.digests.iter().any(|known| known.ends_with(&format!("@{digest}")))) {
            continue;
        }
        let name = at_digest(&reference, digest);
        if let Some(image) = engine.image(&name).await? {
            observed.images.insert(reference.clone(), image);
        } else {
            observed.images.remove(&reference);
            observed.moved.insert(reference.clone());
        }
        out.insert(reference, name);
    }
    Ok(out)
}

/// What the reader should know: images that the lock says nothing of.
pub(super) fn notes(stack: &crate::model::stack::Stack, lock: Option<&Lock>) -> Vec<String> {
    let Some(lock) = lock else { return Vec::new() };
    let known = |image: &&String| !lock.images.contains_key(*image);
    let wanted = crate::model::lock::lockable(stack);
    let missing: Vec<&str> = wanted.keys().filter(known).map(String::as_str).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![format!("stack.lock says nothing of {}; `stackctl lock` adds what it is today", missing.join(", "))]
}
