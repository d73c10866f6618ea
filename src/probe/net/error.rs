//! Why a question got no answer.

use std::io;

use super::super::text::clean;

/// Why a question got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The other side ended the connection without an answer.
    #[error("connection closed without an answer")]
    Closed,
    /// No answer in time.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(String),
    /// What came is not HTTP/1.1.
    #[error("not an HTTP response: {0}")]
    NotHttp(String),
    /// More than the prober is willing to read.
    #[error("{0}")]
    TooLarge(&'static str),
    /// The request itself could not be written: it holds characters that would end a line.
    #[error("`{0}` cannot be asked for")]
    Unaskable(String),
    /// The limit of the route is used up, and nobody waits for it.
    #[error("429: the limit of the route is used up")]
    Limited,
    /// Anything else the system said.
    #[error("{0}")]
    Io(String),
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(clean(tls.to_string()));
        }
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => Self::Closed,
            _ => Self::Io(clean(error.to_string())),
        }
    }
}
