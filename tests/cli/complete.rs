//! Completions and manual pages.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use stackctl::config::describe;

use crate::harness::Case;

const STACK: &str = "name = \"sum\"\n[services.app]\nimage = \"a:1\"\nport = 8000\nreplicas = 2\n\
    [services.postgres]\npreset = \"postgres:15\"\n[routes]\n\"/\" = \"app\"\n\
    [stages.staging]\nservices.app.replicas = 1\n";

/// What bash itself completes with the script it gets, sorted; flags left out.
fn completed(case: &Case, line: &str) -> Vec<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_stackctl")).parent().expect("a folder");
    let script = format!(
        "source <(stackctl completions bash)\nCOMP_WORDS=(stackctl {line}{})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _clap_complete_stackctl stackctl \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\nIFS=' '\necho \"${{COMPREPLY[*]}}\"\n",
        if line.ends_with(' ') { "''" } else { "" }
    );
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(case.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .output()
        .expect("bash");
    let shown = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<String> =
        shown.split_whitespace().filter(|word| !word.starts_with('-')).map(str::to_owned).collect();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    names.sort_unstable();
    names
}

#[test]
fn completions_and_manual() {
    let case = Case::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = case.run(&["completions", shell]);
        assert!(outcome.code == Some(0) && outcome.stdout.contains("STACKCTL_COMPLETE"), "{shell}");
    }
    case.snapshot("man", &["man", "out/man1"]);
    let mut pages: Vec<String> = std::fs::read_dir(case.path().join("out/man1"))
        .expect("pages")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    pages.sort();
    let said = case.run(&["man", "out/man1"]).stderr;
    assert!(said.contains(&format!("wrote {} pages", pages.len())), "{said}: {pages:?}");
    assert!(pages.iter().any(|page| page == "stackctl-secrets-set.1"), "commands of commands, too: {pages:?}");
    let up = std::fs::read_to_string(case.path().join("out/man1/stackctl-up.1")).expect("a page");
    assert!(up.contains("stackctl\\-up") && up.contains("no\\-verify"), "{up}");
}

/// Commands, flags, services, stages and checks.
#[test]
fn bash_completes_names_of_the_file() {
    let case = Case::new().file("stack.toml", STACK).file("other.toml", "[services.lonely]\n[stages.far]\n");
    for (line, expected) in [
        ("ver", "verify"),
        ("logs ", "app postgres"),
        ("logs po", "postgres"),
        ("--stage st", "staging"),
        ("--file other.toml logs l", "lonely"),
        ("--file=other.toml --stage f", "far"),
        ("explain services.app.rep", "services.app.replicas"),
        ("explain routes./.time", "routes./.timeout"),
        ("verify --only WS-1", "WS-1"),
    ] {
        assert_eq!(completed(&case, line).join(" "), expected, "{line}");
    }
}

/// A key that is described is completed: whatever the schema has of it, in a file with a table of each kind.
#[test]
fn bash_completes_every_key_that_is_described() {
    let schema = describe::schema();
    let mut expected = BTreeSet::new();
    let mut file = filled(&schema, &schema, "", &mut expected);
    // Overlays are laid over the file: their keys are asked for by the file's own.
    file.as_object_mut().expect("a table").remove("stages");
    expected.retain(|path| path != "stages" && !path.starts_with("stages."));
    let text = toml::to_string(&file).expect("TOML");
    assert!(expected.len() > 180, "{}", expected.len());
    let case = Case::new().file("stack.toml", &text);
    let known: BTreeSet<String> = completed(&case, "explain ").into_iter().collect();
    let either: Vec<&String> = expected.symmetric_difference(&known).collect();
    assert!(either.is_empty(), "completed or described, but not both: {either:?}\n{text}");
}

/// A table with every table that it can have, each below a name `x` where users choose names; paths of all keys go into
/// `paths`.
fn filled(table: &Value, schema: &Value, path: &str, paths: &mut BTreeSet<String>) -> Value {
    let mut out = Map::new();
    for (key, about) in table["properties"].as_object().expect("keys") {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(value) = inside(about, schema, &path, paths) {
            out.insert(key.clone(), value);
        }
        paths.insert(path);
    }
    Value::Object(out)
}

/// The value of a key that takes a table, or one of a list of alternatives that is a table.
fn inside(about: &Value, schema: &Value, path: &str, paths: &mut BTreeSet<String>) -> Option<Value> {
    if let Some(name) = about["allOf"][0]["$ref"].as_str() {
        let definition = name.trim_start_matches("#/definitions/");
        return Some(filled(&schema["definitions"][definition], schema, path, paths));
    }
    if let Some(alternatives) = about["anyOf"].as_array() {
        return alternatives.iter().find_map(|one| inside(one, schema, path, paths));
    }
    let named = &about["additionalProperties"];
    named.is_object().then(|| {
        let below = format!("{path}.x");
        let value = inside(named, schema, &below, paths);
        paths.insert(below);
        json!({ "x": value.unwrap_or_else(|| json!("")) })
    })
}
