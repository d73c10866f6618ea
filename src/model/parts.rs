//! A configuration in named parts: the difference of two says why something changes, in the words of stack.toml.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::hash;
use crate::base::units::ByteSize;

/// Part to value. A value is shown as it is, or is a keyed fingerprint after `#`: those of secrets, and of all that
/// people write freely.
pub type Parts = BTreeMap<String, String>;

/// How many changes are told in one sentence.
const MOST: usize = 6;

/// Fields whose text is shown: names and quantities, never what somebody may have put a password into.
const SHOWN: &[&str] = &[
    "image",
    "service",
    "user",
    "restart",
    "stop_signal",
    "stop_timeout",
    "timeout",
    "interval",
    "start_period",
    "hsts",
    "drain",
    "address",
    "key",
    "by",
];

/// The fingerprint of a value that is not shown.
pub fn hidden(key: &[u8], value: &[u8]) -> String {
    let mut print = hash::fingerprint(key, value);
    print.truncate(10);
    format!("#{print}")
}

/// Takes a value apart: `memory`, `limit`, `limit.rate` … below `name`. Numbers of lines say nothing about what runs.
pub fn take_apart(name: &str, value: &Value, key: &[u8], out: &mut Parts) {
    let field = name.rsplit(['.', ' ']).next().unwrap_or(name);
    match value {
        Value::Null => {}
        Value::Bool(on) => drop(out.insert(name.to_owned(), on.to_string())),
        Value::Number(number) => {
            let size = number.as_u64().filter(|_| ["memory", "max_body"].contains(&field));
            out.insert(name.to_owned(), size.map_or_else(|| number.to_string(), |n| ByteSize(n).to_string()));
        }
        Value::String(text) if SHOWN.contains(&field) => drop(out.insert(name.to_owned(), text.clone())),
        Value::String(text) => drop(out.insert(name.to_owned(), hidden(key, text.as_bytes()))),
        Value::Array(_) => {
            let text = without_lines(value.clone()).to_string();
            out.insert(name.to_owned(), hidden(key, text.as_bytes()));
        }
        Value::Object(map) => {
            if let (2, Some(requests), Some(per)) = (map.len(), map.get("requests"), map.get("per")) {
                let unit = per.as_str().and_then(|p| p.get(..1)).unwrap_or("s");
                out.insert(name.to_owned(), format!("{requests}/{unit}"));
                return;
            }
            out.insert(name.to_owned(), "set".to_owned());
            for (inner, value) in map.iter().filter(|(k, _)| !is_line(k)) {
                take_apart(&format!("{name}.{inner}"), value, key, out);
            }
        }
    }
}

fn is_line(key: &str) -> bool {
    key == "line" || key.ends_with("_line")
}

/// The same without numbers of lines: a comment above a key changes nothing.
pub fn without_lines(mut value: Value) -> Value {
    forget_lines(&mut value);
    value
}

fn forget_lines(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|k, _| !is_line(k));
            map.values_mut().for_each(forget_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_lines),
        _ => {}
    }
}

/// Every difference in a sentence of its own, the image first.
pub fn changes(before: &Parts, after: &Parts) -> Vec<String> {
    let gone_or_other = before.iter().filter(|(name, value)| after.get(*name) != Some(value)).map(|(name, _)| name);
    let new = after.keys().filter(|name| !before.contains_key(*name));
    // Of something that came or went as a whole, its parts need not be told.
    let told_already = |name: &str| {
        let mut at = name;
        while let Some(end) = at.rfind(['.', ' ']) {
            at = &at[..end];
            if before.contains_key(at) != after.contains_key(at) {
                return true;
            }
        }
        false
    };
    let mut found: Vec<&String> = gone_or_other.chain(new).filter(|n| !told_already(n)).collect();
    found.sort_by_key(|name| (rank(name), *name));
    found.into_iter().map(|n| sentence(n, before.get(n), after.get(n))).collect()
}

/// The same in one line, cut where it would be too long to read; `None` if nothing differs.
pub fn cause(before: &Parts, after: &Parts) -> Option<String> {
    let mut all = changes(before, after);
    if all.len() > MOST + 1 {
        let more = all.len() - MOST;
        all.truncate(MOST);
        all.push(format!("and {more} more"));
    }
    (!all.is_empty()).then(|| all.join("; "))
}

fn rank(name: &str) -> usize {
    const ORDER: [&str; 5] = ["image", "route", "env", "secret", "file"];
    let kind = name.split(' ').next().unwrap_or(name);
    ORDER.iter().position(|k| *k == kind).unwrap_or(ORDER.len())
}

