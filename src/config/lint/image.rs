//! Images that stackctl knows better ways to run.

use crate::base::problem::{Problem, Problems};
use crate::config::preset::PRESETS;

use super::Stack;

pub(super) fn check(stack: &Stack<'_>, problems: &mut Problems) {
    for (_, keys) in stack.file.services.iter().flat_map(|m| &m.value.0) {
        let Some(image) = keys.value.image.as_ref().filter(|_| keys.value.preset.is_none()) else { continue };
        let text = image.value.0.strip_prefix("docker.io/").unwrap_or(&image.value.0);
        let text = text.strip_prefix("library/").unwrap_or(text);
        let (name, tag) = text.split_once(':').unwrap_or((text, ""));
        // The images the presets run, not those that others make of the same programs.
        let name = ["prom/", "qdrant/", "grafana/"].into_iter().find_map(|o| name.strip_prefix(o)).unwrap_or(name);
        let known = PRESETS.iter().find(|p| p.name == name);
        let Some(preset) = known else { continue };
        let tag = if tag.is_empty() { String::new() } else { format!(":{tag}") };
        problems.push(
            Problem::warning(format!("there is a preset for `{name}`"))
                .rule("preset-known")
                .at(image.span.clone())
                .label(format!("`preset = \"{}{tag}\"`", preset.name))
                .help(preset.text),
        );
    }
}
