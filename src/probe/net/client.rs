//! A door to knock at: address, name and, for HTTPS, how to shake hands. Connections are opened apart from asking, so
//! that a volley can be released on connections that are already there.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::text::clean;
use super::error::ProbeError;
use super::http::{PATIENCE, Response};
use super::wire::Reader;

/// Who asks, in the log of whoever is asked.
pub(super) const AGENT: &str = concat!("stackctl-verify/", env!("CARGO_PKG_VERSION"));

/// Where and as whom to ask.
#[derive(Debug, Clone)]
pub(in crate::probe) struct Door {
    /// Where to connect.
    pub(in crate::probe) address: SocketAddr,
    /// Value of `Host`.
    pub(in crate::probe) host: String,
    /// Name of the handshake and its configuration; `None` for plain HTTP.
    tls: Option<(String, Arc<rustls::ClientConfig>)>,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(in crate::probe) struct Request<'a> {
    /// `GET`, unless it is said.
    pub(in crate::probe) method: &'a str,
    /// Path and query.
    pub(in crate::probe) path: &'a str,
    /// Headers beside `Host`, `User-Agent` and `Connection`.
    pub(in crate::probe) headers: &'a [(&'a str, &'a str)],
    /// What is sent with it.
    pub(in crate::probe) body: &'a str,
}

impl<'a> Request<'a> {
    /// A GET without headers of its own.
    pub(in crate::probe) fn path(path: &'a str) -> Self {
        Self { method: "GET", path, headers: &[], body: "" }
    }

    /// A GET with headers.
    pub(in crate::probe) fn with(path: &'a str, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..Self::path(path) }
    }
}

/// An open connection that was not used yet.
pub(in crate::probe) struct Connection {
    stream: Stream,
    opened: Instant,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<BufStream<TlsStream<TcpStream>>>),
}

impl Door {
    /// Plain HTTP.
    pub(in crate::probe) fn plain(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), tls: None }
    }

    /// HTTPS under a name.
    pub(in crate::probe) fn tls(
        address: SocketAddr,
        host: &str,
        name: &str,
        config: Arc<rustls::ClientConfig>,
    ) -> Self {
        Self { address, host: host.to_owned(), tls: Some((name.to_owned(), config)) }
    }

    /// Connects, and shakes hands for HTTPS.
    pub(in crate::probe) async fn open(&self) -> Result<Connection, ProbeError> {
        within(PATIENCE, async {
            let opened = Instant::now();
            let tcp = TcpStream::connect(self.address).await?;
            // Requests of a volley must leave when they are written.
            let _ = tcp.set_nodelay(true);
            let stream = match &self.tls {
                None => Stream::Plain(tcp),
                Some((name, config)) => {
                    let name = ServerName::try_from(name.clone()).map_err(|_| ProbeError::Unaskable(clean(name)))?;
                    let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
                    Stream::Tls(Box::new(BufStream::new(tls)))
                }
            };
            Ok(Connection { stream, opened })
        })
        .await
    }

    /// One request on a connection of its own.
    pub(in crate::probe) async fn get(&self, request: &Request<'_>) -> Result<Response, ProbeError> {
        within(PATIENCE, async {
            let mut connection = self.open().await?;
            connection.send(&self.head(request)?).await?;
            connection.response().await
        })
        .await
    }

    /// The request as bytes.
    pub(in crate::probe) fn head(&self, request: &Request<'_>) -> Result<Vec<u8>, ProbeError> {
        let bad = |text: &str| text.chars().any(char::is_control);
        if bad(request.path) || request.path.contains(' ') || !request.path.starts_with('/') {
            return Err(ProbeError::Unaskable(clean(request.path)));
        }
        if bad(&self.host) {
            return Err(ProbeError::Unaskable(clean(&self.host)));
        }
        if request.method.is_empty() || !request.method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(ProbeError::Unaskable(clean(request.method)));
        }
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {AGENT}\r\n", request.method, request.path, self.host);
        if !request.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", request.body.len());
        }
        let mut connection = "close";
        let mut accept = "*/*";
        for (name, value) in request.headers {
            if bad(name) || bad(value) || name.contains([' ', ':']) {
                return Err(ProbeError::Unaskable(clean(name)));
            }
            if name.eq_ignore_ascii_case("connection") {
                connection = value;
            } else if name.eq_ignore_ascii_case("accept") {
                accept = value;
            } else {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        let _ = write!(head, "Accept: {accept}\r\nConnection: {connection}\r\n\r\n{}", request.body);
        Ok(head.into_bytes())
    }
}

