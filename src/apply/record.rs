//! Writing down what was done: the release with all that is needed to do it again, the tags that hold its images, and
//! a line in the audit log.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::engine::{Engine, EngineError};
use crate::model::container::label;
use crate::model::secrets::{SecretSource, SecretValues};
use crate::model::served::Served;
use crate::model::service::Image;
use crate::model::state::{AuditEntry, HeldImage, Record, Release, built_before, texts_of_files, with_release};

use super::error::{ApplyError, Failure};
use super::prepare::Prepared;
use super::wanted::Wanted;

/// What is known of a run besides its plan.
pub(super) struct Ran<'a> {
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) result: &'a Result<(), ApplyError>,
    /// Hooks that did not end well, although the release is out.
    pub(super) hooks: &'a [Failure],
    pub(super) served: Option<Served>,
    /// The last lines of containers that were taken back.
    pub(super) logs: BTreeMap<String, Vec<String>>,
}

/// Keeps a release, and lets go of those that it pushes out.
pub(super) async fn keep(
    engine: &Engine,
    wanted: &Wanted,
    prepared: &Prepared,
    ran: Ran<'_>,
) -> Result<(), EngineError> {
    let project = &wanted.stack.project;
    let done = ran.result.is_ok();
    let images = held_images(engine, prepared, done, project.as_str()).await?;
    let mut held: BTreeSet<String> = BTreeSet::new();
    if done {
        held.extend(images.values().map(|i| i.tag.clone()));
        // What was built here goes with the last release that knows it; what was pulled is not only ours.
        let built = |reference: &&String| {
            wanted.stack.services.values().any(|s| match &s.image {
                Image::Build(build) => reference.starts_with(&format!("{project}-{}:", build.name)),
                Image::Pull(_) => false,
            })
        };
        held.extend(images.keys().filter(built).cloned());
    }
    let hooks = || ran.hooks.iter().map(|hook| hook.cause.as_str()).collect::<Vec<_>>().join("; ");
    let failed = ran.result.as_ref().err().map(ToString::to_string);
    let error = failed.or_else(|| Some(hooks()).filter(|text| !text.is_empty()));
    let mut release = Release {
        number: prepared.plan.release,
        began: ran.began,
        ended: ran.ended,
        by: wanted.by.clone(),
        result: if done { "done" } else { "failed" }.to_owned(),
        commit: wanted.commit.clone(),
        back_to: wanted.past.as_ref().map(|p| p.number),
        steps: prepared.plan.steps.len(),
        error: error.clone(),
        served: ran.served,
        held,
        built: images.values().filter(|i| done && i.digest.is_none()).map(|i| i.id.clone()).collect(),
        slot: 0,
    };
    let all = prepared.observed.state.as_ref().map(|s| s.releases.clone()).unwrap_or_default();
    let (kept, gone, slot) = with_release(all, release.clone());
    release.slot = slot;
    let record = Record {
        stack: wanted.stack.clone(),
        text: wanted.text.clone(),
        mirror: wanted.mirror.clone(),
        project_files: texts_of_files(&wanted.stack),
        contexts: prepared.hashes.clone(),
        images,
        parts: prepared.parts(wanted),
        steps: prepared.plan.steps.iter().map(|s| format!("{}: {}", s.action, s.cause)).collect(),
        logs: ran.logs,
        secrets: own_values(wanted, prepared),
        release,
    };
    engine.write_release(project, &record, &kept).await?;
    let what = wanted.past.as_ref().map_or_else(|| "up".to_owned(), |p| format!("rollback to {}", p.number));
    let entry = AuditEntry {
        at: ran.ended,
        by: wanted.by.clone(),
        what,
        release: Some(record.release.number),
        commit: wanted.commit.clone(),
        result: record.release.result.clone(),
        error,
    };
    engine.write_audit(project, &entry).await?;
    let still: BTreeSet<&String> = kept.iter().flat_map(|r| &r.held).collect();
    let free: BTreeSet<&String> = gone.iter().flat_map(|r| &r.held).filter(|tag| !still.contains(tag)).collect();
    // An image that somebody else uses stays: only its name goes.
    join_all(free.into_iter().map(|tag| engine.untag(tag))).await.into_iter().collect::<Result<(), _>>()?;
    let before = prepared.observed.containers.iter().any(|c| c.label(label::ROLE) == "hold");
    if done && (before || wanted.stack.hold_images > 0) {
        engine.hold_images(project, &built_before(&kept, wanted.stack.hold_images)).await?;
    }
    Ok(())
}

/// Secrets as they were given or made; those put together from them follow.
fn own_values(wanted: &Wanted, prepared: &Prepared) -> SecretValues {
    let own = |name: &&crate::base::name::SecretName| {
        wanted.stack.secrets.get(*name).is_some_and(|s| !matches!(s.source, SecretSource::Derived(_)))
    };
    prepared.values.iter().filter(|(name, _)| own(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Every image of the stack by its reference, each with a local tag that holds it if the release was done.
async fn held_images(
    engine: &Engine,
    prepared: &Prepared,
    hold: bool,
    project: &str,
) -> Result<BTreeMap<String, HeldImage>, EngineError> {
    let by_reference: BTreeMap<&String, &String> =
        prepared.images.iter().map(|(service, reference)| (reference, service)).collect();
    let one = async |reference: &String, service: &String| {
        let image = match prepared.observed.images.get(reference) {
            Some(image) => Some(image.clone()),
            None => engine.image(prepared.pinned(reference)).await?,
        };
        let Some(image) = image else { return Ok(None) };
        let short: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
        let kept = HeldImage {
            tag: format!("{project}-{service}:held-{short}"),
            digest: image.digests.first().cloned(),
            id: image.id,
        };
        if hold {
            engine.tag(&kept.id, &kept.tag).await?;
        }
        Ok::<_, EngineError>(Some((reference.clone(), kept)))
    };
    let all = join_all(by_reference.into_iter().map(|(reference, service)| one(reference, service))).await;
    all.into_iter().filter_map(Result::transpose).collect()
}
