//! The front door, or a database, loads a certificate, and nothing else happens: its files are rendered anew from the
//! release that runs, whatever stack.toml says by now.

use crate::base::name::ServiceName;
use crate::engine::send::Here;
use crate::model::proxy::Proxy;
use crate::plan::{self, Inputs, Plan};

use super::super::error::ApplyError;
use super::super::past;
use super::super::prepare::{NO_KEY, references};
use super::super::rendered::rendered;
use super::super::secrets::resolve_past;
use super::super::steps::Effects;
use super::super::up::carry_out;
use super::super::wanted::Wanted;
use super::{Sink, Work};

/// `database` names the one that loads; without it, the front door does.
pub(super) async fn load(
    work: &Work<'_>,
    database: Option<&ServiceName>,
    sink: &mut dyn Sink,
) -> Result<(), ApplyError> {
    let project = &work.wanted.stack.project;
    let record = match work.state.current() {
        Some(release) => work.engine.read_release(project, release).await?,
        None => None,
    };
    let Some(record) = record else { return Err(later("the record of the release that runs is gone")) };
    let running = past::back_to(&record, work.wanted);
    let Some(plan) = plan(work, &running, database).await? else {
        return Err(later(&format!("{} does not run", database.map_or("the front door", ServiceName::as_str))));
    };
    if plan.steps.is_empty() {
        return Ok(());
    }
    let contexts = std::collections::BTreeMap::new();
    let effects = Effects {
        engine: work.engine,
        project,
        domain: running.stack.proxy.as_ref().map_or("localhost", Proxy::canonical).to_owned(),
        values: None,
        contexts: &contexts,
        folder: running.folder.clone(),
        mirror: running.mirror.clone(),
        here: Here::default(),
        lock: Some(work.lock),
    };
    // Half of it would be loaded by the next `up`: an interruption waits for the end, which is seconds away.
    carry_out(&effects, &plan, false, std::future::pending(), sink).await.result
}

async fn plan(work: &Work<'_>, running: &Wanted, database: Option<&ServiceName>) -> Result<Option<Plan>, ApplyError> {
    let Some(made_from) = &running.past else { return Ok(None) };
    let images = references(running, &made_from.contexts);
    let mut observed = work.engine.observe(&running.stack.project, &images).await?;
    // Images that are gone are no matter here: no container is made.
    let back = past::pins(work.engine, made_from, &images, &mut observed).await.unwrap_or_default();
    let resolved = resolve_past(&running.stack, observed.state.as_ref(), &made_from.secrets)?;
    let key = observed.state.as_ref().map_or(NO_KEY, |s| s.key.as_slice()).to_vec();
    let (folder, file) = (running.folder.to_string_lossy(), running.file.to_string_lossy());
    let inputs = Inputs {
        stack: &running.stack,
        observed: &observed,
        values: &resolved.values,
        key: &key,
        contexts: &made_from.contexts,
        mirror: running.mirror.as_deref(),
        origin: (&folder, &file),
        back: Some(&back),
        locked: None,
    };
    let placement = plan::place(&inputs)?;
    let mut files = rendered(&inputs, &placement)?;
    if let Some(name) = database {
        files.retain(|service, _| service == name);
        return Ok(plan::load_files(&inputs, &placement, &files, name));
    }
    files.retain(|service: &ServiceName, _| service.as_str() == plan::reconcile::FRONT_DOOR);
    Ok(plan::load_front_door(&inputs, &placement, &files))
}

fn later(why: &str) -> ApplyError {
    ApplyError::Certificate {
        why: format!("the new certificate is kept, and not loaded yet: {why}"),
        serves: "what served before serves on".to_owned(),
        hint: Some("`stackctl up` loads it".to_owned()),
    }
}
