//! HTTP/2: one connection with a stream for each arrival, a new connection when the server says GOAWAY.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::time::Instant;

use crate::cli::Mode;
use crate::net::{LIMIT, Plan, Stream};
use crate::schedule::{Stop, Timetable};
use crate::stats::{Answer, Class, Failure, Recorder};

/// Starts this connection's arrivals as streams; they may overlap.
pub(crate) async fn run(plan: Rc<Plan>, stats: Rc<Recorder>, stop: Rc<Stop>, mut timetable: Timetable) {
    let mut connection: Option<SendRequest<Bytes>> = None;
    let mut streams = tokio::task::JoinSet::new();
    while let Some(due) = timetable.arrival(&stop).await {
        while streams.try_join_next().is_some() {}
        while streams.len() >= plan.in_flight && streams.join_next().await.is_some() {}
        // Let the connection's task read what has arrived: a GOAWAY that is here must be obeyed.
        tokio::task::yield_now().await;
        if let Some(open) = connection.take() {
            match open.ready().await {
                Ok(open) => connection = Some(open),
                // Nothing was sent yet: not a failure, and the next request takes a new connection.
                Err(e) if e.is_go_away() => stats.told_to_close(Mode::H2),
                Err(_) => stats.reconnect(Mode::H2),
            }
        }
        if connection.is_none() {
            match open(&plan).await {
                Ok(open) => connection = Some(open),
                Err(failure) => {
                    stats.request(Mode::H2, due, &Err(failure));
                    continue;
                }
            }
        }
        if let Some(open) = &connection {
            streams.spawn_local(stream(Rc::clone(&plan), Rc::clone(&stats), open.clone(), due));
        }
    }
    while streams.join_next().await.is_some() {}
}

async fn open(plan: &Plan) -> Result<SendRequest<Bytes>, Failure> {
    let stream: Stream = plan.connect(true).await?;
    // The handshake only writes our preface; it does not wait for the server's settings.
    let (open, connection) = h2::client::handshake(stream).await.map_err(|e| classify(&e))?;
    tokio::task::spawn_local(async move {
        // Every stream hears of the connection's end itself.
        let _ = connection.await;
    });
    open.ready().await.map_err(|e| classify(&e))
}

async fn stream(plan: Rc<Plan>, stats: Rc<Recorder>, open: SendRequest<Bytes>, due: Instant) {
    let outcome = match tokio::time::timeout(LIMIT, exchange(&plan, open)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::new(Class::Timeout, "no answer within the time limit")),
    };
    stats.request(Mode::H2, due, &outcome);
}

async fn exchange(plan: &Plan, open: SendRequest<Bytes>) -> Result<Answer, Failure> {
    let mut open = open.ready().await.map_err(|e| classify(&e))?;
    let request = Request::builder()
        .method(if plan.post.is_some() { "POST" } else { "GET" })
        .uri(format!("https://{}{}", plan.authority, plan.path()))
        .body(())
        .map_err(|e| Failure::new(Class::Protocol, e.to_string()))?;
    let (response, mut body) = open.send_request(request, plan.post.is_none()).map_err(|e| classify(&e))?;
    drop(open);
    if let Some(n) = plan.post {
        body.send_data(Bytes::from(vec![b'x'; n]), true).map_err(|e| classify(&e))?;
    }
    let response = response.await.map_err(|e| classify(&e))?;
    let status = response.status().as_u16();
    let label = plan
        .count_header
        .as_deref()
        .and_then(|name| response.headers().get(name))
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut body = response.into_body();
    while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
        let data = data.map_err(|e| classify(&e))?;
        body.flow_control().release_capacity(data.len()).map_err(|e| classify(&e))?;
    }
    Ok(Answer { status, label })
}

fn classify(err: &h2::Error) -> Failure {
    if let Some(io) = err.get_io() {
        return Failure::io(io);
    }
    let class = if err.is_go_away() {
        // The library fails exactly the streams above the GOAWAY's last stream id with it, and those that
        // were not written yet.
        Class::GoawayUnprocessed
    } else if err.is_reset() && err.reason() == Some(h2::Reason::REFUSED_STREAM) {
        Class::RefusedStream
    } else if err.is_reset() {
        Class::Reset
    } else {
        Class::Protocol
    };
    Failure::new(class, err.to_string())
}
