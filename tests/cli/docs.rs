//! Documents that are made from the code are as the code makes them.

use stackctl::cli::{exit, help};
use stackctl::config::describe;
use stackctl::diagnose;

use crate::harness::{compare, root};

fn document(name: &str, text: &str) {
    compare(&root().join("docs").join(name), text, "UPDATE_DOCS");
}

#[test]
fn stack_toml() {
    document("stack-toml.md", &describe::reference());
}

#[test]
fn schema() {
    let schema = serde_json::to_string_pretty(&describe::schema()).expect("JSON");
    document("stack.schema.json", &format!("{schema}\n"));
}

#[test]
fn commands() {
    document("commands.md", &help::document());
}

#[test]
fn checks() {
    document("checks.md", &stackctl::ui::checklist::document());
}

#[test]
fn engines() {
    document("engine-versions.md", &stackctl::engine::capability::document());
}

#[test]
fn exit_codes() {
    document("exit-codes.md", &exit::document());
}

#[test]
fn troubleshooting() {
    document("troubleshooting.md", &diagnose::document());
}

#[test]
fn commands_of_pipelines_are_commands() {
    let text = std::fs::read_to_string(root().join("docs/ci.md")).expect("docs/ci.md").replace("\\\n", " ");
    let case = crate::harness::Case::new();
    let mut number = 0;
    for line in text.split("```yaml").skip(1).filter_map(|block| block.split("```").next()).flat_map(str::lines) {
        let Some(at) = line.find("stackctl ").filter(|_| !line.trim_start().starts_with('#')) else { continue };
        let command = line[at..].split(" > ").next().unwrap_or_default().replace('"', "");
        let words: Vec<&str> = command.split_whitespace().skip(1).chain(["--help"]).collect();
        let outcome = case.run(&words);
        assert_eq!(outcome.code, Some(0), "{words:?}: {}", outcome.stderr);
        number += 1;
    }
    assert!(number >= 8, "{number} commands");
    assert_eq!(case.run(&["verify", "--inside", "--help"]).code, Some(2), "an option that is none is refused");
}
