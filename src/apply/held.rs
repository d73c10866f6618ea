//! Certificates among the secrets that the engine keeps: which one serves, what it says, and until when.

use crate::base::date::Date;
use crate::base::name::{SecretName, ServiceName};
use crate::base::secret::Secret;
use crate::model::certificate::{self, Facts};
use crate::model::proxy::{Proxy, Tls};
use crate::model::secrets::{Recipe, SecretSource, SecretValues};
use crate::model::stack::Stack;
use crate::model::state::State;

use super::secrets::split_pem;

/// The certificate that is configured: chain and key.
pub fn configured(proxy: &Proxy, values: &SecretValues) -> Option<(String, Secret)> {
    match &proxy.tls {
        Tls::Off => None,
        Tls::SelfSigned(name) => values.get(name).map(split_pem),
        Tls::Files { cert, key } => {
            let chain = values.get(cert)?.expose().to_owned() + "\n";
            Some((chain, values.get(key)?.clone()))
        }
        Tls::Acme(acme) => values.get(&acme.issued).or_else(|| values.get(&acme.trial)).map(split_pem),
    }
}

/// The certificate that serves, and its key, as the engine keeps them; `None` for those of files, and before the first.
pub fn kept<'a>(stack: &Stack, values: &'a SecretValues) -> Option<(&'a SecretName, &'a Secret)> {
    let name = match &stack.proxy.as_ref()?.tls {
        Tls::Off | Tls::Files { .. } => return None,
        Tls::SelfSigned(pair) => pair,
        Tls::Acme(acme) => [&acme.issued, &acme.trial].into_iter().find(|name| values.contains_key(*name))?,
    };
    values.get_key_value(name)
}

/// What a certificate that the engine keeps says, leaf first.
pub fn facts(bundle: &Secret) -> Result<Vec<Facts>, String> {
    certificate::chain(&split_pem(bundle).0)
}

/// The certificate of the stack's own authority (PEM), which signs trial certificates.
pub fn authority(stack: &Stack, values: &SecretValues) -> Option<String> {
    let trial = match &stack.proxy.as_ref()?.tls {
        Tls::SelfSigned(pair) => pair,
        Tls::Acme(acme) => &acme.trial,
        Tls::Off | Tls::Files { .. } => return None,
    };
    let SecretSource::Generate(Recipe::Trial { authority, .. }) = &stack.secrets.get(trial)?.source else {
        return None;
    };
    values.get(authority).map(|bundle| split_pem(bundle).0)
}

/// Whether a stack that was just brought up has no certificate for its names yet, so that a trial one serves.
pub fn lacking(stack: &Stack, state: &State, now: u64) -> bool {
    let Some(Proxy { tls: Tls::Acme(acme), .. }) = &stack.proxy else { return false };
    let there = state.secrets.get(&acme.issued).and_then(|bundle| facts(bundle).ok());
    let leaf = there.and_then(|all| all.into_iter().next());
    leaf.is_none_or(|leaf| !leaf.holds_at(now) || acme.names.iter().any(|name| !leaf.covers(name)))
}

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
pub(super) fn due(stack: &Stack, values: &SecretValues, now: u64) -> Vec<String> {
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::apply::secrets::made;

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
