//! Problems of a file: for people with the place, for programs as data.

mod sarif;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use crate::base::fix::{self, Way};
use crate::base::problem::{Origin, Problem, Severity, line_column};

use super::output::Output;
use super::text::{clean, clean_lines, columns, count, wrap};

/// More than these are not read by anyone; the rest is counted.
const CAP: usize = 20;

pub use sarif::sarif;

/// A text that problems have places in.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The file as the user would name it.
    pub name: Cow<'a, str>,
    /// What is in it.
    pub text: &'a str,
}

/// What was read and what is wrong with it.
pub struct Report<'a> {
    /// stack.toml.
    pub stack: Source<'a>,
    /// `.env` beside it; empty if there is none.
    pub env: Source<'a>,
    /// `stack.lock` beside it; empty if there is none.
    pub lock: Source<'a>,
    /// Their problems, sorted.
    pub problems: &'a [Problem],
}

impl Report<'_> {
    /// For people, on stderr: each problem with its place, then how many there are.
    pub fn show(&self, out: &Output) {
        let renderer = if out.talk_paint().0 { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(out.width());
        let mut texts: BTreeMap<&Origin, String> = BTreeMap::new();
        for problem in self.problems.iter().take(CAP) {
            let text = texts.entry(&problem.origin).or_insert_with(|| self.shown_text(&problem.origin));
            let excerpt = renderer.render(&[self.group(problem, text, out.width())]);
            // Without a place there is no excerpt to set off.
            let lines = excerpt.lines().map(str::trim_end).filter(|l| problem.span.is_some() || l.trim() != "|");
            let lines: Vec<&str> = lines.collect();
            out.error(format!("{}\n", lines.join("\n")));
        }
        if let Some(more) = self.problems.len().checked_sub(CAP).filter(|n| *n > 0) {
            out.error(format!("… and {more} more; mend these first\n"));
        }
        if !self.problems.is_empty() {
            out.error(self.summary());
        }
    }

    /// `stack.toml: 2 errors, 1 warning`
    pub fn summary(&self) -> String {
        let number = |severity| self.problems.iter().filter(|p| p.severity == severity).count();
        let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
        let parts: Vec<String> = [(errors, "error"), (warnings, "warning")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, noun)| count(n, noun))
            .collect();
        let mut names: Vec<String> = self.problems.iter().map(|p| clean(&self.source(&p.origin).name)).collect();
        names.dedup();
        let names = match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => clean(&self.stack.name),
        };
        format!("{names}: {}", parts.join(", "))
    }

    fn source<'s>(&'s self, origin: &'s Origin) -> Source<'s> {
        match origin {
            Origin::Stack => self.stack.clone(),
            Origin::Env => self.env.clone(),
            Origin::Lock => self.lock.clone(),
            Origin::EnvFile(file) => {
                let name = Path::new(&*self.stack.name).with_file_name(&file.path);
                Source { name: name.display().to_string().into(), text: &file.text }
            }
        }
    }

    /// For programs: all of them.
    pub fn json(&self) -> serde_json::Value {
        self.problems.iter().map(|p| self.json_of(p)).collect()
    }

    fn json_of(&self, problem: &Problem) -> serde_json::Value {
        let Source { name, text } = self.source(&problem.origin);
        let place = problem.span.as_ref().map(|span| {
            let (line, column) = line_column(text, span.start);
            let (end_line, end_column) = line_column(text, span.end);
            json!({ "line": line, "column": column, "end_line": end_line, "end_column": end_column })
        });
        json!({
            "severity": problem.severity,
            "rule": problem.rule,
            "file": name,
            "message": problem.message,
            "place": place,
            "label": problem.label,
            "help": problem.help,
            "fix": problem.fix,
        })
    }

    /// One problem as rustc shows one. Long labels go below the excerpt, where they can be wrapped.
    fn group<'s>(&self, problem: &Problem, text: &'s str, width: usize) -> Group<'s> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // ` = help: `, with room for a line number of four digits.
        let wrapped = |text: &str| {
            let lines: Vec<String> = clean_lines(text).lines().map(|l| wrap(l, width.saturating_sub(14), 0)).collect();
            lines.join("\n")
        };
        let head = if problem.severity == Severity::Error { 7 } else { 9 };
        let title = wrap(&clean(&problem.message), width.saturating_sub(head), 0);
        let mut group = Group::with_title(level.primary_title(title));
        let mut note = problem.label.as_deref().map(clean);
        if let Some(span) = &problem.span {
            let Source { name, text: original } = self.source(&problem.origin);
            let span = line_of(original, span);
            let (_, column) = line_column(text, span.start);
            let end = usize::try_from(column).unwrap_or(0) + columns(text.get(span.clone()).unwrap_or_default()) + 6;
            let label = note.take_if(|label| end + columns(label) <= width);
            let annotation = AnnotationKind::Primary.span(span).label(label);
            group = group.element(Snippet::source(text).path(name.into_owned()).annotation(annotation));
        }
        if let Some(note) = note {
            group = group.element(Level::NOTE.message(wrapped(&note)));
        }
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(wrapped(help)));
        }
        if let Some(fix) = problem.fix.as_deref().filter(|fix| !says(problem.label.as_deref(), fix)) {
            // A key with its value stands on lines of its own, so that it can be copied; TOML does not mind blanks.
            let gap = if fix.contains(['=', '\n']) { "\n" } else { " " };
            let what = match fix::edit(self.stack.text, problem).map(|edit| edit.way) {
                Some(Way::Instead) | None => "write".to_owned(),
                Some(Way::Below(line)) => format!("add below line {line}"),
                Some(Way::Inside(line)) => format!("add inside the braces on line {line}"),
                Some(Way::Top) => "add at the top".to_owned(),
                Some(Way::End) => "add at the end".to_owned(),
            };
            group = group.element(Level::HELP.with_name("fix").message(format!("{what}{gap}{}", clean_lines(fix))));
        }
        group
    }

    /// The text with stars where something looks like a secret: an excerpt often ends up in a CI log.
    fn shown_text(&self, origin: &Origin) -> String {
        let mut out = self.source(origin).text.to_owned();
        let of_it = self.problems.iter().filter(|p| p.origin == *origin && p.hidden);
        let places: Vec<_> = match origin {
            Origin::Stack | Origin::Lock => of_it.filter_map(|p| p.span.clone()).collect(),
            // Nothing that stands in files of variables is shown but names.
            Origin::Env | Origin::EnvFile(_) => lines(&out)
                .map(|line| line.start + out[line.clone()].find('=').map_or(0, |at| at + 1)..line.end)
                .collect(),
        };
        for span in places {
            let (start, end) = (floor(&out, span.start), floor(&out, span.end.max(span.start)));
            // Byte by byte, so that every other place stays where it is.
            let masked: String =
                out[start..end].bytes().map(|b| if b"\r\n".contains(&b) { char::from(b) } else { '*' }).collect();
            out.replace_range(start..end, &masked);
        }
        out
    }
}

