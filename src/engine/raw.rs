//! A call on a connection of its own, for what the client library has no words for.

use bytes::Bytes;
use http::request::Builder;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::connect::Engine;
use super::error::EngineError;

/// The largest error text that is read, bytes.
const ERROR: usize = 64 << 10;

impl Engine {
    /// A request to this path of the interface's version in use.
    pub(super) fn request(&self, method: &str, path: &str) -> Builder {
        let uri = format!("/v{}{path}", self.facts().api);
        Request::builder().method(method).uri(uri).header("Host", "docker")
    }

    /// Sends it, and returns the answer as soon as its head is there. An answer of 400 or above is an error.
    pub(super) async fn raw(
        &self,
        doing: &str,
        request: Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, EngineError> {
        let lost = |error: &dyn std::error::Error| EngineError::lost(doing, error);
        let request = request.body(Full::new(body)).map_err(|error| lost(&error))?;
        let stream = self.way.clone().dial().await.map_err(|error| lost(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
        let status = response.status().as_u16();
        if status < 400 {
            return Ok(response);
        }
        let text = Limited::new(response.into_body(), ERROR).collect().await.map(http_body_util::Collected::to_bytes);
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let said: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let message = said.as_ref().and_then(|said| said.get("message")?.as_str()).unwrap_or(&text);
        Err(EngineError::answered(doing, status, message))
    }
}