fn sentence(name: &str, before: Option<&String>, after: Option<&String>) -> String {
    let words: Vec<&str> = name.split(' ').collect();
    match words.as_slice() {
        ["image"] => image(before, after),
        ["env", name] => format!("environment {name} {}", verb(before, after)),
        ["secret", name] => format!("secret `{name}` {}", verb(before, after)),
        ["file", name] => format!("file {name} {}", verb(before, after)),
        ["network", name] if before.is_none() => format!("joins network {name}"),
        ["network", name] if after.is_none() => format!("leaves network {name}"),
        ["route", path] => format!("route {path} {}", verb(before, after)),
        ["route", path, "limit"] if before.is_none() => format!("route {path} gained a limit"),
        ["route", path, "limit"] if after.is_none() => format!("route {path} lost its limit"),
        ["route", path, field] => format!("route {path}: {}", scalar(field, before, after)),
        [kind, rest @ ..] if !rest.is_empty() => scalar(&format!("{kind} {}", rest.join(" ")), before, after),
        _ => scalar(name, before, after),
    }
}

fn verb(before: Option<&String>, after: Option<&String>) -> &'static str {
    match (before, after) {
        (None, _) => "is new",
        (_, None) => "is gone",
        _ => "changed",
    }
}

fn scalar(name: &str, before: Option<&String>, after: Option<&String>) -> String {
    let name = match name {
        "stop_timeout" => "stop_grace_period",
        "env" => "environment",
        other => other,
    };
    let shown = |v: &&String| !v.starts_with('#') && *v != "set";
    match (before.filter(shown), after.filter(shown)) {
        (Some(before), Some(after)) => format!("{name} {before} → {after}"),
        (None, Some(after)) if before.is_none() => format!("{name} set to {after}"),
        (Some(old), None) if after.is_none() => format!("{name} no longer set (was {old})"),
        _ => format!("{name} {}", verb(before, after)),
    }
}

/// A built image's tag names the content it was built from: two of one name differ in their files.
fn image(before: Option<&String>, after: Option<&String>) -> String {
    let (before, after) = (before.map_or("", String::as_str), after.map_or("", String::as_str));
    let built = |reference: &str| {
        let (name, tag) = reference.rsplit_once(':')?;
        (tag.len() == 12 && tag.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_owned())
    };
    match (built(before), built(after)) {
        (Some(old), Some(new)) if old == new => "files of its build changed".to_owned(),
        _ => format!("image {before} → {after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parts(values: &[(&str, Value)]) -> Parts {
        let mut out = Parts::new();
        for (name, value) in values {
            take_apart(name, value, b"key", &mut out);
        }
        out
    }

    #[test]
    fn differences_are_told_in_the_words_of_the_file() {
        let limit = |n: u32| json!({"line": n, "rate": {"requests": n, "per": "second"}, "burst": 5});
        for (before, after, told) in [
            (("memory", json!(128 << 20)), ("memory", json!(256 << 20)), "memory 128M → 256M"),
            (("x", json!(null)), ("memory", json!(256 << 20)), "memory set to 256M"),
            (("cpus", json!(1.5)), ("x", json!(null)), "cpus no longer set (was 1.5)"),
            (("env LOG_LEVEL", json!("a")), ("env LOG_LEVEL", json!("b")), "environment LOG_LEVEL changed"),
            (("env A", json!("a")), ("x", json!(null)), "environment A is gone"),
            (("secret key", json!("a")), ("secret key", json!("b")), "secret `key` changed"),
            (("command", json!(["a"])), ("command", json!(["b"])), "command changed"),
            (("image", json!("nginx:1.29")), ("image", json!("nginx:1.30")), "image nginx:1.29 → nginx:1.30"),
            (
                ("image", json!("shop-app:0123456789ab")),
                ("image", json!("shop-app:ba9876543210")),
                "files of its build changed",
            ),
            (
                ("route /api/", json!({"service": "app"})),
                ("route /api/", json!({"service": "app", "limit": limit(3)})),
                "route /api/ gained a limit",
            ),
        ] {
            let (before, after) = (parts(&[before]), parts(&[after]));
            // Fields of a route are parts with a blank, as `Proxy::parts` makes them.
            let blank = |p: Parts| -> Parts { p.into_iter().map(|(k, v)| (k.replacen("/.", "/ ", 1), v)).collect() };
            assert_eq!(changes(&blank(before), &blank(after)), [told]);
        }
    }

    #[test]
    fn lines_of_the_file_are_no_difference() {
        let route = |line: u32| parts(&[("route /", json!({"line": line, "headers": [{"line": line, "a": 1}]}))]);
        assert_eq!(changes(&route(3), &route(9)), Vec::<String>::new());
    }

    #[test]
    fn what_is_written_freely_is_not_shown() {
        let value = json!({"environment": {"PASSWORD": "hunter2"}, "command": ["--password", "hunter2"]});
        let text = format!("{:?}", parts(&[("x", value)]));
        assert!(!text.contains("hunter2"), "{text}");
    }
}
