//! Bytes to and from an `ssh` process, and what it says beside them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What a program says on its standard error, its last 4 KiB.
#[derive(Debug, Clone, Default)]
pub(super) struct Talk(Arc<Mutex<Vec<u8>>>);

impl Talk {
    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

pub(super) fn listen(child: &mut Child) -> Talk {
    let talk = Talk::default();
    if let Some(mut stderr) = child.stderr.take() {
        let heard = talk.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
                let mut all = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend_from_slice(&buffer[..length]);
                let excess = all.len().saturating_sub(4096);
                all.drain(..excess);
            }
        });
    }
    talk
}

/// Standard input and output of an `ssh` that passes bytes on.
pub(in crate::engine) struct Stream {
    input: Option<ChildStdin>,
    output: ChildStdout,
    child: Arc<tokio::sync::Mutex<Child>>,
    talk: Talk,
    heard: bool,
    end: Option<BoxFuture<'static, io::Result<()>>>,
}

impl Stream {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let talk = listen(&mut child);
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("ssh has no streams"));
        };
        let child = Arc::new(tokio::sync::Mutex::new(child));
        Ok(Self { input: Some(input), output, child, talk, heard: false, end: None })
    }

    /// Fails if the other end turns out not to be there within this time.
    pub(in crate::engine) async fn stays(&mut self, time: Duration) -> io::Result<()> {
        let ended = async { self.child.lock().await.wait().await };
        match tokio::time::timeout(time, ended).await {
            Err(_) => Ok(()),
            Ok(_) => Err(reason(&self.talk)),
        }
    }
}

fn reason(talk: &Talk) -> io::Error {
    let text = talk.text();
    // The last line says most: `channel 0: open failed: connect failed: Connection refused`, then less.
    let line = text.lines().find(|l| l.contains("open failed")).or(text.lines().last()).unwrap_or("ssh ended");
    let line = line.rsplit("open failed: ").next().unwrap_or(line);
    let kind = if line.contains("refused") { io::ErrorKind::ConnectionRefused } else { io::ErrorKind::Other };
    io::Error::new(kind, line.to_owned())
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &mut self.end {
            let end = std::task::ready!(end.as_mut().poll(cx));
            (self.end, self.heard) = (None, true);
            return Poll::Ready(end);
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard = true;
            return Poll::Ready(Ok(()));
        }
        if self.heard {
            return Poll::Ready(Ok(()));
        }
        // The end before the first byte: whatever ssh or the other side said is the reason.
        let (child, talk) = (Arc::clone(&self.child), self.talk.clone());
        self.end = Some(Box::pin(async move {
            let ended = async { child.lock().await.wait().await };
            let status = tokio::time::timeout(Duration::from_secs(2), ended).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            match status {
                Ok(Ok(status)) if status.success() => Ok(()),
                _ => Err(io::Error::other(Said(talk.text()))),
            }
        }));
        self.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end of its input is what `ssh` passes on as the end of ours.
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

/// What ssh said when a stream ended before it began.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);
