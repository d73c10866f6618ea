//! Certificates of databases that encrypt: signed by an authority of each database's own, renewed while it runs.

use crate::base::name::ServiceName;
use crate::engine::Engine;
use crate::engine::lock::Lock;
use crate::engine::state::secret_file;
use crate::model::certificate::{self, Attempts, Decision};
use crate::model::secrets::SecretSource;

use super::super::error::ApplyError;
use super::super::event::Sink;
use super::super::held::{databases, facts};
use super::super::secrets::made;
use super::super::wanted::Wanted;
use super::{Asking, Outcome, Work, load, open};

/// Has a running database that reads files again do so, as the release that runs has them and the engine keeps their
/// values.
pub(in crate::apply) async fn load_database(
    engine: &Engine,
    wanted: &Wanted,
    lock: &Lock,
    now: fn() -> u64,
    service: &ServiceName,
    sink: &mut dyn Sink,
) -> Result<(), ApplyError> {
    let state = engine.read_state(&wanted.stack.project).await?.unwrap_or_default();
    let work = Work { engine, wanted, lock, state: &state, asking: Asking::WhenDue, now };
    load::load(&work, Some(service), sink).await
}

/// Makes new certificates for databases whose old ones are due, and has the servers load them: no connection is lost.
///
/// # Errors
/// The engine's, the lock's, [`ApplyError::Certificate`] where the stack is not deployed or a database does not run.
pub async fn renew_databases(
    engine: &Engine,
    wanted: &Wanted,
    asking: Asking,
    now: fn() -> u64,
    sink: &mut dyn Sink,
) -> Result<Vec<(ServiceName, Outcome)>, ApplyError> {
    let mut out = Vec::new();
    if asking == Asking::Staging || wanted.stack.services.values().all(|s| s.tls.is_none()) {
        return Ok(out);
    }
    let (lock, state) = open(engine, wanted, now, sink).await?;
    let work = Work { engine, wanted, lock: &lock, state: &state, asking, now };
    for service in wanted.stack.services.values() {
        // One that is not deployed yet gets its first with the next `up`.
        let Some(tls) = service.tls.as_ref().filter(|tls| state.secrets.contains_key(&tls.certificate)) else {
            continue;
        };
        let Some(SecretSource::Generate(recipe @ crate::model::secrets::Recipe::Trial { names, .. })) =
            wanted.stack.secrets.get(&tls.certificate).map(|spec| &spec.source)
        else {
            continue;
        };
        let current = databases(&wanted.stack, &state.secrets).into_iter().find(|d| d.service == service.name);
        let current = current.and_then(|d| d.leaf).filter(|_| asking != Asking::Anew);
        let outcome = match certificate::decide(current.as_ref(), names, None, &Attempts::default(), now()) {
            // A run that was ended before the server read it again is finished here.
            Decision::Keep(due) => load::load(&work, Some(&service.name), sink).await.map(|()| Outcome::Kept(due)),
            Decision::Ask(_) | Decision::Wait(..) => {
                let bundle = made(recipe, &state.secrets).map_err(|why| ApplyError::Secrets(vec![why]))?;
                work.write(&[secret_file(&tls.certificate, &bundle)]).await?;
                load::load(&work, Some(&service.name), sink).await?;
                let leaf = facts(&bundle).ok().and_then(|all| all.into_iter().next());
                leaf.map(|leaf| Outcome::Renewed(Box::new(leaf))).ok_or_else(|| super::nothing("it cannot be read"))
            }
        };
        out.push((service.name.clone(), outcome?));
    }
    lock.release().await?;
    Ok(out)
}
