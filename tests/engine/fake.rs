//! A tiny engine on a unix socket that answers whatever a test wants, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stackctl::base::env::Env;
use stackctl::engine::{Engine, EngineError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// One request: `GET /version`, and all of its head.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What to send, piece by piece, and what to do then.
pub(crate) struct Reply {
    pieces: Vec<Vec<u8>>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Keep,
    Cut,
    Stall,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let text = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { pieces: vec![text.into_bytes()], then: Then::Keep }
    }

    /// A chunked stream, each part in a write of its own.
    pub(crate) fn stream(parts: &[&str]) -> Self {
        let mut pieces = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
        pieces.extend(parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len()).into_bytes()));
        pieces.push(b"0\r\n\r\n".to_vec());
        Self { pieces, then: Then::Keep }
    }

    /// Raw bytes, then the connection is cut.
    pub(crate) fn cut(bytes: &str) -> Self {
        Self { pieces: vec![bytes.as_bytes().to_vec()], then: Then::Cut }
    }

    /// Raw bytes, then silence.
    pub(crate) fn stall(bytes: &str) -> Self {
        Self { pieces: vec![bytes.as_bytes().to_vec()], then: Then::Stall }
    }
}

/// A fake engine; it ends with the test's runtime.
pub(crate) struct Fake {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&log)));
            }
        });
        Self { folder, seen }
    }

    /// An engine with this API version, and `answer` for all but `/version`.
    pub(crate) fn with_version(api: &'static str, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |line| {
            if line == "GET /version" {
                let body = format!(r#"{{"Version":"1.2.3","ApiVersion":"{api}","Os":"linux","Arch":"amd64"}}"#);
                return Reply::json(200, &body);
            }
            answer(line)
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    pub(crate) async fn connect(&self) -> Result<Engine, EngineError> {
        self.connect_with(&Env::default()).await
    }

    pub(crate) async fn connect_with(&self, env: &Env) -> Result<Engine, EngineError> {
        Ok(Engine::connect(Some(&self.address()), env).await?.with_timeout(Duration::from_millis(400)))
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: UnixStream,
    answer: Arc<impl Fn(&str) -> Reply + Send + Sync + 'static>,
    log: Arc<Mutex<Vec<Request>>>,
) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let length: usize = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned))
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(0);
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body: Vec<u8> = buffer.drain(..length).collect();
        let first = head.lines().next().unwrap_or_default();
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let line = format!("{method} {}", target.split('?').next().unwrap_or_default());
        let reply = answer(&line);
        log.lock().unwrap().push(Request { line, head, body });
        for piece in &reply.pieces {
            if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await; // so that each piece is a read of its own
        }
        match reply.then {
            Then::Keep => {}
            Then::Cut => return,
            Then::Stall => tokio::time::sleep(Duration::from_secs(60)).await,
        }
    }
}
