//! Where everything that is shown goes through: stdout for data, stderr for talk. Colour, width and loudness are
//! decided once, here.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;

use crate::base::env::Env;

use super::paint::{ColourChoice, Paint};

/// Widest line for people, also where the terminal is wider: long lines are hard to read.
const MAX_WIDTH: usize = 100;

/// How much is said, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// Colour.
    pub colour: ColourChoice,
    /// Only data and errors.
    pub quiet: bool,
    /// Details too.
    pub verbose: bool,
    /// Data as JSON.
    pub json: bool,
}

/// Nobody can read our data.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The reader went away (`| head`): the end, without a word.
    #[error("the reader of standard output went away")]
    Closed,
    /// The disk is full, for instance.
    #[error("cannot write to standard output: {0}")]
    Failed(#[source] io::Error),
}

/// The two streams. Methods take `&self`, so that a command and its progress can share it.
pub struct Output {
    stdout: RefCell<Box<dyn Write>>,
    stderr: RefCell<Box<dyn Write>>,
    closed: Cell<bool>,
    manner: Manner,
    colour: (bool, bool),
    terminals: (bool, bool, bool),
    dumb: bool,
    width: usize,
}

impl Output {
    /// The process's own streams.
    pub fn new(env: &Env, manner: Manner) -> Self {
        // Data is written in whole texts; a line buffer would only cut it up.
        Self::with(Box::new(io::BufWriter::new(io::stdout())), Box::new(io::stderr()), env, manner)
    }

    /// Any two streams.
    pub fn with(stdout: Box<dyn Write>, stderr: Box<dyn Write>, env: &Env, manner: Manner) -> Self {
        Self {
            stdout: RefCell::new(stdout),
            stderr: RefCell::new(stderr),
            closed: Cell::new(false),
            manner,
            colour: (manner.colour.decide(env, env.stdout_tty), manner.colour.decide(env, env.stderr_tty)),
            terminals: (env.stdin_tty, env.stdout_tty, env.stderr_tty),
            dumb: env.var("TERM") == Some("dumb"),
            width: env.width.map_or(80, |w| w.clamp(40, MAX_WIDTH)),
        }
    }

    /// Streams that end in buffers, for tests.
    pub fn buffers(env: &Env, manner: Manner) -> (Self, Buffer, Buffer) {
        let (out, err) = (Buffer::default(), Buffer::default());
        (Self::with(Box::new(out.clone()), Box::new(err.clone()), env, manner), out, err)
    }

    /// Data for stdout, as it is.
    pub fn data(&self, text: impl AsRef<str>) -> Result<(), WriteError> {
        self.bytes(text.as_ref().as_bytes())
    }

    /// Data for stdout, with a line break.
    pub fn line(&self, text: impl AsRef<str>) -> Result<(), WriteError> {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Data for stdout that need not be text: logs of programs, in pipes.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.closed.get() {
            return Err(WriteError::Closed);
        }
        let mut stdout = self.stdout.borrow_mut();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.closed.set(true);
                WriteError::Closed
            } else {
                WriteError::Failed(error)
            }
        })
    }

    /// A value as indented JSON on stdout.
    pub fn json(&self, value: &impl serde::Serialize) -> Result<(), WriteError> {
        let text = serde_json::to_string_pretty(value).map_err(|e| WriteError::Failed(e.into()))?;
        self.line(text)
    }

    /// A value as one line of JSON on stdout.
    pub fn json_line(&self, value: &impl serde::Serialize) -> Result<(), WriteError> {
        let text = serde_json::to_string(value).map_err(|e| WriteError::Failed(e.into()))?;
        self.line(text)
    }

    /// A line of talk on stderr; silent with `--quiet`.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.manner.quiet {
            self.error(text);
        }
    }

    /// A line of talk that only `--verbose` shows.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.manner.verbose && !self.manner.quiet {
            self.error(text);
        }
    }

    /// A line on stderr, always. Nothing can be done if stderr is gone.
    pub fn error(&self, text: impl AsRef<str>) {
        let mut stderr = self.stderr.borrow_mut();
        let _ = writeln!(stderr, "{}", text.as_ref()).and_then(|()| stderr.flush());
    }

    /// What a program wrote to its own standard error, as it is.
    pub fn error_bytes(&self, bytes: &[u8]) {
        let mut stderr = self.stderr.borrow_mut();
        let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
    }

    /// A warning on stderr.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.say(format!("{} {}", self.talk_paint().yellow("warning:"), text.as_ref()));
    }

    /// Colour for stdout.
    pub fn data_paint(&self) -> Paint {
        Paint(self.colour.0)
    }

    /// Colour for stderr.
    pub fn talk_paint(&self) -> Paint {
        Paint(self.colour.1)
    }

    /// Columns for people's text.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Data is wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.manner.json
    }

    /// Only data and errors are wanted.
    pub fn is_quiet(&self) -> bool {
        self.manner.quiet
    }

    /// Details are wanted.
    pub fn is_verbose(&self) -> bool {
        self.manner.verbose
    }

    /// Standard input and output are the user's terminal: it can be handed over to a program.
    pub fn is_terminal(&self) -> bool {
        self.terminals.0 && self.terminals.1
    }

    /// Standard output is a terminal.
    pub fn to_terminal(&self) -> bool {
        self.terminals.1
    }

    /// Whether somebody is there to be asked: questions go to stderr, answers come from stdin.
    pub fn can_prompt(&self) -> bool {
        self.terminals.0 && self.terminals.2 && !self.manner.json && !self.dumb
    }

    /// Whether lines on stderr can be redrawn.
    pub fn is_live(&self) -> bool {
        self.terminals.2 && !self.dumb && !self.manner.quiet && !self.manner.json
    }
}

/// A stream that ends in memory.
#[derive(Clone, Default)]
pub struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Buffer {
    /// What was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_told_apart() {
        let out = Output::with(Box::new(Gone), Box::new(Buffer::default()), &Env::default(), Manner::default());
        assert!(matches!(out.line("x"), Err(WriteError::Closed)));
        assert!(matches!(out.line("y"), Err(WriteError::Closed)));
    }

    #[test]
    fn quiet_keeps_data_and_errors() {
        let manner = Manner { quiet: true, ..Manner::default() };
        let (out, stdout, stderr) = Output::buffers(&Env::default(), manner);
        out.say("talk");
        out.warn("careful");
        out.error("wrong");
        assert!(out.line("data").is_ok());
        assert_eq!((stdout.text().as_str(), stderr.text().as_str()), ("data\n", "wrong\n"));
    }
}
