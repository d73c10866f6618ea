//! What containers print, line by line, each with its time.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptions;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

use super::connect::Engine;
use super::error::EngineError;

/// Longest line that is kept together.
const LINE_LIMIT: usize = 64 << 10;

/// Which part of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only after this time, seconds since 1970.
    pub since: Option<i64>,
    /// Only the last lines.
    pub tail: Option<usize>,
}

/// A line of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// When the engine got it: UTC with nanoseconds (RFC 3339), all of one length, so that they sort as text. Empty if
    /// the engine said none.
    pub time: String,
    /// What was printed, without its end.
    pub text: String,
    /// Printed to standard error.
    pub error: bool,
}

/// Lines as they come.
pub type Lines = Pin<Box<dyn Stream<Item = Result<Line, EngineError>> + Send>>;

impl Engine {
    /// What a container has printed so far.
    pub fn log(&self, container: &str, wanted: Wanted) -> Lines {
        self.lines(container, wanted, false)
    }

    /// What a container has printed, and what it prints from now on, until it ends.
    pub fn follow(&self, container: &str, wanted: Wanted) -> Lines {
        self.lines(container, wanted, true)
    }

    fn lines(&self, container: &str, wanted: Wanted, follow: bool) -> Lines {
        let options = LogsOptions {
            follow,
            stdout: true,
            stderr: true,
            since: wanted.since.and_then(|s| i32::try_from(s).ok()).unwrap_or(0),
            timestamps: true,
            tail: wanted.tail.map_or_else(|| "all".to_owned(), |n| n.to_string()),
            ..LogsOptions::default()
        };
        lines(self.docker.logs(container, Some(options)).boxed(), format!("read the log of {container}"))
    }
}

/// Lines of several logs, each with the key of its log.
pub type Merged<K> = Pin<Box<dyn Stream<Item = Result<(K, Line), EngineError>> + Send>>;

/// Several logs as one, by time. Lines of one log keep their order.
pub fn merged<K: Clone + Send + 'static>(logs: Vec<(K, Lines)>) -> Merged<K> {
    struct Log<K> {
        key: K,
        lines: Lines,
        next: Option<Result<Line, EngineError>>,
        asked: bool,
    }
    let start: Vec<Log<K>> =
        logs.into_iter().map(|(key, lines)| Log { key, lines, next: None, asked: false }).collect();
    stream::unfold(start, |mut logs| async move {
        for log in logs.iter_mut().filter(|log| !log.asked) {
            log.next = log.lines.next().await;
            log.asked = true;
        }
        let time =
            |log: &Log<K>| log.next.as_ref().map(|next| next.as_ref().map(|l| l.time.clone()).unwrap_or_default());
        let first = logs.iter_mut().filter(|log| log.next.is_some()).min_by_key(|log| time(log))?;
        let next = first.next.take()?;
        first.asked = false;
        let item = next.map(|line| (first.key.clone(), line));
        Some((item, logs))
    })
    .boxed()
}

struct Splitter {
    raw: Option<BoxStream<'static, Result<LogOutput, Error>>>,
    /// Standard output, standard error: a program may write half a line to one and then to the other.
    buffers: [Vec<u8>; 2],
    doing: String,
}

fn lines(raw: BoxStream<'static, Result<LogOutput, Error>>, doing: String) -> Lines {
    let start = Splitter { raw: Some(raw), buffers: [Vec::new(), Vec::new()], doing };
    stream::unfold(start, |mut splitter| async move {
        loop {
            let ended = splitter.raw.is_none();
            for (index, buffer) in splitter.buffers.iter_mut().enumerate() {
                if let Some(text) = take_line(buffer, ended) {
                    return Some((Ok(dated(text, index == 1)), splitter));
                }
            }
            let raw = splitter.raw.as_mut()?;
            match raw.next().await {
                Some(Ok(part)) => {
                    let index = usize::from(matches!(part, LogOutput::StdErr { .. }));
                    splitter.buffers[index].extend_from_slice(&part.into_bytes());
                }
                Some(Err(error)) => {
                    splitter.raw = None;
                    splitter.buffers.iter_mut().for_each(Vec::clear);
                    return Some((Err(EngineError::from_bollard(&splitter.doing, &error)), splitter));
                }
                None => splitter.raw = None,
            }
        }
    })
    .boxed()
}

/// The next whole line; at the end also one without its end.
fn take_line(buffer: &mut Vec<u8>, ended: bool) -> Option<String> {
    let (line, rest) = match buffer.iter().position(|b| *b == b'\n') {
        Some(at) => (at, at + 1),
        None if buffer.len() >= LINE_LIMIT || (ended && !buffer.is_empty()) => (buffer.len(), buffer.len()),
        None => return None,
    };
    let text = String::from_utf8_lossy(&buffer[..line]).trim_end_matches('\r').to_owned();
    buffer.drain(..rest);
    Some(text)
}

/// Takes the engine's time off the line.
fn dated(text: String, error: bool) -> Line {
    let is_time = |word: &str| word.len() >= 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T');
    match text.split_once(' ') {
        Some((time, rest)) if is_time(time) => Line { time: time.to_owned(), text: rest.to_owned(), error },
        // An empty line has nothing behind its time, not even the blank on some engines.
        None if is_time(&text) => Line { time: text, text: String::new(), error },
        _ => Line { time: String::new(), text, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn of(parts: &[(&'static str, bool)]) -> Lines {
        let parts: Vec<_> = parts
            .iter()
            .map(|(text, error)| {
                let message = Bytes::from_static(text.as_bytes());
                Ok(if *error { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } })
            })
            .collect();
        lines(stream::iter(parts).boxed(), String::new())
    }

    #[tokio::test]
    async fn parts_become_lines() {
        let parts = [("one\ntw", false), ("err\n", true), ("o\r\n", false), ("three", false)];
        let all: Vec<Line> = of(&parts).filter_map(|line| async { line.ok() }).collect().await;
        let all: Vec<(&str, bool)> = all.iter().map(|l| (l.text.as_str(), l.error)).collect();
        assert_eq!(all, [("one", false), ("err", true), ("two", false), ("three", false)]);
    }

    #[tokio::test]
    async fn several_logs_are_one_by_time() {
        let first = [("2026-01-01T00:00:01.000000000Z a 1\n2026-01-01T00:00:03.000000000Z a 3\n", false)];
        let second = [("2026-01-01T00:00:02.000000000Z b 2\n2026-01-01T00:00:02.000000000Z \nno time\n", false)];
        let all: Vec<_> = merged(vec![("a", of(&first)), ("b", of(&second))]).collect().await;
        let all: Vec<_> = all.into_iter().flatten().map(|(key, line)| format!("{key}:{}", line.text)).collect();
        assert_eq!(all, ["a:a 1", "b:b 2", "b:", "b:no time", "a:a 3"]);
    }
}
