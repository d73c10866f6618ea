//! What BuildKit tells of a build under way: `moby.buildkit.v1.StatusResponse`, one after another.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::building::BuildNews;

use super::proto::{Value, field, fields};

/// How many of a step's last lines are kept for an error.
const LAST_LINES: usize = 15;

/// A build as far as it has been told.
#[derive(Debug, Default)]
pub(super) struct Trace {
    steps: BTreeMap<String, Step>,
    /// The last step that failed, by digest.
    failed: Option<String>,
    said: String,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    shown: bool,
    cached: bool,
    /// What it printed since the last end of a line.
    open: String,
    last: VecDeque<String>,
}

impl Trace {
    /// Takes one message in, and tells what is new in it.
    pub(super) fn feed(&mut self, message: &[u8], tell: &mut dyn FnMut(BuildNews)) {
        for (number, value) in fields(message) {
            match number {
                1 => self.vertex(value.bytes(), tell),
                2 => self.status(value.bytes(), tell),
                3 => self.log(value.bytes(), tell),
                _ => {}
            }
        }
    }

    /// The step that failed, and the last lines it printed.
    pub(super) fn failure(self) -> Option<(String, Vec<String>)> {
        let mut steps = self.steps;
        let mut step = steps.remove(&self.failed?)?;
        let open = std::mem::take(&mut step.open);
        step.keep(open);
        Some((step.name, step.last.into()))
    }

    /// `Vertex { string digest = 1, string name = 3, bool cached = 4, Timestamp started = 5, completed = 6, string error = 7 }`
    fn vertex(&mut self, message: &[u8], tell: &mut dyn FnMut(BuildNews)) {
        let digest = field(message, 1).text();
        let step = self.steps.entry(digest.clone()).or_default();
        step.name = field(message, 3).text();
        let has = |number| field(message, number) != Value::Bytes(&[]);
        // What BuildKit does for itself is nobody's step.
        let inside = step.name.starts_with("[internal]") || step.name.starts_with("copy /context");
        if has(5) && !step.shown && !inside {
            step.shown = true;
            tell(BuildNews::Step(step.name.clone()));
        }
        if field(message, 4).number() == 1 && !step.cached && !inside {
            step.cached = true;
            tell(BuildNews::Line(format!("{}: from the cache", step.name)));
        }
        // What was given up because another failed says so in these words.
        let error = field(message, 7).text();
        if !error.is_empty() && !error.ends_with("context canceled") {
            self.failed = Some(digest);
        }
    }

    /// `VertexStatus { string ID = 1, string vertex = 2, int64 current = 4, int64 total = 5 }`
    fn status(&mut self, message: &[u8], tell: &mut dyn FnMut(BuildNews)) {
        let total = field(message, 5).number();
        if total == 0 {
            return;
        }
        // Layers are named by digest: its beginning is enough to tell them apart.
        let id = field(message, 1).text();
        let id = id.split_once("sha256:").map_or(id.as_str(), |(_, digest)| digest.get(..12).unwrap_or(digest));
        let text = format!("{id}: {} of {} MB", field(message, 4).number() >> 20, total >> 20);
        if text != self.said {
            self.said.clone_from(&text);
            tell(BuildNews::Line(text));
        }
    }

    /// `VertexLog { string vertex = 1, bytes msg = 4 }`
    fn log(&mut self, message: &[u8], tell: &mut dyn FnMut(BuildNews)) {
        let step = self.steps.entry(field(message, 1).text()).or_default();
        let mut text = std::mem::take(&mut step.open) + &field(message, 4).text();
        while let Some(end) = text.find('\n') {
            let rest = text.split_off(end + 1);
            let line = std::mem::replace(&mut text, rest);
            // Programs draw progress over itself: the last drawing is what one would see.
            let line = line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
            if !line.trim().is_empty() {
                step.keep(line.clone());
                tell(BuildNews::Line(line));
            }
        }
        // A program that never ends its line has no need of our memory.
        step.open = if text.len() > 64 << 10 { String::new() } else { text };
    }
}

impl Step {
    fn keep(&mut self, line: String) {
        if line.trim().is_empty() {
            return;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{put_bytes, put_number};
    use super::*;

    fn told(trace: &mut Trace, message: &[u8]) -> Vec<BuildNews> {
        let mut out = Vec::new();
        trace.feed(message, &mut |news| out.push(news));
        out
    }

    fn vertex(digest: &str, name: &str, started: bool, cached: bool, error: &str) -> Vec<u8> {
        let mut inner = Vec::new();
        put_bytes(&mut inner, 1, digest.as_bytes());
        put_bytes(&mut inner, 3, name.as_bytes());
        put_number(&mut inner, 4, u64::from(cached));
        put_bytes(&mut inner, 5, if started { &[8, 1] } else { &[] });
        put_bytes(&mut inner, 7, error.as_bytes());
        let mut out = Vec::new();
        put_bytes(&mut out, 1, &inner);
        out
    }

    fn log(digest: &str, text: &str) -> Vec<u8> {
        let (mut inner, mut out) = (Vec::new(), Vec::new());
        put_bytes(&mut inner, 1, digest.as_bytes());
        put_bytes(&mut inner, 4, text.as_bytes());
        put_bytes(&mut out, 3, &inner);
        out
    }

    #[test]
    fn steps_are_told_once_and_lines_when_they_end() {
        use BuildNews::{Line, Step};
        let mut trace = Trace::default();
        assert_eq!(told(&mut trace, &vertex("a", "[internal] load build definition", true, false, "")), []);
        assert_eq!(told(&mut trace, &vertex("b", "[2/2] RUN make", false, false, "")), []);
        assert_eq!(told(&mut trace, &vertex("b", "[2/2] RUN make", true, false, "")), [Step("[2/2] RUN make".into())]);
        assert_eq!(told(&mut trace, &vertex("b", "[2/2] RUN make", true, false, "")), []);
        assert_eq!(told(&mut trace, &log("b", "one\ntw")), [Line("one".into())]);
        assert_eq!(told(&mut trace, &log("b", "o\n 1%\r99%\r\n\n")), [Line("two".into()), Line("99%".into())]);
        let cached = [Step("[1/2] FROM x".into()), Line("[1/2] FROM x: from the cache".into())];
        assert_eq!(told(&mut trace, &vertex("c", "[1/2] FROM x", true, true, "")), cached);
        assert!(trace.failure().is_none());
    }

    #[test]
    fn the_step_that_failed_comes_with_its_last_lines() {
        let mut trace = Trace::default();
        told(&mut trace, &vertex("b", "RUN make", true, false, ""));
        for n in 0..40 {
            told(&mut trace, &log("b", &format!("line {n}\n")));
        }
        told(&mut trace, &log("b", "no end"));
        told(&mut trace, &log("other", "elsewhere\n"));
        told(&mut trace, &vertex("b", "RUN make", true, false, "exit code: 2"));
        told(&mut trace, &vertex("other", "RUN sleep", true, false, "context canceled"));
        let (name, lines) = trace.failure().unwrap_or_default();
        assert_eq!(name, "RUN make");
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (LAST_LINES, Some("no end")));
    }
}
