//! HTTP/1.1 on the wire (RFC 9112): one request out, one bounded response in.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::text::clean;
use super::error::ProbeError;

/// Most bytes of status line and headers.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// Most bytes of a body; the rest is not read.
pub(super) const MAX_BODY: usize = 1 << 20;
/// Most interim responses (1xx) before the real one.
const MAX_INTERIM: usize = 8;

/// Status and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    fn has(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|(k, v)| k == name && v.to_ascii_lowercase().contains(value))
    }

    fn length(&self) -> Option<usize> {
        let (_, value) = self.headers.iter().find(|(k, _)| k == "content-length")?;
        Some(value.trim().parse().unwrap_or(usize::MAX))
    }
}

/// Reads from a stream through a buffer.
pub(super) struct Reader<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
}

impl<'a, S: AsyncRead + Unpin> Reader<'a, S> {
    pub(super) fn new(stream: &'a mut S) -> Self {
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// More bytes into the buffer; `false` at the end.
    async fn fill(&mut self) -> Result<bool, ProbeError> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            // TLS peers that close without close_notify: what came is what there is.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next response's status and headers, be it an interim one.
    pub(super) async fn first(&mut self) -> Result<Head, ProbeError> {
        let end = loop {
            if let Some(end) = head_end(&self.buffer) {
                break end;
            }
            // Refused at the first bytes: a server that speaks something else may never send an empty line.
            if self.buffer.len() >= 5 && !self.buffer.starts_with(b"HTTP/") {
                return Err(ProbeError::NotHttp(clean(&self.buffer[..self.buffer.len().min(40)])));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ProbeError::TooLarge("more than 64 KiB of headers"));
            }
            if !self.fill().await? {
                return Err(ProbeError::Closed);
            }
        };
        if end > MAX_HEAD {
            return Err(ProbeError::TooLarge("more than 64 KiB of headers"));
        }
        let head = parse_head(&self.buffer[..end])?;
        self.buffer.drain(..end);
        Ok(head)
    }

    /// Status and headers, and what was received after them: after 101 it is another protocol.
    pub(super) async fn head_and_rest(mut self) -> Result<(Head, Vec<u8>), ProbeError> {
        let head = self.head().await?;
        Ok((head, self.buffer))
    }

    /// The final response's status and headers.
    pub(super) async fn head(&mut self) -> Result<Head, ProbeError> {
        for _ in 0..=MAX_INTERIM {
            let head = self.first().await?;
            if head.status == 101 || head.status >= 200 {
                return Ok(head);
            }
        }
        Err(ProbeError::NotHttp("interim responses without end".into()))
    }

    /// The body, at most [`MAX_BODY`] bytes of it.
    pub(super) async fn body(&mut self, head: &Head) -> Result<Vec<u8>, ProbeError> {
        if head.status == 101 || head.status == 204 || head.status == 304 {
            return Ok(Vec::new());
        }
        if head.has("transfer-encoding", "chunked") {
            return self.chunked().await;
        }
        let wanted = head.length().unwrap_or(MAX_BODY).min(MAX_BODY);
        while self.buffer.len() < wanted && self.fill().await? {}
        self.buffer.truncate(wanted);
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn chunked(&mut self) -> Result<Vec<u8>, ProbeError> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                    break at;
                }
                if self.buffer.len() > 4096 || !self.fill().await? {
                    return Err(ProbeError::NotHttp("broken chunk".into()));
                }
            };
            let line = String::from_utf8_lossy(&self.buffer[..line_end]).into_owned();
            let digits = line.trim().split(';').next().unwrap_or("").trim();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| ProbeError::NotHttp(format!("chunk size `{}`", clean(digits))))?;
            self.buffer.drain(..=line_end);
            if size == 0 {
                return Ok(body);
            }
            let mut left = size.min(MAX_BODY - body.len());
            let cut = left < size;
            while left > 0 {
                if self.buffer.is_empty() && !self.fill().await? {
                    return Err(ProbeError::Closed);
                }
                let take = left.min(self.buffer.len());
                body.extend(self.buffer.drain(..take));
                left -= take;
            }
            if cut || body.len() >= MAX_BODY {
                return Ok(body);
            }
            // The line end that closes the chunk.
            while self.buffer.len() < 2 {
                if !self.fill().await? {
                    return Err(ProbeError::Closed);
                }
            }
            self.buffer.drain(..2);
        }
    }
}

