//! As much of HTTP/1.1 as a client needs, written by hand so that nothing is repeated behind our back.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::{Plan, Stream};
use crate::stats::{Answer, Class, Failure};

/// The largest response head accepted.
const HEAD_LIMIT: usize = 64 * 1024;

/// One connection and what has been read from it beyond the last answer.
pub(crate) struct Connection {
    stream: Stream,
    socket: std::net::TcpStream,
    buffer: Vec<u8>,
    /// Whether a request was answered on it before.
    used: bool,
}

/// The parts of a response head that matter here.
struct Head {
    status: u16,
    length: Body,
    keep: bool,
    label: Option<String>,
}

enum Body {
    None,
    Length(usize),
    Chunked,
    UntilEof,
}

impl Connection {
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Failure> {
        let stream = plan.connect(false).await?;
        let socket = stream.socket().map_err(|e| Failure::new(Class::Connect, e.to_string()))?;
        Ok(Self { stream, socket, buffer: Vec::new(), used: false })
    }

    /// Whether the server has closed this connection as far as the kernel knows right now. To be asked
    /// right before a request is written. What arrives after this is the race HTTP/1.1 cannot avoid.
    pub(crate) async fn closed(&mut self) -> bool {
        match self.socket.peek(&mut [0]) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => false,
            Ok(0) | Err(_) => true,
            // Something is there that nobody asked for: with TLS a closing alert or a session ticket, else
            // an answer to nothing (a 408 before closing). Only a ticket leaves the connection usable.
            Ok(_) => {
                let mut byte = [0];
                let read = self.stream.read(&mut byte);
                // Tickets are swallowed inside and the read goes on waiting.
                tokio::time::timeout(std::time::Duration::from_millis(2), read).await.is_ok()
            }
        }
    }

    /// Sends one request and reads its answer; `true` beside it when the connection may be used again.
    pub(crate) async fn exchange(&mut self, plan: &Plan, keep: bool) -> Result<(Answer, bool), Failure> {
        let request = request(plan, keep);
        let reused = self.used;
        let fail = |conn: &Self, err: &std::io::Error| {
            let mut failure = Failure::io(err);
            let ended = matches!(failure.class, Class::Reset | Class::Eof);
            if reused && ended && conn.buffer.is_empty() {
                failure.class = Class::StaleConnection;
            }
            failure
        };
        let sent = async {
            self.stream.write_all(&request).await?;
            self.stream.flush().await
        };
        if let Err(e) = sent.await {
            return Err(fail(self, &e));
        }
        let head = loop {
            let head = match self.head().await {
                Ok(text) => parse_head(&text, plan.count_header.as_deref())?,
                Err(e) => return Err(fail(self, &e)),
            };
            if head.status >= 200 {
                break head;
            }
        };
        let body = match head.length {
            Body::None => Ok(()),
            Body::Length(n) => self.skip(n).await,
            Body::Chunked => self.skip_chunks().await,
            Body::UntilEof => self.skip_all().await,
        };
        body.map_err(|e| Failure::io(&e))?;
        self.used = true;
        let keep = head.keep && !matches!(head.length, Body::UntilEof);
        Ok((Answer { status: head.status, label: head.label }, keep))
    }

    /// Reads more into the buffer; the end of the stream is an error.
    async fn fill(&mut self) -> std::io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "connection closed"));
        }
        Ok(())
    }

    /// Takes a response head, without the empty line that ends it.
    async fn head(&mut self) -> std::io::Result<String> {
        self.until(b"\r\n\r\n").await
    }

    async fn until(&mut self, end: &[u8]) -> std::io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|w| w == end) {
                let text = String::from_utf8_lossy(self.buffer.get(..at).unwrap_or_default()).into_owned();
                self.buffer.drain(..at + end.len());
                return Ok(text);
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "head or chunk line too long"));
            }
            self.fill().await?;
        }
    }

    async fn skip(&mut self, mut n: usize) -> std::io::Result<()> {
        loop {
            let take = n.min(self.buffer.len());
            self.buffer.drain(..take);
            n -= take;
            if n == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn skip_chunks(&mut self) -> std::io::Result<()> {
        loop {
            let line = self.until(b"\r\n").await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "bad chunk size"))?;
            if size == 0 {
                while !self.until(b"\r\n").await?.is_empty() {}
                return Ok(());
            }
            self.skip(size + 2).await?;
        }
    }

    async fn skip_all(&mut self) -> std::io::Result<()> {
        loop {
            self.buffer.clear();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

fn request(plan: &Plan, keep: bool) -> Vec<u8> {
    let (path, host) = (plan.path(), &plan.authority);
    let connection = if keep { "" } else { "Connection: close\r\n" };
    let mut bytes = match plan.post {
        None => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{connection}\r\n"),
        Some(n) => format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {n}\r\n{connection}\r\n"),
    }
    .into_bytes();
    bytes.resize(bytes.len() + plan.post.unwrap_or(0), b'x');
    bytes
}

fn parse_head(text: &str, count_header: Option<&str>) -> Result<Head, Failure> {
    let bad = |what: &str| Failure::new(Class::Protocol, format!("{what}: {}", text.escape_debug()));
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let version = first.next().unwrap_or_default();
    let status: u16 = first.next().and_then(|s| s.parse().ok()).ok_or_else(|| bad("no status"))?;
    let bodiless = status < 200 || status == 204 || status == 304;
    let mut head = Head {
        status,
        length: if bodiless { Body::None } else { Body::UntilEof },
        keep: version == "HTTP/1.1",
        label: None,
    };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("header without a colon"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "connection" if value.eq_ignore_ascii_case("close") => head.keep = false,
            "connection" if value.eq_ignore_ascii_case("keep-alive") => head.keep = true,
            "transfer-encoding" if !bodiless => head.length = Body::Chunked,
            "content-length" if matches!(head.length, Body::UntilEof) => {
                head.length = Body::Length(value.parse().map_err(|_| bad("bad Content-Length"))?);
            }
            _ => {}
        }
        if count_header == Some(name.as_str()) {
            head.label = Some(value.to_owned());
        }
    }
    Ok(head)
}
