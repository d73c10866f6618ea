//! Certificates of databases that encrypt: signed by an authority of each database's own, renewed while it runs.

use crate::base::date::Date;
use crate::base::name::ServiceName;
use crate::engine::Engine;
use crate::engine::lock::Lock;
use crate::engine::state::secret_file;
use crate::model::certificate::{self, Attempts, Decision, Facts};
use crate::model::secrets::{SecretSource, SecretValues};
use crate::model::stack::Stack;

use super::super::error::ApplyError;
use super::super::event::Sink;
use super::super::secrets::made;
use super::super::wanted::Wanted;
use super::{Asking, Outcome, Work, facts, load, open};

/// The certificate of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The service.
    pub service: ServiceName,
    /// What the certificate says; `None` before the first `up`, or if it cannot be read.
    pub leaf: Option<Facts>,
}

/// The databases of a stack that encrypt, and their certificates as the engine keeps them.
pub fn databases(stack: &Stack, values: &SecretValues) -> Vec<Database> {
    let of = |service: &crate::model::service::Service| {
        let bundle = values.get(&service.tls.as_ref()?.certificate);
        let leaf = bundle.and_then(|b| facts(b).ok()).and_then(|all| all.into_iter().next());
        Some(Database { service: service.name.clone(), leaf })
    };
    stack.services.values().filter_map(of).collect()
}

/// What a plan says of certificates that should be renewed: `up` itself leaves them as they are.
pub(in crate::apply) fn due(stack: &Stack, values: &SecretValues, now: u64) -> Vec<String> {
    let late = |database: Database| {
        let leaf = database.leaf.filter(|leaf| now >= leaf.due())?;
        let until = Date::of_seconds(leaf.not_after);
        let over = if now >= leaf.not_after { "ended" } else { "ends" };
        Some(format!(
            "the certificate of {} {over} on {until}; `stackctl cert renew` makes another one while it runs",
            database.service
        ))
    };
    databases(stack, values).into_iter().filter_map(late).collect()
}

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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::base::name::SecretName;
    use crate::model::secrets::Recipe;

    #[test]
    fn what_should_be_renewed_is_told() {
        let text = "name = \"x\"\n[services.db]\npreset = \"postgres:15\"\ntls = \"require\"\n";
        let stack = crate::config::load(text, None, &std::collections::BTreeMap::new()).stack.unwrap();
        let name = |text: &str| SecretName::parse(text).unwrap();
        let mut values = SecretValues::new();
        assert!(due(&stack, &values, 0).is_empty(), "there is none");
        let names = vec!["db".to_owned()];
        values.insert(name("db.authority"), made(&Recipe::Authority(names.clone()), &values).unwrap());
        let recipe = Recipe::Trial { names, authority: name("db.authority") };
        values.insert(name("db.certificate"), made(&recipe, &values).unwrap());
        let leaf = databases(&stack, &values)[0].leaf.clone().unwrap();
        assert!(leaf.covers("db"));
        assert!(due(&stack, &values, leaf.due() - 1).is_empty());
        assert!(due(&stack, &values, leaf.due())[0].contains("ends on"));
        assert!(due(&stack, &values, leaf.not_after)[0].contains("ended on"));
    }
}
