//! Lines of the user's own for Nginx.

use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::proxy::ProxyKeys;
use crate::config::values::Text;
use crate::model::proxy::Snippets;

use super::Input;

pub(super) fn lower(keys: Option<&ProxyKeys>, input: &Input<'_>, problems: &mut Problems) -> Snippets {
    let Some(table) = keys.and_then(|keys| keys.snippets.as_ref()).map(|table| &table.value) else {
        return Snippets::default();
    };
    Snippets {
        http: table.http.as_ref().and_then(|path| read(path, input, problems)),
        server: table.server.as_ref().and_then(|path| {
            let text = read(path, input, problems)?;
            let sets = |line: &str| line.trim_start().starts_with("add_header ");
            if let Some(number) = text.lines().position(|line| line.split(['{', ';']).any(sets)) {
                problems.push(
                    Problem::error(format!(
                        "`{}`, line {}: `add_header` would take every other header away",
                        path.value.0,
                        number + 1
                    ))
                    .at(path.span.clone())
                    .label("Nginx inherits them only where none is set")
                    .help("`proxy.headers` sets more of them, for every answer"),
                );
                return None;
            }
            Some(text)
        }),
    }
}

fn read(path: &At<Text>, input: &Input<'_>, problems: &mut Problems) -> Option<String> {
    let text = file(path, input, problems)?;
    let Some(line) = unescaped(&text) else { return Some(text) };
    problems.push(
        Problem::error(format!("`{}`, line {line}: a value is printed without being escaped", path.value.0))
            .at(path.span.clone())
            .help("take `safe` away: a value becomes one word of Nginx, whatever is in it"),
    );
    None
}

/// The text of one file of the project.
pub(super) fn file(path: &At<Text>, input: &Input<'_>, problems: &mut Problems) -> Option<String> {
    let name = &path.value.0;
    let (message, help) = match input.beside.read(name) {
        Ok(files) => match files.into_iter().next().filter(|file| file.path.is_empty()) {
            Some(file) => return Some(file.text),
            None => (format!("`{name}` is a folder, not a file"), "name the file itself"),
        },
        Err(why) => (format!("`{name}` {why}"), "the path starts at the folder of stack.toml"),
    };
    problems.push(Problem::error(message).at(path.span.clone()).help(help));
    None
}

/// The line, from 1, with a tag that takes the escaping away: `safe`, as a filter or around a block.
fn unescaped(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").into_iter().chain(text[at..].find("{%")).min() {
        let start = at + open;
        let end = text[start..].find("}}").into_iter().chain(text[start..].find("%}")).min();
        let end = end.map_or(text.len(), |end| start + end + 2);
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        if text[start..end].split(word).any(|word| word == "safe") {
            return Some(text[..start].lines().count().max(1) + usize::from(text[..start].ends_with('\n')));
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_escaped_is_found_where_it_is() {
        for (text, line) in [
            ("add_header X {{ domain }};", None),
            ("# safe\nlocation /safe { return 200 {{ project }}; }", None),
            ("return 200 {{ project|safe }};", Some(1)),
            ("\n\nreturn 200 {{- project | upper | safe -}};", Some(3)),
            ("{% filter safe %}{{ project }}{% endfilter %}", Some(1)),
            ("{% set x = project | safe %}\n{{ x }}", Some(1)),
            ("{{ a }}\n{{ b | safe", Some(2)),
        ] {
            assert_eq!(unescaped(text), line, "{text}");
        }
    }
}
