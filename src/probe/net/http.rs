//! A response.

use std::time::Duration;

/// Longest time one request may take, from connecting to the last byte.
pub(in crate::probe) const PATIENCE: Duration = Duration::from_secs(10);

/// An HTTP response. Header names are lower-case, values without control characters; the body is cut at 1 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers as they came, repeated ones repeated.
    pub headers: Vec<(String, String)>,
    /// Body, without its transfer coding.
    pub body: Vec<u8>,
    /// From connecting to the last byte.
    pub elapsed: Duration,
}

impl Response {
    /// All values of a header.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
