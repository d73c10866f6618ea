//! Decode, print, decode: what was understood of a file, printed by the program (as `explain` shows values) and read
//! again, is understood the same, to the last value of the stack and the last problem. Of files that are generated from
//! the description of the keys, of the stacks of the guides, and of all files that are wrong.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value, json};
use stackctl::base::problem::Problems;
use stackctl::config::{self, describe, print, tree};

use crate::fuzz::Dice;
use crate::harness::root;
use crate::wrong;

/// The whole file, an entry a line; `None` if it is not TOML.
pub fn printed(text: &str) -> Option<String> {
    let mut problems = Problems::default();
    let file = tree::parse(text, &mut problems);
    let tree::Value::Table(entries) = file.value else { return None };
    let lines = entries.iter().map(|entry| print::entry(entry) + "\n");
    (!problems.has_errors()).then(|| lines.collect())
}

/// The stack as it is kept in releases, and what is wrong with it, in words. Lines are left out: they are others.
fn understood(text: &str, stage: Option<&str>) -> (Value, Vec<String>) {
    let variables = BTreeMap::from([("LICENCE".to_owned(), "0123456789abcdef".to_owned())]);
    let loaded = config::load(text, stage, &variables);
    let mut stack = json!(loaded.stack);
    without_lines(&mut stack);
    let mut problems: Vec<String> = loaded
        .problems
        .sorted()
        .into_iter()
        .map(|p| format!("{:?} {} {} {:?} {:?} {:?}", p.severity, p.rule, p.message, p.label, p.help, p.fix))
        .map(|text| without_numbers_of_lines(&text))
        .collect();
    problems.sort();
    problems.dedup();
    (stack, problems)
}

/// `line 7` as `line`.
fn without_numbers_of_lines(text: &str) -> String {
    let mut parts = text.split("line ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + "line " + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn without_lines(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| name != "line" && !name.ends_with("_line"));
            map.values_mut().for_each(without_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(without_lines),
        _ => {}
    }
}

/// Whether the file is right, too.
fn is_the_same_again(text: &str, name: &str) -> bool {
    let Some(once) = printed(text) else { return false };
    assert_eq!(printed(&once).as_ref(), Some(&once), "{name}: printed twice");
    let mut right = false;
    for stage in [None, Some("staging")] {
        let (first, second) = (understood(text, stage), understood(&once, stage));
        assert_eq!(first.1, second.1, "{name}, {stage:?}: what is wrong\n{text}\n{once}");
        assert_eq!(first.0, second.0, "{name}, {stage:?}: the stack\n{text}\n{once}");
        right |= !first.0.is_null();
    }
    right
}

#[test]
fn of_files_that_people_write() {
    let mut files: Vec<(String, String)> = wrong::all().into_iter().map(|w| (w.name, w.text)).collect();
    let number_of_wrong = files.len();
    files.push(("example".to_owned(), fs::read_to_string(root().join("stack.example.toml")).expect("the example")));
    for folder in ["tests/stacks", "templates/init"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder").flatten() {
            let text = fs::read_to_string(entry.path()).expect("a file");
            files.push((entry.path().display().to_string(), text));
        }
    }
    let right = files.iter().filter(|(name, text)| is_the_same_again(text, name)).count();
    // The templates are right without what a `.env` would hold, and so are the stacks.
    assert_eq!(right, files.len() - number_of_wrong, "files that are right");
}

#[test]
fn of_files_that_are_generated() {
    const FILES: usize = 400;
    let schema = describe::schema();
    let mut dice = Dice(7);
    let mut right = 0;
    for number in 0..FILES {
        let file = Generator { schema: &schema, dice: &mut dice }.file();
        let text = toml::to_string(&file).expect("TOML");
        right += usize::from(is_the_same_again(&text, &format!("file {number}")));
    }
    assert!(right > FILES / 10, "only {right} of {FILES} files are right: the others try little");
}

/// Files by the schema: a stack that is right, with keys added here and there.
struct Generator<'a> {
    schema: &'a Value,
    dice: &'a mut Dice,
}

/// Texts in which everything stands that a printer has to know of.
const TEXTS: &[&str] = &[
    "",
    "plain",
    "a \"quoted\" \\ back\\slash",
    "two\nlines\r\n\ttab",
    "${LICENCE}",
    "x${LICENCE}y$${literal}",
    "$$ $5 $",
    "é\u{301}漢\u{1f600}",
    "\u{1}\u{7f}\u{85}\u{202e}",
    "'''",
    "a.b c=d # no comment",
];

