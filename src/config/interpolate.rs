//! Variables of the environment in the file: `${NAME}` and `${NAME:-default}`, in any string. Names of the stack
//! (`${secrets.x}`, `${workers}`) are left for the keys that take them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::name::EnvName;
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;

use super::tree::{Node, Part, Value};

/// Variables by name: the environment over `.env`.
pub type Variables = BTreeMap<String, String>;

/// Puts values in for variables, everywhere below the node. A variable that is not set is an error at its place.
pub fn interpolate(node: &mut Node, variables: &Variables, problems: &mut Problems) {
    match &mut node.value {
        Value::Text(parts) => {
            let span = node.span.clone();
            passwords(parts, &span, variables, problems);
            let mut out: Vec<Part> = Vec::new();
            for part in parts.drain(..) {
                let part = match part {
                    Part::Reference(name) if is_variable(&name) => match value(&name, variables) {
                        Ok(text) => Part::Text(text),
                        Err(problem) => {
                            problems.push(problem.at(span.clone()));
                            // Something harmless, so that one missing variable is one problem.
                            Part::Text("x".to_owned())
                        }
                    },
                    other => other,
                };
                match (out.last_mut(), part) {
                    (Some(Part::Text(last)), Part::Text(text)) => last.push_str(&text),
                    (_, part) => out.push(part),
                }
            }
            *parts = out;
        }
        Value::List(items) => items.iter_mut().for_each(|item| interpolate(item, variables, problems)),
        Value::Table(entries) => entries.iter_mut().for_each(|e| interpolate(&mut e.node, variables, problems)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date(_) => {}
    }
}

/// Variables that are the password of a URL must be fit for one: nobody encodes them. Half of all base64 passwords
/// hold a `/`, which ends the host's part of a URL.
fn passwords(parts: &[Part], span: &Range<usize>, variables: &Variables, problems: &mut Problems) {
    for around in parts.windows(3) {
        let [Part::Text(before), Part::Reference(name), Part::Text(after)] = around else { continue };
        let user = before.rsplit_once("://").map(|(_, user)| user);
        if !after.starts_with('@') || !user.is_some_and(|u| u.contains(':') && !u.contains(['/', '@'])) {
            continue;
        }
        let Some(value) = variables.get(name).filter(|_| is_variable(name)) else { continue };
        let unfit: Vec<String> =
            "/?#[]@:%+ ".chars().filter(|c| value.contains(*c)).map(|c| format!("`{c}`")).collect();
        if !unfit.is_empty() {
            problems.push(
                Problem::error(format!(
                    "the variable `{name}` is the password of a URL and holds {}, which cannot stand there",
                    unfit.join(" and ")
                ))
                .rule("password-in-url")
                .at(span.clone())
                .help("use the address of a preset, such as `${postgres.url.file}`: it is encoded; or another password, such as one of `openssl rand -hex 32`"),
            );
        }
    }
}

/// References in capitals are variables of the environment; names of the stack are lower-case.
fn is_variable(reference: &str) -> bool {
    reference.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
}

fn value(reference: &str, variables: &Variables) -> Result<String, Box<Problem>> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if EnvName::parse(name).is_none() {
        return Err(Box::new(
            Problem::error(format!("`${{{reference}}}` is not a reference"))
                .help("write `${NAME}` or `${NAME:-default}`"),
        ));
    }
    if let Some(value) = variables.get(name).filter(|v| !v.is_empty()) {
        return Ok(value.clone());
    }
    if let Some(default) = default {
        return Ok(default.to_owned());
    }
    let mut problem = Problem::error(format!("the variable `{name}` is not set"))
        .rule("unset-variable")
        .label("neither in the environment nor in `.env`");
    problem = match nearest(name, variables.keys().map(String::as_str)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("set it, or give a default: `${{{name}:-value}}`")),
    };
    Err(Box::new(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_defaults() {
        let mut problems = Problems::default();
        let mut tree = super::super::tree::parse(
            "a = \"${A}/${B:-two}\"\nb = \"${secrets.x}\"\nc = \"${MISSING}\"",
            &mut problems,
        );
        interpolate(&mut tree, &Variables::from([("A".into(), "one".into())]), &mut problems);
        assert_eq!(tree.get("a").and_then(|e| e.node.plain()), Some("one/two".into()));
        assert_eq!(
            tree.get("b").map(|e| e.node.value.clone()),
            Some(Value::Text(vec![Part::Reference("secrets.x".into())]))
        );
        let all = problems.sorted();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].message, "the variable `MISSING` is not set");
    }

    #[test]
    fn passwords_fit_their_url() {
        for (url, password, fits) in [
            ("postgresql://u:${PW}@db/x", "abc-123", true),
            ("postgresql://u:${PW}@db/x", "a/b+c=", false),
            ("postgresql://u:${PW}@db/x", "50%", false),
            ("note: ${PW}@home", "a/b", true),
            ("http://host/a:${PW}@b", "a/b", true),
        ] {
            let mut problems = Problems::default();
            let mut tree = super::super::tree::parse(&format!("a = \"{url}\""), &mut problems);
            interpolate(&mut tree, &Variables::from([("PW".into(), password.into())]), &mut problems);
            assert_eq!(problems.is_empty(), fits, "{url} with {password}: {problems:?}");
            assert!(!format!("{problems:?}").contains(password), "{problems:?}");
        }
    }
}
