//! What is wrong with an input: message, place, what is allowed, what to do. Collected, never thrown one by one.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is done until this is mended.
    Error,
    /// Works, but the user should know.
    Warning,
}

/// The text a problem's place is in. `.env` comes first: what is wrong there is often the cause of the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `.env` beside the file.
    Env,
    /// A file that `env_file` names.
    EnvFile(Arc<EnvFile>),
    /// stack.toml, overlays included.
    Stack,
    /// stack.lock beside the file.
    Lock,
}

/// A file of variables. Its text holds values nobody may see: it goes along so that a problem can show its line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvFile {
    /// Where it is, relative to the folder of stack.toml.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One problem at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// What kind of problem it is, for programs: a stable word such as `unknown-key`.
    pub rule: &'static str,
    /// The file that `span` is a range of.
    pub origin: Origin,
    /// What is wrong, in one sentence without a final period.
    pub message: String,
    /// Byte range in the file, if the problem has a place.
    pub span: Option<Range<usize>>,
    /// A few words under the place: what is allowed there.
    pub label: Option<String>,
    /// What to do next.
    pub help: Option<String>,
    /// TOML to paste that mends it; [`super::fix`] says where it goes.
    pub fix: Option<String>,
    /// Where the fix goes, if that is not at `span`.
    pub fix_at: Option<Range<usize>>,
    /// What stands at the place must not be shown: it looks like a secret.
    pub hidden: bool,
}

impl Problem {
    /// An error.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            rule: "wrong-value",
            origin: Origin::Stack,
            message: message.into(),
            span: None,
            label: None,
            help: None,
            fix: None,
            fix_at: None,
            hidden: false,
        }
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Of this kind.
    #[must_use]
    pub fn rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// In `.env`: its values are never shown.
    #[must_use]
    pub fn in_env(mut self) -> Self {
        self.origin = Origin::Env;
        self.hidden = true;
        self
    }

    /// In stack.lock.
    #[must_use]
    pub fn in_lock(mut self) -> Self {
        self.origin = Origin::Lock;
        self
    }

    /// With its place.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// With words under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With the next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// At a place that must not be shown.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// The same, where that is so.
    #[must_use]
    pub fn hidden_if(mut self, hidden: bool) -> Self {
        self.hidden |= hidden;
        self
    }

    /// With TOML to paste.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// With TOML to paste at another place: below the header of the service it belongs to, for instance.
    #[must_use]
    pub fn fix_at(mut self, place: Range<usize>, fix: impl Into<String>) -> Self {
        self.fix_at = Some(place);
        self.fix(fix)
    }
}

/// All problems of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
    }

    /// How many of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|p| p.severity == severity).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves out those of a kind.
    pub fn without(&mut self, rule: &str) {
        self.0.retain(|p| p.rule != rule);
    }

    /// `.env` and its like before the file, stack.lock behind it, each in the order of places; those without a place
    /// first; equal ones once.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_cached_key(|p| {
            (p.origin.clone(), p.span.as_ref().map_or(0, |s| s.start), p.span.as_ref().map_or(0, |s| s.end), p.severity)
        });
        self.0.dedup();
        self.0
    }
}

/// The 1-based line and column (in characters) of a byte offset.
pub fn line_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one_and_in_characters() {
        assert_eq!(line_column("ab\ncé = x", 0), (1, 1));
        assert_eq!(line_column("ab\ncé = x", 6), (2, 3));
        assert_eq!(line_column("ab", 99), (1, 3));
    }

    #[test]
    fn sorted_by_place_and_each_once() {
        let mut problems = Problems::default();
        for start in [9, 3, 9] {
            problems.push(Problem::error("x").at(start..start + 1));
        }
        let places: Vec<_> = problems.sorted().into_iter().filter_map(|p| p.span).collect();
        assert_eq!(places, [3..4, 9..10]);
    }
}