/// Length of the head including its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let strict = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
    let lax = bytes.windows(2).position(|w| w == b"\n\n").map(|at| at + 2);
    match (strict, lax) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn parse_head(bytes: &[u8]) -> Result<Head, ProbeError> {
    let mut lines = bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let refuse = || ProbeError::NotHttp(clean(first));
    let text = std::str::from_utf8(first.get(..12).ok_or_else(refuse)?).map_err(|_| refuse())?;
    let status = match text.split_once(' ') {
        Some(("HTTP/1.1" | "HTTP/1.0", code)) => code.parse::<u16>().map_err(|_| refuse())?,
        _ => return Err(refuse()),
    };
    if !(100..=999).contains(&status) {
        return Err(refuse());
    }
    let headers = lines
        .filter_map(|line| {
            let colon = line.iter().position(|b| *b == b':')?;
            let name = clean(&line[..colon]).to_ascii_lowercase();
            // Not cut at 200 characters: a policy is longer than that; the head as a whole is bounded.
            let value = String::from_utf8_lossy(&line[colon + 1..]);
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            Some((name, value.trim().to_owned()))
        })
        .collect();
    Ok(Head { status, headers })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<(Head, Vec<u8>), ProbeError> {
        let mut reader = Reader::new(&mut bytes);
        let head = reader.head().await?;
        let body = reader.body(&head).await?;
        Ok((head, body))
    }

    #[tokio::test]
    async fn plain_chunked_and_interim_responses() {
        let (head, body) =
            read(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:2\r\nContent-Length: 3\r\n\r\nabcdef").await.unwrap();
        assert_eq!((head.status, head.headers.len(), body.as_slice()), (200, 3, b"abc".as_slice()));
        let chunked = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let (head, body) = read(chunked).await.unwrap();
        assert_eq!((head.status, body.as_slice()), (404, b"abcde".as_slice()));
    }

    #[tokio::test]
    async fn what_is_not_http_is_said_so() {
        assert_eq!(read(b"SSH-2.0-OpenSSH\r\n").await.unwrap_err(), ProbeError::NotHttp("SSH-2.0-OpenSSH".into()));
        assert!(matches!(read(b"HTTP/1.1 abc\r\n\r\n").await, Err(ProbeError::NotHttp(_))));
        assert!(matches!(read(b"HTTP/1.1 \xff\xff\xff\r\n\r\n").await, Err(ProbeError::NotHttp(_))));
        assert_eq!(read(b"").await.unwrap_err(), ProbeError::Closed);
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert!(matches!(read(chunk).await, Err(ProbeError::NotHttp(_))));
    }

    #[tokio::test]
    async fn nothing_is_read_without_end() {
        let mut huge = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        huge.resize(200 << 10, b'a');
        assert!(matches!(read(&huge).await, Err(ProbeError::TooLarge(_))));
        let mut body = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        body.resize(3 << 20, b'a');
        assert_eq!(read(&body).await.unwrap().1.len(), MAX_BODY);
        let mut lie = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec();
        lie.resize(3 << 20, b'a');
        assert_eq!(read(&lie).await.unwrap().1.len(), MAX_BODY);
    }

    #[tokio::test]
    async fn control_characters_do_not_survive_parsing() {
        let (head, _) = read(b"HTTP/1.1 200 OK\r\nServer: a\x1b[2J\x07\xff\r\n\r\n").await.unwrap();
        assert_eq!(head.headers[0], ("server".into(), "a[2J\u{fffd}".into()));
    }
}
