//! Imports go downwards only: cli → ui → apply → engine | files | probe | acme → plan | render | config | diagnose → model → base.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom. Modules of one layer do not import each other.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["model"],
    &["plan", "render", "config", "diagnose"],
    &["engine", "files", "probe", "acme"],
    &["apply"],
    &["ui"],
    &["cli"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Modules of the crate that a source file names: `crate::x::…` and `crate::{x::…, y::…}`, comments left out.
fn named(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|l| l.split("//").next().unwrap_or(l)).collect();
    let code = code.join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut out = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        // `$crate::` of a macro names the same modules.
        let rest = code[at + found.len()..].trim_start();
        let Some(group) = rest.strip_prefix('{') else {
            out.push(word(rest));
            continue;
        };
        let (mut depth, mut fresh) = (1, true);
        for (place, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => fresh = true,
                c if c.is_whitespace() => {}
                _ if fresh && depth == 1 => {
                    out.push(word(&group[place..]));
                    fresh = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    out
}

#[test]
fn imports_go_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "the sources are not where this test looks for them");
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap_or(&file);
        let own =
            inside.iter().next().map(|p| p.to_string_lossy().trim_end_matches(".rs").to_owned()).unwrap_or_default();
        if ["lib", "main"].contains(&own.as_str()) {
            continue;
        }
        let Some(from) = layer(&own) else {
            wrong.push(format!("{}: `{own}` is in no layer", inside.display()));
            continue;
        };
        for module in named(&fs::read_to_string(&file).unwrap_or_default()) {
            match layer(&module) {
                _ if module == own => {}
                Some(to) if to < from => {}
                Some(_) => wrong.push(format!("{}: `{own}` must not import `{module}`", inside.display())),
                None => wrong.push(format!("{}: `{module}` is in no layer", inside.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn groups_are_read() {
    let text = "use crate::{base::env::{Env, X}, model::stack::Stack};\n// crate::cli\nlet x = crate::ui::text::clean;";
    assert_eq!(named(text), ["base", "model", "ui"]);
}
