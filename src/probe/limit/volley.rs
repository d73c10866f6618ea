//! Requests on connections that are already open.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{sleep_until, timeout};

use super::super::net::client::{Connection, Door, Request};
use super::super::net::error::ProbeError;
use super::super::net::http::Response;

/// One request of a volley, on its open connection.
pub(super) struct Shell {
    connection: Connection,
    head: Vec<u8>,
}

/// What became of it. Times are from the base instant of its release.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    /// When it was sent.
    pub(super) sent: Duration,
    /// How much later than planned that was.
    pub(super) late: Duration,
    /// From sending to the last byte.
    pub(super) took: Duration,
    /// The response, without its body.
    pub(super) answer: Result<Response, ProbeError>,
}

impl Shot {
    /// Status, if there was a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.answer.as_ref().ok().map(|response| response.status)
    }
}

/// Opens a connection for each request, side by side; one that cannot be opened spoils the measurement.
pub(super) async fn load(door: &Door, requests: &[Request<'_>]) -> Result<Vec<Shell>, ProbeError> {
    let opened = join_all(requests.iter().map(|request| async {
        let head = door.head(request)?;
        Ok::<_, ProbeError>(Shell { connection: door.open().await?, head })
    }));
    opened.await.into_iter().collect()
}

/// Sends each request at its time after the release, and collects the answers, each within `patience`.
///
/// Sending is one loop that never waits for answers (open loop): a server that slows down does not slow the offer.
pub(super) async fn fire(shells: Vec<(Shell, Duration)>, patience: Duration) -> (Instant, Vec<Shot>) {
    let base = Instant::now();
    let shots = join_all(shells.into_iter().map(|(mut shell, at)| async move {
        if !at.is_zero() {
            sleep_until((base + at).into()).await;
        }
        let sent = Instant::now();
        let answer = timeout(patience, async {
            shell.connection.send(&shell.head).await?;
            shell.connection.response().await
        });
        let answer = answer.await.unwrap_or(Err(ProbeError::Timeout(patience.as_secs())));
        let offset = sent.duration_since(base);
        Shot {
            sent: offset,
            late: offset.saturating_sub(at),
            took: sent.elapsed(),
            answer: answer.map(|response| Response { body: Vec::new(), ..response }),
        }
    }));
    (base, shots.await)
}
