//! Going back to a release: what it was made from becomes what is wanted.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::model::observed::Observed;
use crate::model::state::Record;

use super::error::ApplyError;
use super::wanted::{Past, Wanted};

/// What is wanted, from a release's record. Folder, file and person are those of now.
pub fn back_to(record: &Record, now: &Wanted) -> Wanted {
    Wanted {
        stack: record.whole_stack(),
        mirror: record.mirror.clone(),
        text: record.text.clone(),
        commit: record.release.commit.clone(),
        locked: None,
        past: Some(Past {
            number: record.release.number,
            contexts: record.contexts.clone(),
            secrets: record.secrets.clone(),
            images: record.images.clone(),
        }),
        ..now.clone()
    }
}

/// Finds a release's images: those whose reference still means them need nothing, others are had by the tag that
/// holds them, by their ID, or from their registry. `observed` then shows each reference as the release knew it.
pub(super) async fn pins(
    engine: &Engine,
    past: &Past,
    references: &[String],
    observed: &mut Observed,
) -> Result<BTreeMap<String, String>, ApplyError> {
    let mut out = BTreeMap::new();
    let mut missing = Vec::new();
    for reference in references {
        let Some(held) = past.images.get(reference) else {
            missing.push(format!("it is not known which image `{reference}` was"));
            continue;
        };
        if observed.images.get(reference).is_some_and(|now| now.id == held.id) {
            continue;
        }
        let by_tag = engine.image(&held.tag).await?.filter(|image| image.id == held.id);
        let (name, found) = match by_tag {
            Some(image) => (held.tag.clone(), Some(image)),
            None => (held.id.clone(), engine.image(&held.id).await?),
        };
        match (found, &held.digest) {
            (Some(image), _) => {
                out.insert(reference.clone(), name);
                observed.images.insert(reference.clone(), image);
            }
            (None, Some(digest)) => {
                out.insert(reference.clone(), digest.clone());
                observed.images.remove(reference);
            }
            (None, None) => {
                missing.push(format!("its image `{reference}`, built here, is gone, and nobody else has it"));
            }
        }
    }
    if missing.is_empty() { Ok(out) } else { Err(ApplyError::Gone { release: past.number, images: missing }) }
}
