//! One value of stack.toml: where it comes from, what it becomes, what guards it.

use std::fmt::Write as _;

use serde::Serialize;

use super::output::Output;
use super::text::{clean, cut, wrap};

/// More lines of one file than this say no more.
const LINES: usize = 12;

/// What is told about a value.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The key's path.
    pub path: String,
    /// The value as it would be written; `None` if there is none.
    pub value: Option<String>,
    /// Where it comes from, in words.
    pub from: String,
    /// Line of stack.toml, if it is written there.
    pub line: Option<u32>,
    /// What it does.
    pub text: String,
    /// What may stand there.
    pub takes: String,
    /// Its default as it would be written; empty for none.
    pub default: String,
    /// What it becomes.
    pub becomes: Vec<File>,
    /// Why nothing is named in `becomes`.
    pub why_nothing: Option<&'static str>,
    /// Checks of `verify` that ask whether it is so.
    pub checks: Vec<Guard>,
}

/// Lines of a rendered file.
#[derive(Debug, Clone, Serialize)]
pub struct File {
    /// As `render` names it.
    pub file: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of a rendered file.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// What stands there; secrets have stand-ins.
    pub text: String,
}

/// A check.
#[derive(Debug, Clone, Serialize)]
pub struct Guard {
    /// `TLS-1`
    pub id: &'static str,
    /// A few words.
    pub title: &'static str,
}

impl Explanation {
    /// For people.
    pub fn text(&self, out: &Output) -> String {
        let paint = out.data_paint();
        let width = out.width();
        let mut text = paint.bold(clean(&self.path));
        if let Some(value) = &self.value {
            let _ = write!(text, " = {}", cut(&clean(value), width.saturating_sub(self.path.len() + 3)));
        }
        text.push('\n');
        for (name, words) in
            [("does", &self.text), ("from", &self.from), ("takes", &self.takes), ("default", &self.default)]
        {
            if !words.is_empty() {
                let _ = writeln!(text, "  {name:<9}{}", wrap(&clean(words), width.saturating_sub(11), 11));
            }
        }
        match self.why_nothing {
            Some(why) => {
                let _ = writeln!(text, "  {:<9}{}", "becomes", wrap(why, width.saturating_sub(11), 11));
            }
            None => text.push_str("  becomes\n"),
        }
        for file in &self.becomes {
            let _ = writeln!(text, "    {}", paint.cyan(&file.file));
            for line in file.lines.iter().take(LINES) {
                let shown = cut(&clean(&line.text), width.saturating_sub(13));
                let _ = writeln!(text, "    {:>6} {} {shown}", line.number, paint.dim("|"));
            }
            if let Some(more) = file.lines.len().checked_sub(LINES).filter(|n| *n > 0) {
                let _ = writeln!(text, "           … and {more} more");
            }
        }
        if !self.checks.is_empty() {
            text.push_str("  guarded by\n");
        }
        for check in &self.checks {
            let _ = writeln!(text, "    {:<8}{}", check.id, check.title);
        }
        text
    }
}
