//! `docs/stack-toml.md`

use std::fmt::Write as _;

use crate::config::preset::PRESETS;
use crate::config::shape::{Shape, Table};

use super::examples;

const HEAD: &str = "\
# stack.toml

<!-- Made from src/config by `UPDATE_DOCS=1 cargo test --test cli`. -->

One file says what should be true. `stackctl check` tells everything that is wrong with it, at its place;
`stackctl schema` prints its JSON schema for editors.

Sizes are written `512M` or `2G` (powers of 1024), durations `500ms`, `30s`, `5m`, `1h30m`, `7d` or `1y`, rates `10/s`
or `30/m`. Paths are relative to the file. Each key's text ends with an example.

";

const REFERENCES: &str = "\
## References

| written | means | where |
|---|---|---|
| `${NAME}` | a variable of the environment, or of `.env` beside the file; it must be set | in every string |
| `${NAME:-default}` | the same, with a default | in every string |
| `${secrets.NAME.file}` | path of the file that holds a secret, in the container | in `environment` |
| `${secrets.NAME}` | the secret itself: visible to everyone who may ask the engine, so `check` warns | in `environment` |
| `${SERVICE.OFFER}` | what a service with a preset offers, see below | in `environment` |
| `${SERVICE.OFFER.file}` | path of the file that holds it, for offers with a password in them | in `environment` |
| `${workers}` | 2 × `cpus` + 1 | in `environment` |
| `$${` | a literal `${` | in every string |

Variables of the environment are written in capitals, names of the stack in lower case. The environment wins over `.env`,
which nobody but its owner may be able to read.

";

/// The reference of stack.toml: every key with its type, default and meaning.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    let mut tables = Vec::new();
    Shape::Table(super::file()).tables("", &mut tables);
    // A table that stands in several places is described once.
    let mut seen: Vec<(&Table, Vec<&str>)> = Vec::new();
    for (path, table) in &tables {
        if path.starts_with("stages.STAGE.") {
            continue;
        }
        match seen.iter_mut().find(|(known, _)| *known == table) {
            Some((_, paths)) => paths.push(path),
            None => seen.push((table, vec![path])),
        }
    }
    for (table, paths) in seen {
        section(&mut out, table, &paths);
    }
    out.push_str(REFERENCES);
    presets(&mut out);
    out
}

/// What is said about one table, which stands at these paths.
pub(super) fn section(out: &mut String, table: &Table, paths: &[&str]) {
    match paths.first() {
        Some(&"") | None => out.push_str("## The file\n\n"),
        Some(_) => {
            let paths: Vec<String> = paths.iter().map(|p| format!("`{p}`")).collect();
            let _ = writeln!(out, "## {}\n", paths.join(", "));
        }
    }
    let _ = writeln!(out, "{}\n", table.text);
    let short: Vec<String> = table.short.iter().map(|key| format!("`{key}`")).collect();
    if !short.is_empty() {
        let _ = writeln!(out, "The value of {} alone can stand in the table's place.\n", short.join(" and of "));
    }
    if let Some(example) = examples::of(table.name) {
        let _ = writeln!(out, "```toml\n{example}\n```\n");
    }
    if table.name == "a stage" {
        return;
    }
    out.push_str("| key | takes | default | |\n|---|---|---|---|\n");
    for key in &table.keys {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let mut text = key.text.replace('\n', " ");
        if !key.example.is_empty() {
            let fence = if key.example.contains('`') { "``" } else { "`" };
            let _ = write!(text, " {fence}{} = {}{fence}", key.name, key.example);
        }
        let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, cell(&key.shape.words()), cell(&text));
    }
    out.push('\n');
}

fn presets(out: &mut String) {
    out.push_str(
        "## Presets\n\nA preset is a service we know, with everything it needs to run well: `preset = \"NAME:TAG\"`. \
         Every other key of a service can be written beside it and wins.\n\n\
         | preset | tag where none is given | what comes with it | keys of its own | offers |\n|---|---|---|---|---|\n",
    );
    for preset in PRESETS {
        let offers: Vec<String> = preset.offers.iter().map(|o| format!("`{o}`")).collect();
        let keys: Vec<String> = preset.keys.iter().map(|k| format!("`{k}`")).collect();
        let (text, keys, offers) = (cell(preset.text), keys.join(", "), offers.join(", "));
        let _ = writeln!(out, "| `{}` | `{}` | {text} | {keys} | {offers} |", preset.name, preset.tag);
    }
}

/// Text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
