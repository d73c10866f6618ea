//! From the file and the engine to a plan: everything is read here, once; what is decided is decided below.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::base::name::{SecretName, ServiceName};
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::files::context::Context;
use crate::model::container::ContainerSpec;
use crate::model::observed::Observed;
use crate::model::parts::Parts;
use crate::model::secrets::SecretValues;
use crate::model::service::{Build, Image, PullPolicy};
use crate::model::stack::Stack;
use crate::plan::drift::Found as Drifted;
use crate::plan::{self, Files, Inputs, Placement, Plan, Seal};

use super::edited::edited;
use super::error::ApplyError;
use super::locked;
use super::past;
use super::rendered::rendered;
use super::secrets;
use super::wanted::Wanted;

/// Everything that was read and decided.
pub struct Prepared {
    /// What the engine has.
    pub observed: Observed,
    /// What to do.
    pub plan: Plan,
    /// Build contexts by the service that declares them.
    pub contexts: BTreeMap<ServiceName, Context>,
    /// Values of secrets.
    pub values: SecretValues,
    /// References of images by service, for the release's record.
    pub images: BTreeMap<String, String>,
    /// Containers as the stack wants them, by service; `proxy` for the front door.
    pub specs: BTreeMap<String, ContainerSpec>,
    /// Where everything goes.
    placement: Placement,
    /// Files of services that reload them.
    pub files: Files,
    /// Hash of each build context.
    pub(super) hashes: BTreeMap<ServiceName, String>,
    /// Secrets that were drawn by lot for this plan.
    fresh: BTreeSet<SecretName>,
    /// Images to go back to, by the reference that means something else now.
    back: Option<BTreeMap<String, String>>,
    /// Images that the lock holds to something else than their reference means here.
    locked: BTreeMap<String, String>,
}

impl Prepared {
    /// The name an image can be had by.
    pub(super) fn pinned<'a>(&'a self, reference: &'a str) -> &'a str {
        let by_release = self.back.as_ref().and_then(|pins| pins.get(reference));
        by_release.or_else(|| self.locked.get(reference)).map_or(reference, String::as_str)
    }

    /// What the plan was made from, to find out later whether it is still the same.
    pub fn seal(&self, wanted: &Wanted) -> Seal {
        let seal = self.with_inputs(wanted, |inputs| Seal::of(inputs, &self.plan, &self.fresh));
        let seal = seal.with_lock(&wanted.stack, wanted.locked.as_ref());
        Seal { files: wanted.look_into_files, ..seal }
    }

    /// What somebody changed by hand, object by object.
    pub fn drift(&self, wanted: &Wanted) -> Vec<Drifted> {
        self.with_inputs(wanted, |inputs| plan::drift::found(inputs, &self.placement))
    }

    /// Each service's configuration in parts, the front door's with its routes: for the release's record.
    pub(super) fn parts(&self, wanted: &Wanted) -> BTreeMap<String, Parts> {
        self.with_inputs(wanted, |inputs| plan::parts(inputs, &self.placement, &self.files))
    }

    fn with_inputs<T>(&self, wanted: &Wanted, work: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let key = self.observed.state.as_ref().map_or(NO_KEY, |s| s.key.as_slice());
        let (folder, file) = (wanted.folder.to_string_lossy(), wanted.file.to_string_lossy());
        work(&Inputs {
            stack: &wanted.stack,
            observed: &self.observed,
            values: &self.values,
            key,
            contexts: &self.hashes,
            mirror: wanted.mirror.as_deref(),
            origin: (&folder, &file),
            back: self.back.as_ref(),
            locked: Some(&self.locked),
        })
    }
}

/// Key of fingerprints before there is one: only for plans that are shown, never for what is done.
pub(super) const NO_KEY: &[u8] = b"no state yet";

