//! Values as TOML, on one line: what is shown of a value that was put together from several places, and what stands in
//! files that are made. Read again, it is the same value.

use std::fmt::Write as _;

use super::tree::{Entry, Part, Value};

/// A value. An inline table, if it is one.
pub fn value(value: &Value) -> String {
    match value {
        Value::Text(parts) => string(&parts.iter().map(part).collect::<String>()),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) if number.is_nan() => "nan".to_owned(),
        // The shortest that is read as the same number, with a point or an exponent.
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(value) => value.to_string(),
        Value::Date(text) => text.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| self::value(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Table(entries) => {
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A key with its value.
pub fn entry(entry: &Entry) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let key = &entry.key;
    let key = if !key.is_empty() && key.bytes().all(bare) { key.clone() } else { string(key) };
    format!("{key} = {}", value(&entry.node.value))
}

/// A text that means itself, whatever is in it: `${` is no reference.
pub fn literal(text: &str) -> String {
    string(&escaped(text))
}

/// A TOML string that holds exactly this text.
pub fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn part(part: &Part) -> String {
    match part {
        Part::Text(text) => escaped(text),
        Part::Reference(name) => format!("${{{name}}}"),
    }
}

/// `${` as itself.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::problem::Problems;
    use crate::config::tree::parse;

    fn again(text: &str) -> String {
        let mut problems = Problems::default();
        let root = parse(&format!("x = {text}"), &mut problems);
        assert!(problems.is_empty(), "{text}: {problems:?}");
        root.get("x").map(|e| value(&e.node.value)).unwrap_or_default()
    }

    #[test]
    fn what_is_written_shortest_stays_as_it_is() {
        for text in [
            "1",
            "-7",
            "0.5",
            "1e300",
            "inf",
            "-inf",
            "nan",
            "true",
            "2026-11-20",
            "2026-11-20T10:00:00Z",
            r#""""#,
            r#""a ${A:-b}$${c} d$""#,
            r#""\"\\\n\t\r\u0001\u007F é""#,
            "[]",
            r#"["a", [1], {}]"#,
            r#"{ a = 1, "b.c" = { "" = "x" } }"#,
        ] {
            assert_eq!(again(text), text);
        }
    }

    #[test]
    fn other_spellings_become_this_one() {
        for (text, printed) in [
            ("0x10", "16"),
            ("1_000", "1000"),
            ("5e0", "5.0"),
            ("'''\na\\b'''", r#""a\\b""#),
            ("{a.b=1}", "{ a = { b = 1 } }"),
            ("[ 1, # one\n 2 ]", "[1, 2]"),
        ] {
            assert_eq!(again(text), printed);
            assert_eq!(again(printed), printed);
        }
    }

    #[test]
    fn a_literal_is_no_reference() {
        assert_eq!(literal(r#"${A} "$""#), r#""$${A} \"$\"""#);
    }
}
