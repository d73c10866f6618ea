//! Values of secrets: stored ones, fresh ones, those of the environment, of files, programs and encrypted files, and
//! texts put together from them.

mod generate;
pub mod keep;
pub(super) mod outside;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::engine::state::secret_file;
use crate::model::artifact::Artifact;
use crate::model::certificate;
use crate::model::placeholder::{SHORTEST, weakness};
use crate::model::proxy::{Proxy, Tls};
use crate::model::rotation::Names;
use crate::model::secrets::{Recipe, SecretSource, SecretSpec, SecretValues};
use crate::model::stack::Stack;
use crate::model::state::State;

use super::error::ApplyError;
use super::wanted::Wanted;

pub use outside::Outside;
pub(super) use trial::{join_pem, split_pem};

/// All values of a stack.
#[derive(Debug)]
pub(super) struct Resolved {
    /// By name; optional ones that have no value are not there.
    pub(super) values: SecretValues,
    /// Files of the state volume to write: generated secrets that are new, and others whose value is.
    pub(super) new: Vec<Artifact>,
    /// Secrets whose value was drawn by lot just now.
    pub(super) fresh: BTreeSet<SecretName>,
}

/// Values as far as there are any, and what is wrong with the others.
#[derive(Debug)]
pub struct Found {
    /// By name.
    pub values: SecretValues,
    /// Sentences with the secret's line, each with its name; a group that is empty has none.
    pub problems: Vec<(Option<SecretName>, String)>,
    new: Vec<Artifact>,
}

/// Finds or makes every secret's value. All that are missing or wrong are reported at once.
pub(super) async fn resolve(wanted: &Wanted, state: Option<&State>) -> Result<Resolved, ApplyError> {
    let found = find(wanted, state).await;
    if found.problems.is_empty() {
        return Ok(Resolved { values: found.values, new: found.new, fresh: fresh(&wanted.stack, state) });
    }
    Err(ApplyError::Secrets(found.problems.into_iter().map(|(_, sentence)| sentence).collect()))
}

/// A value made by a recipe, from others that are kept.
pub(super) fn made(recipe: &Recipe, values: &SecretValues) -> Result<Secret, String> {
    generate::generate(recipe, values)
}

/// Generated secrets that nobody has kept yet.
fn fresh(stack: &Stack, state: Option<&State>) -> BTreeSet<SecretName> {
    let kept = |name: &SecretName| state.is_some_and(|s| s.secrets.contains_key(name));
    let made = stack.secrets.iter().filter(|(_, spec)| matches!(spec.source, SecretSource::Generate(_)));
    made.map(|(name, _)| name.clone()).filter(|name| !kept(name)).collect()
}

/// The values of a release gone back to. Generated secrets stay as they are now: what they open (a database, its
/// backups, sessions) has not gone back with them.
pub(super) fn resolve_past(stack: &Stack, state: Option<&State>, past: &SecretValues) -> Result<Resolved, ApplyError> {
    let mut values = SecretValues::new();
    let mut new = Vec::new();
    let mut problems = Vec::new();
    for (name, spec) in &stack.secrets {
        let stored = state.and_then(|s| s.secrets.get(name));
        let value = match &spec.source {
            SecretSource::Derived(_) => continue,
            // The public half goes with its pair.
            SecretSource::PublicOf(pair) => {
                let pair = state.and_then(|s| s.secrets.get(pair)).or_else(|| past.get(pair));
                if let Some(public) = pair.and_then(|pair| generate::public_half(pair).ok()) {
                    values.insert(name.clone(), public);
                }
                continue;
            }
            SecretSource::Generate(_) | SecretSource::Issued => stored.or_else(|| past.get(name)),
            SecretSource::Env(_)
            | SecretSource::File(_)
            | SecretSource::Command { .. }
            | SecretSource::Age(_)
            | SecretSource::Stored => past.get(name),
        };
        match value {
            Some(value) => {
                if stored != Some(value) {
                    new.push(secret_file(name, value));
                }
                values.insert(name.clone(), value.clone());
            }
            None if spec.optional || spec.one_of.is_some() => {}
            None => problems.push(format!("the release's record has no value for secret `{name}`")),
        }
    }
    if !problems.is_empty() {
        return Err(ApplyError::Secrets(problems));
    }
    rotated(stack, state, &mut values);
    derive(stack, &mut values);
    Ok(Resolved { values, new, fresh: BTreeSet::new() })
}

/// What rotations left of the passwords of databases: who logs in, and what else is let in.
fn rotated(stack: &Stack, state: Option<&State>, values: &mut SecretValues) {
    let Some(state) = state else { return };
    for names in stack.services.values().filter_map(|s| s.password.as_ref()).filter_map(Names::of) {
        for name in names.all() {
            let kept = state.secrets.get(name).filter(|v| !v.expose().is_empty());
            values.extend(kept.map(|value| (name.clone(), value.clone())));
        }
    }
}

/// Texts that are put together from other secrets, as far as those have values.
fn derive(stack: &Stack, values: &mut SecretValues) {
    for (name, spec) in &stack.secrets {
        if let SecretSource::Derived(template) = &spec.source
            && template.values().all(|part| values.contains_key(part))
        {
            let value = template.fill(values);
            values.insert(name.clone(), value);
        }
    }
}

