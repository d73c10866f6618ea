//! `.env`: variables for the file, and everything that is wrong with one. Places are known, values never shown.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::name::EnvName;
use crate::base::problem::{Problem, Problems, Severity, line_column};

use super::interpolate::Variables;

/// What a `.env` file says.
#[derive(Debug, Clone, Default)]
pub struct Dotenv {
    /// Its variables.
    pub variables: Variables,
    /// Where the value of each stands.
    places: BTreeMap<String, Range<usize>>,
}

impl Dotenv {
    /// Where a variable's value stands, if this is the file it comes from: the environment wins over `.env`.
    pub fn place(&self, name: &str, value: &str) -> Option<Range<usize>> {
        self.variables.get(name).filter(|own| *own == value)?;
        self.places.get(name).cloned()
    }
}

/// Reads the text of a `.env` file: `NAME=value` lines, `#` comments, optional `export`, single or double quotes.
/// Nothing is expanded inside values.
pub fn parse(text: &str, problems: &mut Problems) -> Dotenv {
    let mut out = Dotenv::default();
    let mut next = 0;
    for whole in text.split_inclusive('\n') {
        let mark = if next == 0 { whole.len() - whole.trim_start_matches('\u{feff}').len() } else { 0 };
        let marked = &whole[mark..];
        let start = next + mark + (marked.len() - marked.trim_start().len());
        next += whole.len();
        let line = marked.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let whole = start..start + line.len();
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = assignment.split_once('=').filter(|(n, _)| EnvName::parse(n.trim()).is_some()) else {
            problems.push(
                Problem::error("this line of `.env` is not `NAME=value`")
                    .rule("env-syntax")
                    .in_env()
                    .at(whole)
                    .label("allowed: names of letters, digits and `_`"),
            );
            continue;
        };
        let name = name.trim().to_owned();
        let value = value.trim();
        let place = whole.end - value.len()..whole.end;
        let value = match unquoted(value) {
            Ok(value) => value,
            Err(message) => {
                problems.push(Problem::error(message).rule("env-syntax").in_env().at(place));
                continue;
            }
        };
        judge(&name, value, &place, problems);
        if out.variables.insert(name.clone(), value.to_owned()).is_some() {
            problems.push(
                Problem::warning(format!("`{name}` is set twice; the last one counts"))
                    .rule("env-twice")
                    .in_env()
                    .at(place.clone()),
            );
        }
        out.places.insert(name, place);
    }
    out
}

/// Variables of a text in the form of `.env`, or the first line that is wrong, in words without values.
pub fn variables(text: &str) -> Result<Variables, String> {
    let mut problems = Problems::default();
    let found = parse(text, &mut problems);
    let first = problems.sorted().into_iter().find(|p| p.severity == Severity::Error);
    first.map_or(Ok(found.variables), |problem| {
        let line = problem.span.map_or(1, |span| line_column(text, span.start).0);
        Err(format!("line {line} of .env: {}", problem.message))
    })
}

/// Shell in a file that no shell reads.
fn judge(name: &str, value: &str, place: &Range<usize>, problems: &mut Problems) {
    if value.starts_with("$(") || (value.len() > 1 && value.starts_with('`') && value.ends_with('`')) {
        problems.push(
            Problem::error(format!("`{name}` would be a command's text, not what it prints"))
                .rule("env-command")
                .in_env()
                .at(place.clone())
                .label("no shell reads `.env`")
                .help(format!(
                    "let stackctl make it: `{} = {{ generate = \"hex:32\" }}` in `[secrets]`; or write what the command prints",
                    name.to_lowercase()
                )),
        );
    } else if value.contains("${") {
        problems.push(
            Problem::warning(format!("`{name}` holds `${{`, which is not expanded in `.env`"))
                .rule("env-expansion")
                .in_env()
                .at(place.clone())
                .help("put the value together in stack.toml, where `${NAME}` works"),
        );
    }
}

fn unquoted(value: &str) -> Result<&str, &'static str> {
    for quote in ['"', '\''] {
        let Some(inner) = value.strip_prefix(quote) else { continue };
        let (inner, rest) = inner.split_once(quote).ok_or("this value's quote is not closed on its line")?;
        let rest = rest.trim_start();
        return if rest.is_empty() || rest.starts_with('#') {
            Ok(inner)
        } else {
            Err("something stands behind the closing quote")
        };
    }
    // A comment behind an unquoted value starts with a blank and `#`, as in Compose.
    Ok(value.split(" #").next().unwrap_or(value).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "# c\r\n\nA=1\nexport B='x y'\nC=\"q#\" # d\nD=a # comment\nE=\n  F = g \n";
        let mut problems = Problems::default();
        let env = parse(text, &mut problems);
        let pairs: Vec<_> = env.variables.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["A=1", "B=x y", "C=q#", "D=a", "E=", "F=g"]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(env.place("B", "x y").and_then(|p| text.get(p)), Some("'x y'"));
        assert_eq!(env.place("B", "from the environment"), None);
    }

    #[test]
    fn the_first_line_that_is_wrong_is_named() {
        assert_eq!(variables("A=1\nB='x'").map(|v| v.len()), Ok(2));
        let said = "line 2 of .env: this line of `.env` is not `NAME=value`";
        assert_eq!(variables("A=1\nnonsense\n"), Err(said.into()));
    }

    #[test]
    fn all_that_is_wrong_and_nothing_of_the_values() {
        let text = "nonsense-hunter2\nA=\"hunter2\nB='hunter2' hunter2\nC=$(echo hunter2)\nD=${hunter2}\nD=hunter2\n1A=hunter2";
        let mut problems = Problems::default();
        parse(text, &mut problems);
        let all = problems.sorted();
        let lines: Vec<_> = all
            .iter()
            .map(|p| crate::base::problem::line_column(text, p.span.as_ref().map_or(0, |s| s.start)).0)
            .collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7]);
        assert!(!format!("{all:?}").contains("hunter2") && all.iter().all(|p| p.hidden), "{all:?}");
    }
}
