//! What went wrong, for people: `error:`, `caused by:`, `hint:`. The kind decides the exit code (`cli::exit`).

use super::output::Output;
use super::text::{clean_lines, wrap};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was tried and did not work.
    Failed,
    /// The command line or the file is wrong.
    Usage,
    /// It could be done, but not without being asked for.
    Refused,
    /// It was asked, but could not be judged.
    Unsure,
    /// Somebody else is at work on the stack.
    Locked,
    /// The user stopped it.
    Interrupted,
}

/// A failure with its kind, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Kind.
    pub kind: Kind,
    /// What went wrong, one sentence without a final period.
    pub message: String,
    /// What to do next, each one sentence.
    pub hints: Vec<String>,
    /// Why.
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), source: None }
    }

    /// Something was tried and did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The command line or the file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// It needs to be asked for.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With the reason.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Everything has been said already; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("already reported")]
pub struct Told(pub Kind);

/// Shows an error with its causes and hints. A cause that the line before it says already is left out.
pub fn show(error: &anyhow::Error, out: &Output) {
    if error.chain().any(<dyn std::error::Error>::is::<Told>) {
        return;
    }
    if out.is_json() {
        let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        let value = serde_json::json!({ "error": error.to_string(), "caused_by": causes, "hints": hints(error) });
        out.error(value.to_string());
        return;
    }
    let paint = out.talk_paint();
    let say = |head: String, columns: usize, text: &str| {
        let text = clean_lines(text);
        let lines: Vec<String> = text.lines().map(|l| wrap(l, out.width(), columns)).collect();
        out.error(format!("{head} {}", lines.join(&format!("\n{}", " ".repeat(columns)))));
    };
    let mut last = error.to_string();
    say(paint.bold_red("error:"), 7, &last);
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !last.contains(&text) {
            say(format!("  {}", paint.bold("caused by:")), 13, &text);
        }
        last = text;
    }
    for hint in hints(error) {
        say(paint.cyan("hint:"), 6, &hint);
    }
}

/// Hints of the whole chain, each once.
pub fn hints(error: &anyhow::Error) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for failure in error.chain().filter_map(|e| e.downcast_ref::<Failure>()) {
        for hint in &failure.hints {
            if !out.contains(hint) {
                out.push(hint.clone());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::env::Env;
    use crate::ui::output::Manner;

    #[test]
    fn causes_and_hints() {
        let error = anyhow::Error::new(
            Failure::failed("cannot reach the Docker engine")
                .because(std::io::Error::other("connection refused"))
                .hint("is it running? `systemctl status docker` tells"),
        )
        .context("cannot read what runs");
        let (out, _, stderr) = Output::buffers(&Env::default(), Manner::default());
        show(&error, &out);
        assert_eq!(
            stderr.text(),
            "error: cannot read what runs\n  caused by: cannot reach the Docker engine\n  caused by: connection refused\n\
             hint: is it running? `systemctl status docker` tells\n"
        );
    }

    #[test]
    fn what_has_been_told_is_not_told_again() {
        let (out, _, stderr) = Output::buffers(&Env::default(), Manner::default());
        show(&anyhow::Error::new(Told(Kind::Usage)), &out);
        assert_eq!(stderr.text(), "");
    }
}