/// Reads everything and makes the plan. Changes nothing.
pub async fn prepare(engine: &Engine, wanted: &Wanted) -> Result<Prepared, ApplyError> {
    let contexts = if wanted.past.is_some() { BTreeMap::new() } else { scan(&wanted.stack, &wanted.folder)? };
    let hash = |(name, (build, context)): (&ServiceName, &(Build, Context))| {
        (name.clone(), build_hash(build, context, wanted))
    };
    let hashes: BTreeMap<ServiceName, String> =
        wanted.past.as_ref().map_or_else(|| contexts.iter().map(hash).collect(), |past| past.contexts.clone());
    let images = references(wanted, &hashes);
    let (observed, host, written_by) =
        tokio::join!(engine.observe(&wanted.stack.project, &images), engine.host(), written_by(engine, &wanted.stack));
    let mut observed = observed?;
    observed.written_by = written_by?;
    let is_there = |name: &String| observed.containers.iter().any(|c| c.name == *name);
    let asked = |service: &ServiceName| is_there(&wanted.stack.container_name(service.as_str(), 1));
    observed.written_by.retain(|service, _| asked(service));
    plan::capacity::fits(&wanted.stack, host)?;
    plan::data::readable(&wanted.stack, &observed)?;
    observed.moved = Box::pin(moved(engine, wanted, &observed)).await?;
    observed.keeps = host.keeps;
    if let Some(state) = &observed.state {
        observed.fields = Box::pin(engine.fields(&observed.containers, &state.key)).await?;
    }
    let locked = match &wanted.locked {
        Some(lock) => Box::pin(locked::pins(engine, lock, wanted.mirror.as_deref(), &images, &mut observed)).await?,
        None => BTreeMap::new(),
    };
    check_stage(&wanted.stack, &observed)?;
    let back = match &wanted.past {
        Some(past) => Some(past::pins(engine, past, &images, &mut observed).await?),
        None => None,
    };
    let resolved = match &wanted.past {
        Some(past) => secrets::resolve_past(&wanted.stack, observed.state.as_ref(), &past.secrets)?,
        None => secrets::resolve(wanted, observed.state.as_ref()).await?,
    };
    let key = observed.state.as_ref().map_or(NO_KEY, |s| s.key.as_slice()).to_vec();
    let folder = wanted.folder.to_string_lossy();
    let file = wanted.file.to_string_lossy();
    let inputs = Inputs {
        stack: &wanted.stack,
        observed: &observed,
        values: &resolved.values,
        key: &key,
        contexts: &hashes,
        mirror: wanted.mirror.as_deref(),
        origin: (&folder, &file),
        back: back.as_ref(),
        locked: Some(&locked),
    };
    let placement = plan::place(&inputs)?;
    let files = rendered(&inputs, &placement)?;
    if wanted.look_into_files {
        observed.edited = Box::pin(edited(engine, &observed, &placement, &files)).await?;
    }
    let inputs = Inputs {
        stack: &wanted.stack,
        observed: &observed,
        values: &resolved.values,
        key: &key,
        contexts: &hashes,
        mirror: wanted.mirror.as_deref(),
        origin: (&folder, &file),
        back: back.as_ref(),
        locked: Some(&locked),
    };
    let fresh = resolved.fresh;
    let mut plan = plan::reconcile(&inputs, &placement, &files, resolved.new);
    if !plan.is_empty() {
        plan.notes.extend(plan::capacity::notes(&wanted.stack, host));
        plan.notes.extend(wanted.stack.monitoring.notes(&resolved.values));
        plan.notes.extend(locked::notes(&wanted.stack, wanted.locked.as_ref()));
    }
    if let Some(state) = &observed.state {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        plan.notes.extend(super::held::due(&wanted.stack, &state.secrets, now));
    }
    let contexts = contexts.into_iter().map(|(name, (_, context))| (name, context)).collect();
    let placed = || placement.services.iter().chain(&placement.proxy);
    let images = placed().map(|p| (p.service.to_string(), p.spec.image.clone())).collect();
    let specs = placed().map(|p| (p.service.to_string(), p.spec.clone())).collect();
    Ok(Prepared {
        plan,
        contexts,
        values: resolved.values,
        images,
        specs,
        observed,
        placement,
        files,
        hashes,
        fresh,
        back,
        locked,
    })
}

fn scan(stack: &Stack, folder: &Path) -> Result<BTreeMap<ServiceName, (Build, Context)>, ApplyError> {
    let mut out = BTreeMap::new();
    for service in stack.services.values() {
        if let Image::Build(build) = &service.image
            && !out.contains_key(&build.name)
        {
            let context = Context::scan(&folder.join(&build.context), &build.dockerfile)?;
            out.insert(build.name.clone(), (build.clone(), context));
        }
    }
    Ok(out)
}

