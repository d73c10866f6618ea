//! Declared secrets.

use std::collections::BTreeMap;

use crate::base::name::SecretName;
use crate::config::keys::File;
use crate::model::secrets::{SecretSource, SecretSpec};

use super::Input;

pub(super) fn lower(file: &File, input: &Input<'_>) -> BTreeMap<SecretName, SecretSpec> {
    let mut out = BTreeMap::new();
    for (name, key) in file.secrets.iter().flat_map(|m| &m.value.0) {
        let keys = &key.value.0;
        let source = match (&keys.generate, &keys.env, &keys.file) {
            (Some(recipe), _, _) => SecretSource::Generate(recipe.value.0.clone()),
            (_, Some(variable), _) => SecretSource::Env(variable.value.to_string()),
            (_, _, Some(path)) => SecretSource::File(path.value.0.clone()),
            // The decoder lets only secrets with exactly one source through.
            (None, None, None) => continue,
        };
        let optional = keys.optional.as_ref().is_some_and(|o| o.value);
        out.insert(name.value.clone(), SecretSpec { line: input.line(&name.span), source, optional });
    }
    out
}
