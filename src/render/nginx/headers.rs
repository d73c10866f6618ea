//! Security headers: every response, each once.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::proxy::Proxy;
use crate::render::RenderError;

use super::cors::{self, Rules};

const HSTS: &str = "strict-transport-security";

/// Names that Nginx or the service must set, or that frame the message.
const RESERVED: [&str; 18] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-max-age",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "last-modified",
    "location",
    "retry-after",
    "server",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
];

/// What the headers template sees.
#[derive(Debug, Serialize)]
pub(super) struct Headers {
    list: Vec<Header>,
    hsts: Option<String>,
    cors: Vec<Rules>,
    /// Some routes lead to files.
    files: bool,
}

#[derive(Debug, Serialize)]
struct Header {
    name: String,
    value: String,
}

impl Headers {
    /// Headers of a proxy, checked. An empty value leaves the header to the service.
    pub(super) fn of(proxy: &Proxy) -> Result<Self, RenderError> {
        let mut hsts = proxy.hsts.map(|age| format!("max-age={}", age.ceil_seconds()));
        let mut headers = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, value) in &proxy.headers {
            let refuse = |why| RenderError::Header { name: name.clone(), why };
            let lower = name.to_ascii_lowercase();
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) {
                return Err(refuse("a header name is letters, digits and `-`"));
            }
            if RESERVED.contains(&lower.as_str()) {
                return Err(refuse("it is not for a fixed value: Nginx or the service sets it"));
            }
            if !seen.insert(lower.clone()) {
                return Err(refuse("it is there twice; case does not matter in header names"));
            }
            if lower == HSTS {
                // Sent over HTTPS only (RFC 6797, 7.2), hence not with the others.
                hsts = (!value.is_empty()).then(|| value.clone());
            } else if !value.is_empty() {
                headers.push(Header { name: name.clone(), value: value.clone() });
            }
        }
        let hsts = hsts.filter(|_| proxy.https());
        let files = proxy.routes.iter().any(|route| route.folder().is_some());
        Ok(Self { list: headers, hsts, cors: cors::rules(proxy), files })
    }
}