/// What decides whether an image must be built again: the files, and how they are built.
fn build_hash(build: &Build, context: &Context, wanted: &Wanted) -> String {
    let mut how = vec![json!(build.dockerfile), json!(build.target), json!(build.args), json!(wanted.mirror)];
    // Names of secrets, not their values: those are of the moment, and what is built from them is not.
    if build.platform.is_some() || !build.secrets.is_empty() {
        how.extend([json!(build.platform), json!(build.secrets)]);
    }
    let how = serde_json::Value::from(how);
    crate::base::hash::sha256_parts([context.hash().as_bytes(), how.to_string().as_bytes()])
}

pub(super) fn references(wanted: &Wanted, hashes: &BTreeMap<ServiceName, String>) -> Vec<String> {
    let stack = &wanted.stack;
    let mirror = wanted.mirror.as_deref();
    let mut out: Vec<String> = stack
        .services
        .values()
        .map(|service| match &service.image {
            Image::Pull(reference) => plan::image::mirrored(reference, mirror),
            Image::Build(build) => {
                let hash = hashes.get(&build.name).map_or("", String::as_str);
                plan::image::built(stack, build.name.as_str(), hash)
            }
        })
        .chain(stack.proxy.iter().map(|p| plan::image::mirrored(&p.image, mirror)))
        .collect();
    out.sort();
    out.dedup();
    out
}

/// Which major version wrote the data of each database, as far as there is a container with it.
async fn written_by(engine: &Engine, stack: &Stack) -> Result<BTreeMap<ServiceName, Option<u32>>, ApplyError> {
    let databases = stack.services.values().filter(|s| s.data_version.is_some());
    let asked = databases.map(async |service| {
        let container = stack.container_name(service.name.as_str(), 1);
        Ok::<_, ApplyError>((service.name.clone(), engine.postgres_data(&container).await?))
    });
    futures_util::future::try_join_all(asked).await.map(|all| all.into_iter().collect())
}

/// Images that the registry has another version of, where the file says to look (`pull_policy = "always"`).
async fn moved(engine: &Engine, wanted: &Wanted, observed: &Observed) -> Result<BTreeSet<String>, ApplyError> {
    let mut out = BTreeSet::new();
    for service in wanted.stack.services.values().filter(|s| s.pull == PullPolicy::Always) {
        let Image::Pull(reference) = &service.image else { continue };
        // What is locked stays what it is.
        if wanted.locked.as_ref().is_some_and(|lock| lock.images.contains_key(reference)) {
            continue;
        }
        let reference = plan::image::mirrored(reference, wanted.mirror.as_deref());
        // One that is not there is pulled anyway.
        let Some(image) = observed.images.get(&reference) else { continue };
        let digest = engine.registry_digest(&reference).await?;
        if !image.digests.iter().any(|known| known.ends_with(&digest)) {
            out.insert(reference);
        }
    }
    out.extend(Box::pin(sent(engine, wanted, observed)).await?);
    Ok(out)
}

/// Images that the engine of this machine has, and the stack's engine has not or has in another form. Where this
/// machine has none, what is there stays; where it is the same engine, there is nothing to send.
async fn sent(engine: &Engine, wanted: &Wanted, observed: &Observed) -> Result<BTreeSet<String>, ApplyError> {
    let mut out = BTreeSet::new();
    let mut here = None;
    for service in wanted.stack.services.values().filter(|s| s.pull == PullPolicy::Send && wanted.past.is_none()) {
        let Image::Pull(reference) = &service.image else { continue };
        let reference = plan::image::mirrored(reference, wanted.mirror.as_deref());
        let here = match &here {
            Some(here) => here,
            None => here.insert(wanted.here.connect().await?),
        };
        let Some(ours) = here.makeup(&reference).await? else {
            if observed.images.contains_key(&reference) {
                continue;
            }
            let doing = format!("send the image {reference}");
            return Err(EngineError::new(
                ErrorKind::ImageNotFound,
                doing,
                "the engine of this machine does not have it",
            )
            .with_hint(format!("build it first: `docker build -t {reference} .`"))
            .into());
        };
        if observed.images.contains_key(&reference) && engine.makeup(&reference).await?.as_ref() != Some(&ours) {
            out.insert(reference);
        }
    }
    Ok(out)
}

pub(super) fn check_stage(stack: &Stack, observed: &Observed) -> Result<(), ApplyError> {
    let here = stack.stage.as_deref().unwrap_or_default();
    match &observed.state {
        Some(state) if !state.key.is_empty() && state.stage != here => Err(ApplyError::WrongStage {
            project: stack.project.to_string(),
            there: state.stage.clone(),
            here: here.to_owned(),
        }),
        _ => Ok(()),
    }
}
