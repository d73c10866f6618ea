//! Declared secrets.

use std::collections::BTreeMap;

use crate::base::name::SecretName;
use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::keys::File;
use crate::config::keys::secret::SecretKeys;
use crate::model::secrets::{SecretSource, SecretSpec};

use super::Input;

/// Longest time a command may take where nothing is said.
const COMMAND: Span = Span::seconds(10);

pub(super) fn lower(file: &File, input: &Input<'_>, problems: &mut Problems) -> BTreeMap<SecretName, SecretSpec> {
    let mut out = BTreeMap::new();
    let declared = || file.secrets.iter().flat_map(|m| &m.value.0);
    for (name, key) in declared() {
        let keys = &key.value.0;
        // The decoder lets only secrets with exactly one source through; one that is wrong has been reported.
        let Some(source) = source(keys) else { continue };
        let line = input.line(&name.span);
        if let SecretSource::Generate(recipe) = &source
            && recipe.is_pair()
            && let Some(public) = SecretName::parse(&format!("{}.pub", name.value))
        {
            if declared().any(|(other, _)| other.value == public) {
                problems.push(
                    Problem::error(format!("`{public}` is the public half of `{}`; it has no source", name.value))
                        .at(name.span.clone()),
                );
            }
            out.insert(public, SecretSpec::required(line, SecretSource::PublicOf(name.value.clone())));
        }
        let spec = SecretSpec {
            optional: keys.optional.as_ref().is_some_and(|o| o.value),
            one_of: keys.one_of.as_ref().map(|g| g.value.0.clone()),
            min_length: keys.min_length.as_ref().map(|n| n.value.get()),
            ..SecretSpec::required(line, source)
        };
        out.insert(name.value.clone(), spec);
    }
    alone(file, problems);
    out
}

fn source(keys: &SecretKeys) -> Option<SecretSource> {
    let env = keys.env.as_ref().map(|v| SecretSource::Env(v.value.to_string()));
    let file = keys.file.as_ref().map(|p| SecretSource::File(p.value.0.clone()));
    let age = keys.age.as_ref().map(|p| SecretSource::Age(p.value.0.clone()));
    let command = keys.command.as_ref().map(|c| SecretSource::Command {
        words: c.value.0.clone(),
        timeout: keys.timeout.as_ref().map_or(COMMAND, |t| t.value),
    });
    let generate = keys.generate.as_ref().map(|r| SecretSource::Generate(r.value.0.clone()));
    let stored = keys.stored.as_ref().map(|_| SecretSource::Stored);
    generate.or(env).or(file).or(command).or(age).or(stored)
}

/// A group of one is nearly always a typing error in the group's name.
fn alone(file: &File, problems: &mut Problems) {
    let members = || {
        let all = file.secrets.iter().flat_map(|m| &m.value.0);
        all.filter_map(|(name, key)| key.value.0.one_of.as_ref().map(|group| (name, group)))
    };
    for (name, group) in members() {
        if !members().any(|(other, g)| other.value != name.value && g.value == group.value) {
            problems.push(
                Problem::warning(format!("`{}` is alone in the group `{}`", name.value, group.value.0))
                    .at(group.span.clone())
                    .help("give `one_of` the same name in each of the secrets of which one is enough"),
            );
        }
    }
}
