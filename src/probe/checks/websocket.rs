//! `WebSocket` upgrades through the front door.

use std::time::Duration;

use futures_util::future::join_all;
use ring::digest;

use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Route};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::{Connection, Door, Request, within};
use super::super::net::error::ProbeError;
use super::super::net::http::{PATIENCE, Response};
use super::super::text;
use super::{NO_PROXY, none_apply};

pub(in crate::probe) const WS_1: Check = Check {
    id: "WS-1",
    family: Family::Websocket,
    title: "WebSocket upgrade",
    question: "Is an upgrade on each route with `websocket = true` passed on and accepted?",
    pass: "101, and the accept key that belongs to the key sent",
    source: "RFC 6455 §1.3",
    severity: Severity::High,
    remedy: "pass `Upgrade` and `Connection` on to the service, and let it speak WebSocket at the path of the route",
};

pub(in crate::probe) const WS_2: Check = Check {
    id: "WS-2",
    family: Family::Websocket,
    title: "WebSocket both ways",
    question: "Do frames pass the front door in both directions after the upgrade? A ping is sent; every endpoint must \
               answer it with a pong.",
    pass: "a pong with what was sent, or another frame, within 5 s",
    source: "RFC 6455 §5.5.2, §5.5.3",
    severity: Severity::High,
    remedy: "set `timeout` of the route to as long as a client may be silent; look at the log of the service",
};

const CHECKS: [&Check; 2] = [&WS_1, &WS_2];

/// Longest wait for the pong.
const PONG: Duration = Duration::from_secs(5);

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&CHECKS, context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let findings = join_all(proxy.routes.iter().filter(|r| r.websocket).map(|route| ask(context, proxy, route))).await;
    let findings: Vec<Finding> = findings.into_iter().flatten().collect();
    if findings.is_empty() {
        return none_apply(&CHECKS, proxy.canonical(), Some(proxy.line), "no route has `websocket = true`");
    }
    findings
}

async fn ask(context: &Context<'_>, proxy: &Proxy, route: &Route) -> Vec<Finding> {
    let about = |check: &'static Check| check.about(context.url(proxy, &route.path)).line(route.line);
    let key = text::base64(&text::random::<16>());
    let opened = match context.front(proxy) {
        Ok(door) => {
            context.count(&route.path, 1);
            upgrade(&door, &route.path, &key).await
        }
        Err(error) => Err(error),
    };
    let (response, connection, rest) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return vec![about(&WS_1).unsure(error.to_string()), about(&WS_2).not_applicable("there is no upgrade")];
        }
    };
    let upgraded = match response.status {
        101 if response.header("sec-websocket-accept") == Some(&accept(&key)) => Judged::Pass("101, right key".into()),
        101 => Judged::Fail("101, but the accept key is wrong".into()),
        401 | 403 => Judged::Unsure(format!("{}: it wants to know who asks", response.status)),
        404 => Judged::Unsure("404: nothing speaks WebSocket at exactly the path of the route".into()),
        429 => Judged::Unsure("429: the limit of the route is used up".into()),
        status => Judged::Fail(format!("{status} instead of 101")),
    };
    let both_ways = match upgraded {
        Judged::Pass(_) => ping(connection, rest).await,
        _ => Judged::Skip("there is no upgrade".into()),
    };
    vec![about(&WS_1).judged(upgraded), about(&WS_2).judged(both_ways)]
}

async fn upgrade(door: &Door, path: &str, key: &str) -> Result<(Response, Connection, Vec<u8>), ProbeError> {
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ];
    let head = door.head(&Request::with(path, &headers))?;
    within(PATIENCE, async {
        let mut connection = door.open().await?;
        connection.send(&head).await?;
        let (response, rest) = connection.upgraded().await?;
        Ok((response, connection, rest))
    })
    .await
}

/// A ping, masked as clients must (RFC 6455 §5.3), and then a close.
async fn ping(mut connection: Connection, mut received: Vec<u8>) -> Judged {
    let payload = text::random::<8>();
    let mask = text::random::<4>();
    let mut frame = vec![0x89, 0x88];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    let answer = within(PONG, async {
        connection.send(&frame).await?;
        loop {
            if let Some(judged) = pong(&received, &payload) {
                return Ok(judged);
            }
            let more = connection.more().await?;
            if more.is_empty() || received.len() > MOST {
                return Err(ProbeError::Closed);
            }
            received.extend(more);
        }
    })
    .await;
    // 1000, "normal closure": whoever is there need not wait for us.
    let _ = connection.send(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]).await;
    match answer {
        Ok(judged) => judged,
        Err(ProbeError::Timeout(seconds)) => Judged::Fail(format!("no frame within {seconds} s of a ping")),
        Err(ProbeError::Closed) => Judged::Fail("closed after a ping".into()),
        Err(error) => Judged::Unsure(error.to_string()),
    }
}

/// Most bytes of other frames before the pong.
const MOST: usize = 64 << 10;

/// Looks through the frames for the pong; `None` if more is needed.
fn pong(received: &[u8], payload: &[u8]) -> Option<Judged> {
    let mut rest = received;
    let mut others = 0;
    while let [first, second, ..] = rest {
        let (start, length) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]))),
            127 => return Some(Judged::Pass("a large frame came".into())),
            short => (2, usize::from(short)),
        };
        let Some(body) = rest.get(start..start + length) else { break };
        match first & 0x0f {
            0xa if body == payload => return Some(Judged::Pass("pong".into())),
            0xa => return Some(Judged::Fail("a pong with something else in it".into())),
            0x8 => return Some(Judged::Fail("the other side closed after a ping".into())),
            0x0..=0x2 | 0x9 => others += 1,
            other => return Some(Judged::Fail(format!("a frame of unknown kind {other}"))),
        }
        rest = &rest[start + length..];
    }
    // A chatty service may send much before the pong: what came shows that the way is open.
    (others >= 8).then(|| Judged::Pass("frames come".into()))
}

/// The accept key of a key (RFC 6455 §4.2.2).
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    text::base64(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_vector_of_the_rfc() {
        assert_eq!(super::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
    #[test]
    fn frames_are_taken_apart() {
        use super::{Judged, pong};
        let pass = |bytes: &[u8]| matches!(pong(bytes, b"abc"), Some(Judged::Pass(_)));
        assert!(pass(b"\x8a\x03abc"));
        assert!(pass(b"\x81\x02hi\x8a\x03abc"), "after a greeting");
        assert!(matches!(pong(b"\x8a\x03abd", b"abc"), Some(Judged::Fail(_))));
        assert!(matches!(pong(b"\x88\x00", b"abc"), Some(Judged::Fail(_))));
        assert!(matches!(pong(b"\x8f\x00", b"abc"), Some(Judged::Fail(_))));
        for cut in 0..5 {
            assert_eq!(pong(&b"\x8a\x03abc"[..cut], b"abc"), None, "{cut}");
        }
    }
}
