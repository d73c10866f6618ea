//! Where visitors are sent.

use futures_util::future::join_all;

use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Question, Severity};
use super::super::context::Context;
use super::super::net::client::Door;
use super::super::text;
use super::{NO_PROXY, none_apply};

pub(in crate::probe) const RED_1: Check = Check {
    id: "RED-1",
    family: Family::Headers,
    title: "plain HTTP leads to HTTPS",
    question: "Where does plain HTTP lead, for each domain? GET with a path and a query.",
    pass: "301 or 308 to https, the same host (or the first domain), path and query kept",
    source: "mdn/mdn-http-observatory redirection: off-host −5, first hop http −10, none −20",
    severity: Severity::High,
    remedy: "let the plain server answer `return 308 https://$host$request_uri;`",
};

pub(in crate::probe) const RED_2: Check = Check {
    id: "RED-2",
    family: Family::Headers,
    title: "other domains lead to the first",
    question: "Where do the other domains lead over the stack's own scheme?",
    pass: "301 or 308 to the first domain, path and query kept",
    source: "stack.toml: the others redirect to the first",
    severity: Severity::Medium,
    remedy: "run `stackctl up`; if this stays, a template override has lost the redirect",
};

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&RED_1, &RED_2], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let canonical = context.authority(proxy.canonical(), proxy.https());
    let unknown = context.options.site && context.target.http.is_none();
    let mut findings = if unknown {
        let why = "the URL names a port of its own: where plain HTTP is answered is not known";
        none_apply(&[&RED_1], &canonical, None, why)
    } else if proxy.https() {
        join_all(proxy.domains.iter().map(|domain| to_https(context, proxy, domain.as_str()))).await
    } else {
        none_apply(&[&RED_1], &canonical, Some(proxy.tls_line), "TLS is off in stack.toml")
    };
    let others = proxy.domains.iter().skip(1).map(|domain| to_first(context, proxy, domain.as_str()));
    let others = join_all(others).await;
    if others.is_empty() {
        findings.extend(none_apply(&[&RED_2], &canonical, Some(proxy.domains_line), "there is one domain only"));
    }
    findings.extend(others);
    findings
}

async fn to_https(context: &Context<'_>, proxy: &Proxy, name: &str) -> Finding {
    let path = format!("/{}?q=1", text::nonce());
    let question = RED_1.about(format!("http://{}", context.authority(name, false))).line(proxy.tls_line);
    let targets = [name, proxy.canonical()].map(|host| format!("https://{}{path}", context.authority(host, true)));
    leads(context, question, context.http_door(name).map_err(|e| e.to_string()), &path, &targets).await
}

async fn to_first(context: &Context<'_>, proxy: &Proxy, name: &str) -> Finding {
    let path = format!("/{}?q=1", text::nonce());
    let scheme = if proxy.https() { "https" } else { "http" };
    let door = if proxy.https() { context.https_door(name) } else { context.http_door(name) };
    let question =
        RED_2.about(format!("{scheme}://{}", context.authority(name, proxy.https()))).line(proxy.domains_line);
    let target = context.url(proxy, &path);
    leads(context, question, door.map_err(|e| e.to_string()), &path, &[target]).await
}

async fn leads(
    context: &Context<'_>,
    question: Question,
    door: Result<Door, String>,
    path: &str,
    targets: &[String],
) -> Finding {
    let response = match door {
        Ok(door) => context.get(&door, path).await.map_err(|e| e.to_string()),
        Err(why) => Err(why),
    };
    let response = match response {
        Ok(response) => response,
        Err(why) => return question.unsure(why),
    };
    let location = response.header("location").unwrap_or("nowhere");
    let seen = format!("{} to {location}", response.status);
    match response.status {
        300..=399 if !targets.iter().any(|target| target == location) => question.fail(seen),
        301 | 308 => question.pass(seen),
        302 | 303 | 307 => question.warn(format!("{seen}, which browsers do not remember")),
        status => question.fail(format!("{status}, no redirect")),
    }
}
