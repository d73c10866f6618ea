//! How much a visitor may send.

use crate::base::units::ByteSize;
use crate::model::finding::Finding;
use crate::model::proxy::{Proxy, Route};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::{Request, within};
use super::super::net::error::ProbeError;
use super::super::net::http::PATIENCE;
use super::super::text;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Skip, Unsure};

pub(in crate::probe) const BODY_1: Check = Check {
    id: "BODY-1",
    family: Family::Traffic,
    title: "size of uploads",
    question: "Is a body of the declared size admitted, and a larger one refused? A POST announces its length \
               (`Expect: 100-continue`) and sends nothing: the app never sees it. (Declared timeouts are not waited \
               for: whether the front door has the files that name them is DRF-1.)",
    pass: "100 (or anything but 413) for `max_body`, 413 for one byte more",
    source: "nginx client_max_body_size; RFC 9110 §15.5.14",
    severity: Severity::Medium,
    remedy: "set `max_body` of the route to what people send, and run `stackctl up`",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&BODY_1], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    // One route for each size: the same directive does the work for all of them.
    let mut asked: Vec<&Route> = Vec::new();
    for route in proxy.routes.iter().filter(|r| !r.websocket) {
        if !asked.iter().any(|other| other.max_body == route.max_body) {
            asked.push(route);
        }
    }
    let mut findings = Vec::new();
    for route in asked {
        let separator = if route.path.ends_with('/') { "" } else { "/" };
        let path = format!("{}{separator}{}", route.path, text::nonce());
        let question = BODY_1.about(context.url(proxy, &route.path)).line(route.line);
        let question = question.expect(format!("{} admitted, more refused with 413", route.max_body));
        findings.push(question.judged(ask(context, proxy, &path, route.max_body).await));
    }
    if findings.is_empty() {
        findings = none_apply(&[&BODY_1], proxy.canonical(), Some(proxy.line), "there are only routes for WebSockets");
    }
    findings
}

async fn ask(context: &Context<'_>, proxy: &Proxy, path: &str, most: ByteSize) -> Judged {
    if most.0 == 0 {
        return Skip("any size is admitted".to_owned());
    }
    let within = announce(context, proxy, path, most.0).await;
    let above = announce(context, proxy, path, most.0.saturating_add(1)).await;
    match (within, above) {
        (Ok(within), Ok(above)) => judge(within, above),
        (Err(error), _) | (_, Err(error)) => Unsure(error.to_string()),
    }
}

async fn announce(context: &Context<'_>, proxy: &Proxy, path: &str, length: u64) -> Result<u16, ProbeError> {
    let door = context.front(proxy)?;
    context.count(path, 1);
    let length = length.to_string();
    let headers = [("Content-Length", length.as_str()), ("Expect", "100-continue")];
    let head = door.head(&Request { method: "POST", ..Request::with(path, &headers) })?;
    within(PATIENCE, async {
        let mut connection = door.open().await?;
        connection.send(&head).await?;
        connection.first_status().await
    })
    .await
}

fn judge(within: u16, above: u16) -> Judged {
    let seen = format!("{within}, and {above} for one byte more");
    match (within, above) {
        (429, _) | (_, 429) => Unsure("429: the limit of the route is used up".to_owned()),
        (413, 413) => Fail(format!("{seen}: less is admitted than declared")),
        (413, _) => Fail(seen),
        (_, 413) => Pass(seen),
        (_, 100) => Fail(format!("{seen}: more is admitted than declared")),
        (_, 200..=399) => Fail(format!("{seen}: the size does not matter")),
        // Whoever refuses for another reason refuses before the size is looked at.
        _ => Unsure(format!("{seen}: refused for another reason")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert!(matches!(judge(100, 413), Pass(_)));
        assert!(matches!(judge(404, 413), Pass(_)));
        for (within, above) in [(413, 413), (413, 100), (100, 100), (200, 200)] {
            assert!(matches!(judge(within, above), Fail(_)), "{within} {above}");
        }
        for (within, above) in [(429, 413), (403, 403), (404, 404), (502, 502)] {
            assert!(matches!(judge(within, above), Unsure(_)), "{within} {above}");
        }
    }
}
