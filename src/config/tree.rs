//! stack.toml as a tree in which every key and value knows its place. Overlays are merged here, before anything is
//! decoded, so that an error in an overlay points into the overlay.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::problem::{Problem, Problems};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Byte range in the file.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string, cut at its references.
    Text(Vec<Part>),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time as it is written: no key takes one.
    Date(String),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order of the file.
    Table(Vec<Entry>),
}

/// A part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// What stands between `${` and `}`.
    Reference(String),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

impl Value {
    /// What a user would call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// The entry with this key, of a table.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The entry with this key, of a table, to be changed.
    pub fn entry(&mut self, key: &str) -> Option<&mut Entry> {
        match &mut self.value {
            Value::Table(entries) => entries.iter_mut().find(|e| e.key == key),
            _ => None,
        }
    }

    /// Takes the entry with this key out of a table.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        match &mut self.value {
            Value::Table(entries) => entries.iter().position(|e| e.key == key).map(|i| entries.remove(i)),
            _ => None,
        }
    }

    /// The string, if it is one without references.
    pub fn plain(&self) -> Option<String> {
        match &self.value {
            Value::Text(parts) => match parts.as_slice() {
                [] => Some(String::new()),
                [Part::Text(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Lays another tree over this one: tables are merged key by key, everything else is replaced.
    pub fn overlay(&mut self, upper: Node) {
        match (&mut self.value, upper.value) {
            (Value::Table(entries), Value::Table(others)) => {
                for other in others {
                    match entries.iter_mut().find(|e| e.key == other.key) {
                        Some(entry) => entry.node.overlay(other.node),
                        None => entries.push(other),
                    }
                }
            }
            (_, value) => *self = Node { span: upper.span, value },
        }
    }
}

/// Reads the text. Syntax errors are reported all at once; what could be read is returned beside them.
pub fn parse(text: &str, problems: &mut Problems) -> Node {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let mut problem =
            Problem::error(format!("not valid TOML: {}", error.message().replace('\n', "; "))).rule("syntax");
        problem.span = error.span();
        problems.push(problem);
    }
    let span = table.span();
    Node { span, value: Value::Table(entries(table.into_inner(), problems)) }
}

fn entries(table: DeTable<'_>, problems: &mut Problems) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let key_span = key.span();
            Entry { key: key.into_inner().into_owned(), key_span, node: node(value, problems) }
        })
        .collect();
    entries.sort_by_key(|e| e.key_span.start);
    entries
}

fn node(value: Spanned<DeValue<'_>>, problems: &mut Problems) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => {
            let (parts, open) = parts(&text);
            if open {
                problems.push(
                    Problem::error("this reference is not closed")
                        .rule("syntax")
                        .at(span.clone())
                        .help("write `${NAME}`; `$${` is a literal `${`"),
                );
            }
            Value::Text(parts)
        }
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| node(item, problems)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, problems)),
    };
    Node { span, value }
}

/// Cuts a string at its references, and says whether the last one is left open. `$${` is a literal `${`; any other `$` is
/// itself.
fn parts(text: &str) -> (Vec<Part>, bool) {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            rest = &after[2..];
            continue;
        }
        plain.push_str(before);
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        let Some(end) = after.find('}') else {
            parts.push(Part::Reference(after[2..].to_owned()));
            return (parts, true);
        };
        parts.push(Part::Reference(after[2..end].to_owned()));
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Part::Text(plain));
    }
    (parts, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_cut_at_references() {
        let text = |t: &str| Part::Text(t.into());
        let reference = |t: &str| Part::Reference(t.into());
        for (input, expected) in [
            ("", vec![text("")]),
            ("a", vec![text("a")]),
            ("${A}", vec![reference("A")]),
            ("x${a.b}y", vec![text("x"), reference("a.b"), text("y")]),
            ("cost $5 $$ ", vec![text("cost $5 $$ ")]),
            ("$${A}", vec![text("${A}")]),
        ] {
            assert_eq!(parts(input), (expected, false), "{input}");
        }
        assert_eq!(parts("x${A"), (vec![text("x"), reference("A")], true));
    }

    #[test]
    fn an_overlay_keeps_its_own_place() {
        let mut problems = Problems::default();
        let mut lower = parse("a = 1\n[t]\nx = 1\ny = 2\n", &mut problems);
        let upper = parse("          t.x = 7", &mut problems);
        lower.overlay(upper);
        let x = lower.get("t").and_then(|t| t.node.get("x")).map(|e| e.node.clone());
        assert_eq!(x, Some(Node { span: 16..17, value: Value::Integer(7) }));
        assert!(problems.is_empty());
    }

    #[test]
    fn all_syntax_errors_at_once() {
        let mut problems = Problems::default();
        parse("a = \nb = 1\nc = ]\n", &mut problems);
        assert!(problems.sorted().len() >= 2);
    }
}
