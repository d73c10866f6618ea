//! Other origins: whether their scripts may read what a visitor sees.

use crate::model::finding::Finding;
use crate::model::proxy::Proxy;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::Request;
use super::super::net::http::Response;
use super::super::text;
use super::{NO_PROXY, none_apply};

use Judged::{Fail, Pass, Unsure, Warn};

pub(in crate::probe) const CORS_1: Check = Check {
    id: "CORS-1",
    family: Family::Traffic,
    title: "strange origins",
    question: "May scripts of an origin nobody has heard of read answers? Each route is asked with such an `Origin`, \
               and with `null`.",
    pass: "no Access-Control-Allow-Origin for it; `*` without credentials is a warning; one that repeats any origin, \
           admits `null`, or comes twice, fails",
    source: "fetch.spec.whatwg.org CORS protocol; mdn/mdn-http-observatory cross-origin resource sharing (−50)",
    severity: Severity::High,
    remedy: "name the origins that may: a list in the app, or at the front door, never in both",
};

/// So many routes are asked.
const ROUTES: usize = 12;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&CORS_1], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let mut findings = Vec::new();
    for route in proxy.routes.iter().filter(|r| !r.websocket).take(ROUTES) {
        let question = CORS_1.about(context.url(proxy, &route.path)).line(route.line);
        let mut seen = Vec::new();
        for origin in [format!("https://{}.invalid", text::nonce()), "null".to_owned()] {
            seen.push(ask(context, proxy, &route.path, &origin).await);
        }
        let judged = Judged::worst(seen.into_iter().map(|judged| ("", judged)));
        findings.push(question.judged(judged.unwrap_or_else(|| Unsure(String::new()))));
    }
    if findings.is_empty() {
        findings = none_apply(&[&CORS_1], proxy.canonical(), Some(proxy.line), "there are only routes for WebSockets");
    }
    findings
}

async fn ask(context: &Context<'_>, proxy: &Proxy, path: &str, origin: &str) -> Judged {
    let door = match context.front(proxy) {
        Ok(door) => door,
        Err(error) => return Unsure(error.to_string()),
    };
    match context.ask(&door, &Request::with(path, &[("Origin", origin)])).await {
        Ok(response) => judge(&response, origin),
        Err(error) => Unsure(error.to_string()),
    }
}

fn judge(response: &Response, origin: &str) -> Judged {
    let allowed: Vec<&str> = response.all("access-control-allow-origin").map(str::trim).collect();
    let credentials = response.header("access-control-allow-credentials").is_some_and(|v| v.trim() == "true");
    let who = if origin == "null" { "`null`, which any page can be" } else { "any origin" };
    match allowed.as_slice() {
        [] => Pass("none is admitted".to_owned()),
        ["*"] if credentials => Fail("`*` with credentials: browsers refuse it".to_owned()),
        ["*"] => Warn("`*`: every site may read what is public here".to_owned()),
        [one] if *one == origin && credentials => Fail(format!("{who} is admitted, with credentials")),
        [one] if *one == origin => Fail(format!("{who} is admitted")),
        [one] => Pass(format!("only {one}")),
        many => Fail(format!("{} headers: browsers refuse it; app and front door both send one", many.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Response { status: 200, headers, body: vec![], elapsed: std::time::Duration::ZERO }
    }

    #[test]
    fn origins() {
        const ALLOW: &str = "access-control-allow-origin";
        const CREDENTIALS: (&str, &str) = ("access-control-allow-credentials", "true");
        let strange = "https://x.invalid";
        assert!(matches!(judge(&response(&[]), strange), Pass(_)));
        assert!(matches!(judge(&response(&[(ALLOW, "https://a.example")]), strange), Pass(_)));
        assert!(matches!(judge(&response(&[(ALLOW, "*")]), strange), Warn(_)));
        for bad in [
            vec![(ALLOW, strange)],
            vec![(ALLOW, strange), CREDENTIALS],
            vec![(ALLOW, "*"), CREDENTIALS],
            vec![(ALLOW, "https://a.example"), (ALLOW, "https://a.example")],
        ] {
            assert!(matches!(judge(&response(&bad), strange), Fail(_)), "{bad:?}");
        }
        assert!(matches!(judge(&response(&[(ALLOW, "null")]), "null"), Fail(_)));
    }
}