impl Generator<'_> {
    fn file(&mut self) -> Value {
        let mut file = json!({
            "name": "sum",
            "services": {
                "app": { "image": "acme/app:1", "port": 8000, "cpus": 1, "memory": "1G", "environment": {} },
                "worker": { "like": "app" },
                "postgres": { "preset": "postgres:15" },
                "redis": { "preset": "redis:7" },
            },
            "secrets": { "licence": { "env": "LICENCE" } },
            "proxy": {},
            "routes": { "/": "app", "/x": { "service": "app" } },
            "stages": { "staging": { "services": { "app": { "replicas": 1 } } } },
        });
        for _ in 0..=self.dice.roll(3) {
            let places = [
                "/services/app",
                "/services/worker",
                "/services/postgres",
                "/services/redis",
                "/secrets/licence",
                "/proxy",
                "/routes/~1x",
                "/stages/staging/services/app",
            ];
            let place = places[self.dice.roll(places.len())];
            let table = place.trim_start_matches("/stages/staging").split('/').nth(1).unwrap_or_default();
            let about = &self.schema["properties"][table];
            let about = if about["additionalProperties"].is_object() { &about["additionalProperties"] } else { about };
            let keys = self.properties(about);
            let (key, about) = &keys[self.dice.roll(keys.len())];
            let value = self.value(about, 0);
            if let Some(Value::Object(into)) = file.pointer_mut(place) {
                into.insert(key.clone(), value);
            }
        }
        for name in ["TEXT", "OTHER"] {
            let text = TEXTS[self.dice.roll(TEXTS.len())];
            file["services"]["app"]["environment"][name] = json!(text);
        }
        file
    }

    /// The keys of a table, however its schema leads to it.
    fn properties(&self, about: &Value) -> Vec<(String, Value)> {
        if let Some(name) = about["allOf"][0]["$ref"].as_str() {
            return self.properties(&self.schema["definitions"][name.trim_start_matches("#/definitions/")]);
        }
        let among = about["anyOf"].as_array();
        let table = among.and_then(|any| any.iter().find(|one| one["allOf"].is_array()));
        match (table, about["properties"].as_object()) {
            (Some(table), _) => self.properties(table),
            (None, Some(keys)) => keys.iter().map(|(key, about)| (key.clone(), about.clone())).collect(),
            (None, None) => unreachable!("no table: {about}"),
        }
    }

    /// A value that the schema allows, most often the example.
    fn value(&mut self, about: &Value, depth: usize) -> Value {
        if let Some(examples) = about["examples"].as_array().filter(|_| self.dice.roll(4) > 0) {
            return examples[0].clone();
        }
        if let Some(alternatives) = about["anyOf"].as_array() {
            let which = self.dice.roll(alternatives.len());
            return self.value(&alternatives[which], depth);
        }
        if let Some(words) = about["enum"].as_array() {
            return words[self.dice.roll(words.len())].clone();
        }
        match about["type"].as_str() {
            Some("boolean") => json!(self.dice.roll(2) == 0),
            Some("integer") => {
                let (least, most) = (about["minimum"].as_i64().unwrap_or(0), about["maximum"].as_i64().unwrap_or(9));
                json!([least, most, least + (most - least) / 2, least - 1][self.dice.roll(4)])
            }
            Some("number") => json!([0.5, 1e-7, 2.0, 1e21][self.dice.roll(4)]),
            Some("array") => {
                let items = 0..self.dice.roll(3);
                items.map(|_| self.value(&about["items"], depth + 1)).collect()
            }
            _ if about["allOf"].is_array() || about["properties"].is_object() => {
                let mut keys = self.properties(about);
                let mut out = Map::new();
                for _ in 0..self.dice.roll(4).min(3_usize.saturating_sub(depth)) {
                    let which = self.dice.roll(keys.len());
                    let (key, about) = keys.swap_remove(which);
                    out.insert(key, self.value(&about, depth + 1));
                    if keys.is_empty() {
                        break;
                    }
                }
                Value::Object(out)
            }
            Some("object") => json!({ "x.y": self.value(&about["additionalProperties"], depth + 1) }),
            _ => json!(TEXTS[self.dice.roll(TEXTS.len())]),
        }
    }
}
