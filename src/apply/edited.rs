//! Files in volumes of ours that somebody has edited: read from a container that has them, compared with what was
//! written. A read takes the engine a tenth of a second or so, so this is done only where it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::engine::{Engine, EngineError, ErrorKind};
use crate::model::artifact::Artifact;
use crate::model::observed::Observed;
use crate::model::secrets::SECRETS_FOLDER;
use crate::model::service::RELOADED;
use crate::plan::{Files, Placed, Placement};

/// What is to be read: the volume, a container that has it, the folder there, and what should be in it.
struct Question<'a> {
    volume: String,
    container: &'a str,
    folder: String,
    files: &'a [Artifact],
}

/// Files that are not as they were written, by volume.
pub(super) async fn edited(
    engine: &Engine,
    observed: &Observed,
    placement: &Placement,
    files: &Files,
) -> Result<BTreeMap<String, BTreeSet<String>>, EngineError> {
    let all = placement.services.iter().chain(&placement.proxy);
    let questions: Vec<Question<'_>> = all.flat_map(|placed| questions(placed, observed, files)).collect();
    let answers = join_all(questions.iter().map(|q| engine.folder(q.container, &q.folder))).await;
    let mut out = BTreeMap::new();
    for (question, answer) in questions.into_iter().zip(answers) {
        let there = match answer {
            Ok(there) => there,
            Err(error) if error.kind == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let different: BTreeSet<String> = question
            .files
            .iter()
            .filter(|f| !there.get(&f.path).is_some_and(|e| e.is(f)))
            .map(|f| f.path.clone())
            .collect();
        if !different.is_empty() {
            out.insert(question.volume, different);
        }
    }
    Ok(out)
}

fn questions<'a>(placed: &'a Placed, observed: &Observed, files: &'a Files) -> Vec<Question<'a>> {
    let Some(container) = placed.replicas.iter().find_map(|r| r.existing.as_ref()).map(|e| e.0.as_str()) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if let Some((volume, files)) = &placed.fixed_files {
        out.push(Question { volume: volume.clone(), container, folder: SECRETS_FOLDER.to_owned(), files });
    }
    let applied = observed.state.as_ref().and_then(|s| s.applied.get(placed.service.as_str()));
    let loaded = files.get(&placed.service).filter(|(hash, _)| placed.reloads && applied == Some(hash));
    let mount = placed.spec.mounts.iter().find(|m| m.target == RELOADED);
    if let (Some((hash, files)), Some(mount)) = (loaded, mount) {
        let folder = format!("{RELOADED}/releases/{hash}");
        out.push(Question { volume: mount.volume.clone(), container, folder, files });
    }
    out
}
