//! `.dockerignore`, by Docker's rules: the last pattern that matches a path, or a folder it is in, decides.

use std::path::Path;

use glob::{MatchOptions, Pattern as Glob};

use super::error::FilesError;

/// The patterns of a `.dockerignore`.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    matcher: Glob,
    /// It starts with `!`: what it matches is sent after all.
    exception: bool,
    /// Its text up to the first wildcard.
    prefix: String,
}

impl Ignore {
    /// Reads patterns; `path` is where the text is from.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, FilesError> {
        let mut patterns = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (exception, rest) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let Some(clean) = clean(rest) else { continue };
            let matcher = Glob::new(&as_glob(&clean)).map_err(|error| FilesError::Pattern {
                path: path.to_owned(),
                line: index + 1,
                pattern: line.to_owned(),
                reason: error.msg.to_owned(),
            })?;
            let prefix = clean.split(['*', '?', '[', '\\']).next().unwrap_or_default().to_owned();
            patterns.push(Pattern { matcher, exception, prefix });
        }
        Ok(Self { patterns })
    }

    /// Whether a path (relative to the context) stays out.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        let matching = self.patterns.iter().rev().find(|p| {
            path.ancestors().any(|at| !at.as_os_str().is_empty() && p.matcher.matches_path_with(at, AS_DOCKER))
        });
        matching.is_some_and(|pattern| !pattern.exception)
    }

    /// Whether an exception could bring back something in an excluded folder.
    pub(super) fn may_bring_back(&self, folder: &Path) -> bool {
        let folder = format!("{}/", folder.display());
        self.patterns.iter().any(|p| p.exception && (p.prefix.starts_with(&folder) || folder.starts_with(&p.prefix)))
    }
}

/// Without leading `/` and `./`, trailing `/`, inner `.` and `..`; `None` for the folder itself.
fn clean(pattern: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// `*` and `?` stay within a folder; a leading dot is a letter like any other.
const AS_DOCKER: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Docker's way to write a pattern (Go's `filepath.Match`, and `**`) in that of the glob crate: `\*` is a literal `*`,
/// `[^a]` is anything but `a`, and `**` beside other letters is no more than `*`.
fn as_glob(pattern: &str) -> String {
    let parts = pattern.split('/').map(|part| {
        let mut out = String::new();
        let mut letters = part.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => out.push_str(&Glob::escape(&letters.next().unwrap_or('\\').to_string())),
                '[' if letters.next_if_eq(&'^').is_some() => out.push_str("[!"),
                '*' if part != "**" && out.ends_with('*') => {}
                letter => out.push(letter),
            }
        }
        out
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_rules() {
        for (text, excluded, sent) in [
            (
                "node_modules\n*.log\n# *.md\n",
                vec!["node_modules", "node_modules/a/b", "x.log"],
                vec!["a/x.log", "x.md", "a/node_modules"],
            ),
            ("**/*.log\n**/target", vec!["x.log", "a/b/x.log", "a/target/x", "target"], vec!["targets"]),
            ("/build/\n./tmp", vec!["build/x", "tmp"], vec!["a/build", "a/tmp"]),
            ("*\n!src\n!Cargo.*", vec!["x", ".git/config"], vec!["src", "src/a.rs", "Cargo.toml"]),
            ("docs\n!docs/keep.md\ndocs/keep.md/no", vec!["docs", "docs/a"], vec!["docs/keep.md"]),
            ("!a\na", vec!["a"], vec![]),
            ("a/../b\n.", vec!["b"], vec!["a", "c"]),
            ("x?y\n[ab].c", vec!["xzy", "a.c"], vec!["xy", "x/y", "c.c"]),
            ("a/**", vec!["a/b", "a/b/c"], vec!["a"]),
            ("{a,b}", vec!["{a,b}"], vec!["a", "b"]),
            ("a\\*b", vec!["a*b"], vec!["axb"]),
            ("[^a].c", vec!["b.c"], vec!["a.c"]),
            ("x**.c", vec!["x.c", "xyz.c"], vec!["x/y.c"]),
            ("*.env", vec![".env", "a.env"], vec![]),
        ] {
            let ignore = Ignore::parse(text, Path::new(".dockerignore")).unwrap_or_default();
            for path in excluded {
                assert!(ignore.excludes(Path::new(path)), "{text:?} must exclude {path}");
            }
            for path in sent {
                assert!(!ignore.excludes(Path::new(path)), "{text:?} must send {path}");
            }
        }
    }

    #[test]
    fn excluded_folders_are_entered_only_for_exceptions() {
        let ignore = Ignore::parse("*\n!docs/a/keep.md", Path::new("x")).unwrap_or_default();
        assert!(ignore.may_bring_back(Path::new("docs")));
        assert!(ignore.may_bring_back(Path::new("docs/a")));
        assert!(!ignore.may_bring_back(Path::new("node_modules")));
        let everywhere = Ignore::parse("*\n!**/keep.md", Path::new("x")).unwrap_or_default();
        assert!(everywhere.may_bring_back(Path::new("node_modules")));
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_line() {
        let error = Ignore::parse("ok\na[", Path::new(".dockerignore")).err().map(|e| e.to_string());
        assert!(error.as_deref().is_some_and(|e| e.starts_with(".dockerignore:2: `a[` is not a pattern")), "{error:?}");
    }
}
