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
fn exit_codes() {
    document("exit-codes.md", &exit::document());
}

#[test]
fn troubleshooting() {
    document("troubleshooting.md", &diagnose::document());
}
