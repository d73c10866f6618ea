//! Generated strings in every field: what the programs read is the tree that was meant.
//!
//! What is meant is known without knowing the format: the tree that a harmless word gives, with the word replaced.

use serde_json::Value;

use stackctl::base::hash;
use stackctl::model::artifact::Artifact;
use stackctl::model::stack::Stack;
use stackctl::render::{Found, RenderError, ScrapeTarget, compose, prometheus, systemd};

use crate::breakout::{HOSTILE, PLACES, command_line, everywhere, words};
use crate::judges::{crossplane, python};
use crate::readers::text;
use crate::{golden, sample};

/// Stands where the generated strings go.
const WORD: &str = "harmless";

/// What means something somewhere.
const TOKENS: [&str; 24] = [
    "\"", "'", "\\", "\n", ";", "{", "}", "$", "%", "#", "{{", "}}", "\r", "\u{2028}", " ", "a", "\\n", "{%", "${x}",
    "\t", "\\\"", "e\u{301}", ":", "-",
];

/// Strings of up to eight tokens, the same in every run.
fn generated(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| {
        let digest = hash::sha256(&number.to_be_bytes());
        let mut bytes = digest
            .as_bytes()
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().map(usize::from));
        let length = bytes.next().unwrap() % 8 + 1;
        bytes.take(length).map(|byte| TOKENS[byte % TOKENS.len()]).collect()
    })
}

/// A tree with one text for another, in keys and values.
fn replaced(tree: &Value, from: &str, to: &str) -> Value {
    match tree {
        Value::String(text) => Value::String(text.replace(from, to)),
        Value::Array(list) => list.iter().map(|item| replaced(item, from, to)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace(from, to), replaced(value, from, to))).collect()
        }
        other => other.clone(),
    }
}

/// A tree in which counts in patterns (`.{7}`) and names of folders of files (`app.1a2b3c4d`) say nothing.
fn counted(tree: &Value) -> Value {
    match tree {
        Value::String(text) => {
            let mut words = text.split("^.{");
            let mut out = words.next().unwrap_or_default().to_owned();
            for word in words {
                out.push_str("^.{N");
                out.push_str(word.trim_start_matches(|c: char| c.is_ascii_digit()));
            }
            match out.strip_prefix("/app.") {
                Some(rest) if rest.len() > 8 && rest.bytes().take(8).all(|b| b.is_ascii_hexdigit()) => {
                    Value::String(format!("/app.HASH{}", &rest[8..]))
                }
                _ => Value::String(out),
            }
        }
        Value::Array(list) => list.iter().map(counted).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), counted(value))).collect(),
        other => other.clone(),
    }
}

/// A tree in which neighbours have no order: another text is another place among locations, or in what is sorted.
fn unordered(tree: &Value) -> Value {
    match tree {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(unordered).collect();
            list.sort_by_key(Value::to_string);
            Value::Array(list)
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), unordered(value))).collect(),
        other => other.clone(),
    }
}

/// YAML documents as Python reads them.
fn yaml_all(documents: &[String]) -> Vec<Value> {
    let program =
        "import json, sys, yaml; json.dump([yaml.safe_load(text) for text in json.load(sys.stdin)], sys.stdout)";
    serde_json::from_str(&python(program, &serde_json::to_string(documents).unwrap())).unwrap()
}

#[test]
fn compose_means_what_was_said() {
    let values: Vec<String> = std::iter::once(WORD.to_owned()).chain(generated(150)).collect();
    let documents: Vec<String> =
        values.iter().map(|value| text(&compose(&everywhere(value), ".").unwrap()).to_owned()).collect();
    let trees = yaml_all(&documents);
    for (value, tree) in values.iter().zip(&trees) {
        // Compose makes one `$` of two when it puts variables in.
        let wanted = replaced(&trees[0], WORD, &value.replace('$', "$$"));
        assert!(unordered(tree) == unordered(&wanted), "{value:?}:\n{tree}\nnot\n{wanted}");
    }
}

/// A Prometheus file with a value wherever one can be.
fn watched(value: &str) -> Result<Vec<Artifact>, RenderError> {
    let mut stack = sample::full();
    stack.stage = Some(value.to_owned());
    stack.monitoring.external_labels = [("region".to_owned(), value.to_owned())].into();
    stack.services.get_mut("app").unwrap().metrics = Some(format!("/metrics/{}", value.replace(['?', '&', '='], "")));
    let target = ScrapeTarget { service: sample::name("app"), replica: 1, address: value.to_owned() };
    prometheus(&stack, Found::At(&[target]))
}

#[test]
fn prometheus_means_what_was_said() {
    let mut values = vec![WORD.to_owned()];
    let mut documents = vec![text(&watched(WORD).unwrap()).to_owned()];
    for value in generated(200) {
        match watched(&value) {
            Ok(files) => {
                assert!(!value.contains('$'), "{value:?} went through");
                documents.push(text(&files).to_owned());
                values.push(value);
            }
            Err(RenderError::Value { .. }) if value.contains('$') => {}
            Err(other) => panic!("{value:?}: {other}"),
        }
    }
    assert!(values.len() > 50, "most are refused");
    let trees = yaml_all(&documents);
    for (value, tree) in values.iter().zip(&trees) {
        assert_eq!(*tree, replaced(&trees[0], WORD, value), "{value:?}");
    }
}

