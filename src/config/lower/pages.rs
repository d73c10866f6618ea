//! Pages of the user's own for what the front door itself answers.

use std::collections::BTreeMap;

use crate::base::problem::{Problem, Problems};
use crate::config::keys::proxy::ProxyKeys;

use super::{Input, snippets};

/// Most bytes of one page: Nginx keeps all of them in memory, and whoever is turned away gets one.
const MOST: usize = 64 << 10;

/// Texts of pages, by status.
pub(super) fn lower(keys: Option<&ProxyKeys>, input: &Input<'_>, problems: &mut Problems) -> BTreeMap<u16, String> {
    let mut out = BTreeMap::new();
    for (status, path) in keys.and_then(|keys| keys.errors.as_ref()).iter().flat_map(|pages| &pages.value.0) {
        let Some(text) = snippets::file(path, input, problems) else { continue };
        let name = &path.value.0;
        let refused = if text.trim().is_empty() {
            Some((format!("`{name}` is empty"), "a page says what happened, and what to do now"))
        } else if text.len() > MOST {
            let size = text.len().div_ceil(1024);
            Some((
                format!("`{name}` has {size} KiB, and a page may have {}", MOST >> 10),
                "leave large images out: pages are shown when little works, to many at once",
            ))
        } else if let Some(number) = text.lines().position(|line| line.chars().any(|c| c.is_control() && c != '\t')) {
            let line = number + 1;
            Some((format!("`{name}`, line {line}: there is a control character"), "a page is text"))
        } else {
            None
        };
        match refused {
            Some((message, help)) => problems.push(Problem::error(message).at(path.span.clone()).help(help)),
            None => drop(out.insert(status.value.0, text)),
        }
    }
    out
}
