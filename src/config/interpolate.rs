//! Variables of the environment in the file: `${NAME}` and `${NAME:-default}`, in any string. Names of the stack
//! (`${secrets.x}`, `${workers}`) are left for the keys that take them.

use std::collections::BTreeMap;

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
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date => {}
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
    let mut problem =
        Problem::error(format!("the variable `{name}` is not set")).label("neither in the environment nor in `.env`");
    problem = match nearest(name, variables.keys().map(String::as_str)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("set it, or give a default: `${{{name}:-value}}`")),
    };
    Err(Box::new(problem))
}

/// Reads the text of a `.env` file: `NAME=value` lines, `#` comments, optional `export`, single or double quotes.
/// Nothing is expanded inside values.
pub fn dotenv(text: &str) -> Result<Variables, String> {
    let mut out = Variables::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| EnvName::parse(name.trim()).is_some())
            .ok_or_else(|| format!("line {} of .env is not `NAME=value`", index + 1))?;
        out.insert(name.trim().to_owned(), unquote(value.trim()).to_owned());
    }
    Ok(out)
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    // A comment behind an unquoted value starts with a blank and `#`, as in Compose.
    value.split(" #").next().unwrap_or(value).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_lines() {
        let text = "# c\n\nA=1\nexport B='x y'\nC=\"q#\"\nD=a # comment\nE=\n";
        let vars = dotenv(text).unwrap_or_default();
        let pairs: Vec<_> = vars.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["A=1", "B=x y", "C=q#", "D=a", "E="]);
        assert_eq!(dotenv("nonsense"), Err("line 1 of .env is not `NAME=value`".into()));
    }

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
}