impl Connection {
    /// Sends a request; a few hundred bytes fit the socket's buffer, so this does not wait for the other side.
    pub(in crate::probe) async fn send(&mut self, head: &[u8]) -> Result<(), ProbeError> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(head).await?,
            Stream::Tls(stream) => {
                stream.write_all(head).await?;
                stream.flush().await?;
            }
        }
        Ok(())
    }

    /// Reads the response.
    pub(in crate::probe) async fn response(&mut self) -> Result<Response, ProbeError> {
        let (head, body) = match &mut self.stream {
            Stream::Plain(stream) => read(stream).await?,
            Stream::Tls(stream) => read(stream.as_mut()).await?,
        };
        Ok(Response { status: head.status, headers: head.headers, body, elapsed: self.opened.elapsed() })
    }

    /// Reads the first status that comes, be it an interim one (1xx).
    pub(in crate::probe) async fn first_status(&mut self) -> Result<u16, ProbeError> {
        let first = match &mut self.stream {
            Stream::Plain(stream) => Reader::new(stream).first().await?,
            Stream::Tls(stream) => Reader::new(stream.as_mut()).first().await?,
        };
        Ok(first.status)
    }

    /// Reads the head of a response and leaves what follows it; what came with it is handed out.
    pub(in crate::probe) async fn upgraded(&mut self) -> Result<(Response, Vec<u8>), ProbeError> {
        let (head, rest) = match &mut self.stream {
            Stream::Plain(stream) => Reader::new(stream).head_and_rest().await?,
            Stream::Tls(stream) => Reader::new(stream.as_mut()).head_and_rest().await?,
        };
        let response =
            Response { status: head.status, headers: head.headers, body: Vec::new(), elapsed: self.opened.elapsed() };
        Ok((response, rest))
    }

    /// Some more bytes; none at the end.
    pub(in crate::probe) async fn more(&mut self) -> Result<Vec<u8>, ProbeError> {
        let mut bytes = vec![0; 4096];
        let length = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut bytes).await?,
            Stream::Tls(stream) => stream.read(&mut bytes).await?,
        };
        bytes.truncate(length);
        Ok(bytes)
    }
}

async fn read<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Result<(super::wire::Head, Vec<u8>), ProbeError> {
    let mut reader = Reader::new(stream);
    let head = reader.head().await?;
    let body = reader.body(&head).await?;
    Ok((head, body))
}

/// One GET over plain HTTP/1.1: no redirects followed, no cookies, at most 10 s, 64 KiB of headers and 1 MiB of body.
/// `host` is the `Host` header.
pub async fn through(
    address: SocketAddr,
    path: &str,
    host: &str,
    headers: &[(&str, &str)],
) -> Result<Response, ProbeError> {
    Door::plain(address, host).get(&Request::with(path, headers)).await
}

/// The answer, or a timeout.
pub(in crate::probe) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ProbeError>>,
) -> Result<T, ProbeError> {
    timeout(limit, work).await.unwrap_or(Err(ProbeError::Timeout(limit.as_secs().max(1))))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_a_line_of_its_own_into_a_request() {
        let door = Door::plain(([127, 0, 0, 1], 80).into(), "h");
        for path in ["/a\r\nX: y", "/a b", "a", ""] {
            assert!(door.head(&Request::path(path)).is_err(), "{path:?}");
        }
        assert!(door.head(&Request::with("/", &[("X", "a\nb")])).is_err());
        assert!(door.head(&Request { method: "GET /\r\n", ..Request::path("/") }).is_err());
        assert!(Door::plain(door.address, "h\r\n").head(&Request::path("/")).is_err());
    }

    #[test]
    fn a_request_names_its_sender() {
        let door = Door::plain(([127, 0, 0, 1], 80).into(), "h");
        let head = String::from_utf8(door.head(&Request::path("/x?y")).unwrap()).unwrap();
        assert!(head.starts_with("GET /x?y HTTP/1.1\r\nHost: h\r\nUser-Agent: stackctl-verify/"), "{head}");
        assert!(head.ends_with("Connection: close\r\n\r\n"), "{head}");
    }
}