/// Finds or makes values as far as that is possible.
pub async fn find(wanted: &Wanted, state: Option<&State>) -> Found {
    let stack = &wanted.stack;
    let outside = wanted.outside.read(&wanted.stack, &wanted.variables, &wanted.folder).await;
    let mut values = SecretValues::new();
    let mut new = Vec::new();
    let mut problems = Vec::new();
    // What is made from another comes after it.
    let made = |spec: &SecretSpec| matches!(spec.source, SecretSource::Generate(Recipe::Trial { .. }));
    let first = stack.secrets.iter().filter(|(_, spec)| !made(spec));
    for (name, spec) in first.chain(stack.secrets.iter().filter(|(_, spec)| made(spec))) {
        let stored = state.and_then(|s| s.secrets.get(name));
        let given = outside.get(name).cloned();
        let value = match &spec.source {
            SecretSource::Derived(_) | SecretSource::PublicOf(_) => continue,
            SecretSource::Generate(recipe) => match stored {
                Some(value) => Ok(Some(value.clone())),
                None => generate::generate(recipe, &values).map(Some),
            },
            // A checkout without the variable goes on with the value that is deployed.
            SecretSource::Issued => Ok(stored.cloned()),
            SecretSource::Env(_) | SecretSource::Stored => given.map_or_else(|| Ok(stored.cloned()), |v| v.map(Some)),
            SecretSource::File(_) | SecretSource::Command { .. } | SecretSource::Age(_) => given.transpose(),
        };
        match value {
            Ok(Some(value)) => {
                if let Some(why) = too_weak(stack, spec, &value) {
                    let why = format!("{why}; {}", mend(name, &spec.source));
                    problems.push((Some(name.clone()), sentence(name, spec, &why)));
                }
                if stored != Some(&value) {
                    new.push(secret_file(name, &value));
                }
                values.insert(name.clone(), value);
            }
            Ok(None) if spec.optional || spec.one_of.is_some() => {}
            Ok(None) => {
                let why = format!("it has no value: {}", mend(name, &spec.source));
                problems.push((Some(name.clone()), sentence(name, spec, &why)));
            }
            Err(why) => problems.push((Some(name.clone()), sentence(name, spec, &why))),
        }
    }
    problems.extend(empty_groups(stack, &values).into_iter().map(|group| (None, group)));
    for (name, spec) in &stack.secrets {
        if let SecretSource::PublicOf(pair) = &spec.source
            && let Some(pair) = values.get(pair)
        {
            match generate::public_half(pair) {
                Ok(public) => drop(values.insert(name.clone(), public)),
                Err(why) => problems.push((Some(name.clone()), sentence(name, spec, &why))),
            }
        }
    }
    problems.extend(own_certificate(stack, &values, state));
    rotated(stack, state, &mut values);
    derive(stack, &mut values);
    Found { values, problems, new }
}

/// What keeps a certificate of one's own from serving. One that serves already is not judged again: that it runs out
/// must not keep an urgent release back.
fn own_certificate(stack: &Stack, values: &SecretValues, state: Option<&State>) -> Vec<(Option<SecretName>, String)> {
    let Some(Proxy { tls: Tls::Files { cert, key }, domains, .. }) = &stack.proxy else { return Vec::new() };
    let (Some(chain), Some(secret)) = (values.get(cert), values.get(key)) else { return Vec::new() };
    let stored = |name| state.and_then(|s| s.secrets.get(name));
    let names: Vec<String> = domains.iter().map(ToString::to_string).collect();
    if stored(cert) == Some(chain) && stored(key) == Some(secret) {
        return Vec::new();
    }
    let line = stack.secrets.get(cert).map_or(1, |spec| spec.line);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let problems = certificate::judge(chain.expose(), secret, &names, now);
    problems.into_iter().map(|why| (Some(cert.clone()), format!("the certificate (line {line}): {why}"))).collect()
}

/// What is wrong with a value that was given, outside development.
pub fn too_weak(stack: &Stack, spec: &SecretSpec, value: &Secret) -> Option<String> {
    if stack.is_development() || matches!(spec.source, SecretSource::Generate(_) | SecretSource::Issued) {
        return None;
    }
    weakness(value.expose(), spec.min_length.unwrap_or(SHORTEST))
}

fn sentence(name: &SecretName, spec: &SecretSpec, why: &str) -> String {
    format!("secret `{name}` (line {}): {why}", spec.line)
}

/// What to do about a value that is not there, or no good.
fn mend(name: &SecretName, source: &SecretSource) -> String {
    match source {
        SecretSource::Env(variable) => format!("set `{variable}` in the environment or in .env"),
        SecretSource::File(path) => format!("put it into {path}"),
        SecretSource::Command { .. } => "change it where the command gets it from".to_owned(),
        SecretSource::Age(path) => format!("`stackctl secrets set {name}` writes it into {path}"),
        _ => format!("`stackctl secrets set {name}` puts it onto the engine"),
    }
}

/// Groups of which not one secret has a value.
fn empty_groups(stack: &Stack, values: &SecretValues) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<(&SecretName, u32)>> = BTreeMap::new();
    for (name, spec) in &stack.secrets {
        if let Some(group) = &spec.one_of {
            groups.entry(group).or_default().push((name, spec.line));
        }
    }
    groups
        .into_iter()
        .filter(|(_, members)| !members.iter().any(|(name, _)| values.contains_key(*name)))
        .map(|(group, members)| {
            let names: Vec<String> = members.iter().map(|(name, line)| format!("`{name}` (line {line})")).collect();
            format!("none of the group `{group}` has a value, and one must: {}", names.join(", "))
        })
        .collect()
}
