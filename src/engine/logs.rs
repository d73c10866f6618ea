//! What containers print, line by line.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::LogsOptions;
use futures_util::stream::{self, BoxStream, select_all};
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
    /// Only the last lines of each container.
    pub tail: Option<usize>,
    /// Go on as long as the containers run.
    pub follow: bool,
    /// Each line starts with its time.
    pub timestamps: bool,
}

/// Prefix and line (without its end), container by container as they come.
pub type Lines = Pin<Box<dyn Stream<Item = Result<(String, String), EngineError>> + Send>>;

impl Engine {
    /// The logs of several containers (ID and prefix) in one stream.
    pub fn follow(&self, containers: &[(String, String)], wanted: Wanted) -> Lines {
        let one = |(id, prefix): &(String, String)| {
            let options = LogsOptions {
                follow: wanted.follow,
                stdout: true,
                stderr: true,
                since: wanted.since.and_then(|s| i32::try_from(s).ok()).unwrap_or(0),
                timestamps: wanted.timestamps,
                tail: wanted.tail.map_or_else(|| "all".to_owned(), |n| n.to_string()),
                ..LogsOptions::default()
            };
            let raw = self.docker.logs(id, Some(options)).boxed();
            lines(raw, prefix.clone(), format!("read the log of {prefix}"))
        };
        select_all(containers.iter().map(one)).boxed()
    }
}

struct Splitter {
    raw: Option<BoxStream<'static, Result<LogOutput, Error>>>,
    buffer: Vec<u8>,
    prefix: String,
    doing: String,
}

fn lines(raw: BoxStream<'static, Result<LogOutput, Error>>, prefix: String, doing: String) -> Lines {
    let start = Splitter { raw: Some(raw), buffer: Vec::new(), prefix, doing };
    stream::unfold(start, |mut splitter| async move {
        loop {
            if let Some(line) = take_line(&mut splitter.buffer, splitter.raw.is_none()) {
                return Some((Ok((splitter.prefix.clone(), line)), splitter));
            }
            let raw = splitter.raw.as_mut()?;
            match raw.next().await {
                Some(Ok(part)) => splitter.buffer.extend_from_slice(&part.into_bytes()),
                Some(Err(error)) => {
                    splitter.raw = None;
                    splitter.buffer.clear();
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn parts_become_lines() {
        let parts = ["one\ntw", "o\r\n", "three"]
            .map(|text| Ok(LogOutput::StdOut { message: Bytes::from_static(text.as_bytes()) }));
        let all: Vec<_> = lines(stream::iter(parts).boxed(), "app-1".into(), String::new()).collect().await;
        let all: Vec<_> = all.into_iter().flatten().map(|(_, line)| line).collect();
        assert_eq!(all, ["one", "two", "three"]);
    }
}
