//! What a Dockerfile asks of its builder, as far as builders differ.

use std::io::Read as _;
use std::path::Path;

use super::capability::Capability;

/// A line that not every builder can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// Line, from 1.
    pub(super) line: usize,
    /// What is there, such as `` `RUN --mount` ``.
    pub(super) what: String,
    /// What it needs; [`Capability::BuildKit`] at least.
    pub(super) capability: Capability,
}

/// Reads the Dockerfile in a context.
pub(super) fn in_context(context: &[u8], path: &str) -> Option<String> {
    let wanted = Path::new(path.trim_start_matches("./"));
    for entry in tar::Archive::new(context).entries().ok()? {
        let mut entry = entry.ok()?;
        if entry.path().is_ok_and(|p| p == wanted) {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).ok()?;
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
    }
    None
}

/// Whether it names the program that is to read it, which the engine fetches: `# syntax=docker/dockerfile:1`. Such
/// directives stand before everything else.
pub(super) fn names_its_reader(dockerfile: &str) -> bool {
    dockerfile
        .lines()
        .map_while(|line| line.trim().strip_prefix('#'))
        .filter_map(|directive| directive.split_once('='))
        .any(|(name, value)| name.trim().eq_ignore_ascii_case("syntax") && !value.trim().is_empty())
}

/// Flags by what they need.
const FLAGS: &[(&str, &[&str], Capability)] = &[
    ("RUN", &["--mount"], Capability::BuildKit),
    ("RUN", &["--network"], Capability::HereDocuments),
    ("RUN", &["--security", "--device"], Capability::Filters),
    ("COPY", &["--chmod"], Capability::BuildKit),
    ("COPY", &["--link"], Capability::HereDocuments),
    ("COPY", &["--exclude", "--parents"], Capability::Filters),
    ("ADD", &["--chmod"], Capability::BuildKit),
    ("ADD", &["--link"], Capability::HereDocuments),
    ("ADD", &["--checksum", "--keep-git-dir"], Capability::Checksums),
    ("ADD", &["--exclude"], Capability::Filters),
];

/// What it needs that not every builder can do, line by line.
pub(super) fn needs(dockerfile: &str) -> Vec<Need> {
    let mut out = Vec::new();
    let mut continued = false;
    let mut document: Option<String> = None;
    for (line, text) in (1..).zip(dockerfile.lines()) {
        let trimmed = text.trim();
        if let Some(end) = &document {
            if trimmed == end {
                document = None;
            }
            continue;
        }
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let starts = !continued;
        continued = trimmed.ends_with('\\') || trimmed.ends_with('`');
        if !starts {
            continue;
        }
        let (instruction, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let instruction = instruction.to_ascii_uppercase();
        let flags = rest.split_whitespace().take_while(|word| word.starts_with("--"));
        for flag in flags.map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name)) {
            let row = FLAGS.iter().find(|(of, flags, _)| *of == instruction && flags.contains(&flag));
            out.extend(row.map(|(_, _, capability)| Need {
                line,
                what: format!("`{instruction} {flag}`"),
                capability: *capability,
            }));
        }
        if ["RUN", "COPY", "ADD"].contains(&instruction.as_str())
            && let Some(end) = rest.split_whitespace().find_map(here_document)
        {
            let what = format!("`{instruction} <<` (a here-document)");
            out.push(Need { line, what, capability: Capability::HereDocuments });
            document = Some(end);
        }
    }
    out
}

/// The word that ends it: `<<EOF`, `<<-EOF`, `<<"EOF"` as a word of its own; `<<<` and arithmetic shifts are none.
fn here_document(word: &str) -> Option<String> {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let name = word.strip_prefix("<<")?;
    let name = name.strip_prefix('-').unwrap_or(name);
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"' || c == '\'');
    named.then(|| name.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_builder_must_know_is_named_with_its_line() {
        use Capability as C;
        for (text, line) in [
            ("FROM a\nRUN --mount=type=cache,target=/x make", Some((2, C::BuildKit))),
            ("FROM a\n\nrun --network=none make", Some((3, C::HereDocuments))),
            ("FROM a\nRUN <<EOF\nx\nEOF", Some((2, C::HereDocuments))),
            ("FROM a\nCOPY <<-\"EOF\" /x\ny\nEOF", Some((2, C::HereDocuments))),
            ("FROM a\nCOPY --link a b", Some((2, C::HereDocuments))),
            ("FROM a\nCOPY --chmod=755 a b", Some((2, C::BuildKit))),
            ("FROM a\nADD --checksum=sha256:a u b", Some((2, C::Checksums))),
            ("FROM a\nCOPY --from=b --parents a b", Some((2, C::Filters))),
            ("FROM a\nCOPY --from=b --chown=1:1 a b\nRUN echo --mount $((1 << 2)) \\\n  --mount", None),
            ("FROM a\n# RUN --mount=x\nRUN cat <<< x", None),
        ] {
            assert_eq!(needs(text).first().map(|n| (n.line, n.capability)), line, "{text}");
        }
        let inside = needs("FROM a\nRUN <<'E' cat\nCOPY --link a b\nE\nRUN --mount=type=tmpfs,target=/t true");
        assert_eq!(inside.iter().map(|n| n.line).collect::<Vec<_>>(), [2, 5], "text is no instruction");
    }

    #[test]
    fn a_reader_is_named_before_everything_else() {
        for (text, named) in [
            ("# syntax=docker/dockerfile:1\nFROM a", true),
            ("# escape=`\n#Syntax = x\nFROM a", true),
            ("FROM a\n# syntax=x", false),
            ("# a comment\nFROM a", false),
            ("# syntax=\nFROM a", false),
        ] {
            assert_eq!(names_its_reader(text), named, "{text}");
        }
    }
}
