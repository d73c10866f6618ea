//! `WebSocket` upgrades through the front door.

use futures_util::future::join_all;
use ring::digest;

use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Route};

use super::super::check::{Check, Family, Severity};
use super::super::context::Context;
use super::super::net::client::Request;
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

pub(super) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&WS_1], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let findings = join_all(proxy.routes.iter().filter(|r| r.websocket).map(|route| ask(context, proxy, route))).await;
    if findings.is_empty() {
        return none_apply(&[&WS_1], proxy.canonical(), Some(proxy.line), "no route has `websocket = true`");
    }
    findings
}

async fn ask(context: &Context<'_>, proxy: &Proxy, route: &Route) -> Finding {
    let question = WS_1.about(context.url(proxy, &route.path)).line(route.line);
    let key = text::base64(&text::random::<16>());
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key.as_str()),
    ];
    let response = match context.front(proxy) {
        Ok(door) => {
            context.count(1);
            door.get(&Request { path: &route.path, headers: &headers }).await
        }
        Err(error) => Err(error),
    };
    match response {
        Err(error) => question.unsure(error.to_string()),
        Ok(response) => match response.status {
            101 if response.header("sec-websocket-accept") == Some(&accept(&key)) => question.pass("101, right key"),
            101 => question.fail("101, but the accept key is wrong"),
            401 | 403 => question.unsure(format!("{}: it wants to know who asks", response.status)),
            404 => question.unsure("404: nothing speaks WebSocket at exactly the path of the route"),
            429 => question.unsure("429: the limit of the route is used up"),
            status => question.fail(format!("{status} instead of 101")),
        },
    }
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
}