/// The place cut to its first line and to the text: a caret under a whole table says less than its first line.
fn line_of(text: &str, span: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = floor(text, span.start);
    let end = floor(text, span.end.max(span.start));
    let line = text[start..end].find('\n').map_or(end, |n| start + n);
    start..line.max(start)
}

/// Byte ranges of the lines, without their ends.
fn lines(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut next = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = next;
        next += line.len();
        start..start + line.trim_end_matches(['\r', '\n']).len()
    })
}

/// Whether a label says already what a fix would.
fn says(label: Option<&str>, fix: &str) -> bool {
    label.is_some_and(|label| label.contains(&format!("`{fix}`")))
}

/// The nearest place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::env::Env;
    use crate::ui::output::Manner;

    fn shown(text: &str, problems: &[Problem]) -> String {
        let (out, _, stderr) = Output::buffers(&Env::default(), Manner::default());
        let env = Source { name: ".env".into(), text: "A=hunter2\nhunter2\n" };
        let lock = Source { name: "stack.lock".into(), text: "" };
        Report { stack: Source { name: "stack.toml".into(), text }, env, lock, problems }.show(&out);
        stderr.text()
    }

    #[test]
    fn nothing_of_env_is_shown_but_names() {
        let problems = [
            Problem::error("here").in_env().at(2..9),
            Problem::error("there").in_env().at(10..17),
            Problem::warning("too").at(0..1),
        ];
        let text = shown("a = 1\n", &problems);
        assert!(
            text.contains("--> .env:1:3") && text.contains("1 | A=*******") && text.contains("2 | *******"),
            "{text}"
        );
        assert!(!text.contains("hunter2") && text.ends_with(".env and stack.toml: 2 errors, 1 warning\n"), "{text}");
    }

    #[test]
    fn a_problem_shows_its_place_and_the_way_out() {
        let problem = Problem::error("this is not a limit")
            .at(14..24)
            .label("allowed: a table")
            .help("a quota cannot be expressed")
            .fix("limit = { rate = \"10/s\" }");
        assert_eq!(
            shown("a = 1\nlimit = \"100/hour\"\n", &[problem]),
            "error: this is not a limit\n \
             --> stack.toml:2:9\n  \
               |\n\
             2 | limit = \"100/hour\"\n  \
               |         ^^^^^^^^^^ allowed: a table\n  \
               |\n  \
               = help: a quota cannot be expressed\n  \
               = fix: write\n         limit = { rate = \"10/s\" }\n\n\
             stack.toml: 1 error\n"
        );
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        let problem = Problem::error("no").at(4..19).hidden();
        let text = shown("a = \"hunter2-ünï\"\n", &[problem]);
        assert!(!text.contains("hunter2") && text.contains("a = ***"), "{text}");
    }

    #[test]
    fn long_texts_are_wrapped() {
        let long = "word ".repeat(40);
        let problem = Problem::error(&long).at(0..1).label(&long).help(&long);
        let text = shown("a = 1\n", &[problem, Problem::warning(&long)]);
        assert!(text.lines().all(|l| columns(l) <= 80), "{text}");
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        let problems = [Problem::error("a").at(90..99), Problem::error("b").at(3..4), Problem::warning("c")];
        let text = shown("x = 'é'\n", &problems);
        assert!(text.ends_with("stack.toml: 2 errors, 1 warning\n"), "{text}");
    }

    #[test]
    fn the_rest_is_counted() {
        let problems: Vec<Problem> = (0..25).map(|n| Problem::error(format!("problem {n}"))).collect();
        let text = shown("", &problems);
        assert!(text.contains("problem 19") && !text.contains("problem 20"));
        assert!(text.contains("… and 5 more"));
        assert!(text.ends_with("stack.toml: 25 errors\n"));
    }
}