/// A line of a unit as systemd.syntax(7) and systemd.service(5) say: words, quotes, C escapes, `%%` and `$$`.
fn unit_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| " \t".contains(*c)).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let quote = chars.next_if(|c| "\"'".contains(*c));
        let mut word = String::new();
        loop {
            match chars.next() {
                None if quote.is_some() => return Err("a quote without an end".to_owned()),
                None => break,
                Some(c) if Some(c) == quote => {
                    if chars.peek().is_some_and(|c| !" \t".contains(*c)) {
                        return Err("text behind a quote".to_owned());
                    }
                    break;
                }
                Some(' ' | '\t') if quote.is_none() => break,
                Some('\\') => word.push(escaped(&mut chars)?),
                Some(c @ ('%' | '$')) => {
                    chars.next_if_eq(&c).ok_or_else(|| format!("a single {c}"))?;
                    word.push(c);
                }
                Some(c) => word.push(c),
            }
        }
        words.push(word);
    }
}

fn escaped(chars: &mut impl Iterator<Item = char>) -> Result<char, String> {
    let kind = chars.next().ok_or("a backslash at the end")?;
    let mut number = |digits: usize, base| {
        let text: String = chars.by_ref().take(digits).collect();
        let whole = text.len() == digits;
        let number = u32::from_str_radix(&text, base).ok().filter(|_| whole);
        number.and_then(char::from_u32).ok_or(format!("no character {text}"))
    };
    Ok(match kind {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        's' => ' ',
        '\\' | '"' | '\'' => kind,
        'x' => number(2, 16)?,
        'u' => number(4, 16)?,
        'U' => number(8, 16)?,
        other => return Err(format!("no escape \\{other}")),
    })
}

/// The command line of a unit as it stands there, and the one that was meant.
fn started(value: &str) -> (String, Vec<String>) {
    let mut stack = sample::full();
    stack.stage = Some(value.to_owned());
    let file = format!("/srv/{value}");
    let unit = systemd(&stack, "/bin/true", &file).unwrap();
    let wanted = ["/bin/true", "--file", &file, "--stage", value, "up", "--yes"].map(str::to_owned).to_vec();
    (text(&unit).to_owned(), wanted)
}

fn exec_start(unit: &str) -> &str {
    let lines: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    assert_eq!(lines.len(), 1, "{unit}");
    lines[0]
}

#[test]
fn a_unit_means_what_was_said() {
    // Our reader reads as systemd itself does.
    for value in &HOSTILE[..6] {
        let (unit, wanted) = started(value);
        let theirs: Vec<String> = words(&command_line(&unit)).iter().map(|word| word.replace("$$", "$")).collect();
        assert_eq!(unit_words(exec_start(&unit)), Ok(theirs), "{value:?}");
        assert_eq!(unit_words(exec_start(&unit)), Ok(wanted), "{value:?}");
    }
    let plain = started(WORD).0.lines().count();
    for value in generated(2000) {
        let (unit, wanted) = started(&value);
        assert_eq!(unit_words(exec_start(&unit)), Ok(wanted), "{value:?}");
        assert_eq!(unit.lines().count(), plain, "{value:?} has no line of its own");
    }
}

#[test]
fn the_reader_of_units_is_not_lenient() {
    for wrong in ["a \"b", "a \"b\"c", "a\\q", "100%", "$HOME", "\\u12"] {
        assert!(unit_words(wrong).is_err(), "{wrong}");
    }
}

/// A front door with a value in every place that can hold one.
fn spoiled(value: &str) -> Result<Vec<Artifact>, RenderError> {
    let mut stack: Stack = sample::full();
    for place in PLACES {
        place(&mut stack, value);
    }
    golden::front_door(&stack, "nginx:1.30")
}

#[test]
fn nginx_means_what_was_said() {
    // A query or a fragment is no part of a path.
    let fits = |value: &String| !value.contains(['$', '?', '#']) && !value.chars().any(char::is_control);
    for value in generated(300).filter(|value| value.contains('$') || value.chars().any(char::is_control)) {
        assert!(matches!(spoiled(&value), Err(RenderError::Value { .. })), "{value:?} went through");
    }
    let values: Vec<String> = std::iter::once(WORD.to_owned()).chain(generated(300).filter(fits)).collect();
    assert!(values.len() > 50, "most are refused");
    let doors: Vec<Vec<Artifact>> = values.iter().map(|value| spoiled(value).unwrap()).collect();
    let trees = crossplane(&doors);
    for (value, tree) in values.iter().zip(&trees) {
        assert_eq!(tree["errors"], serde_json::json!([]), "{value:?}");
        // It takes the backslash before a quote away, and leaves two backslashes as they are.
        let wanted = replaced(&trees[0]["tree"], WORD, &value.replace('\\', "\\\\"));
        // How long a route's path is, and a hash of it, stand for the path itself where its files lie.
        let (tree, wanted) = (&counted(&tree["tree"]), counted(&wanted));
        assert!(unordered(tree) == unordered(&wanted), "{value:?}:\n{tree}\nnot\n{wanted}");
    }
}
