//! Other origins: whether their scripts may read what a visitor sees, and whether those may that should.

use crate::model::finding::Finding;
use crate::model::proxy::{Cors, Proxy};

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

pub(in crate::probe) const CORS_2: Check = Check {
    id: "CORS-2",
    family: Family::Traffic,
    title: "declared origins",
    question: "May scripts of the declared origins read answers, and does a preflight admit what `cors` says? Each origin \
               asks with GET and OPTIONS; a stranger's preflight is sent, too.",
    pass: "its own Access-Control-Allow-Origin (or `*`), once, with `Vary: Origin`; credentials as declared; a preflight \
           is answered 2xx with every declared method and header, a stranger's is not",
    source: "fetch.spec.whatwg.org CORS protocol; cheatsheetseries.owasp.org HTML5 security",
    severity: Severity::High,
    remedy: "run `stackctl up`; a service that sends such headers of its own is told so by CORS-1",
};

/// So many routes are asked.
const ROUTES: usize = 12;

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let Some(proxy) = &context.stack.proxy else {
        return none_apply(&[&CORS_1, &CORS_2], context.stack.project.as_str(), None, NO_PROXY);
    };
    context.awake().await;
    let mut findings = declared(context, proxy).await;
    for route in proxy.routes.iter().filter(|r| !r.websocket).take(ROUTES) {
        let question = CORS_1.about(context.url(proxy, &route.path)).line(route.line);
        let mut seen = Vec::new();
        for origin in [format!("https://{}.invalid", text::nonce()), "null".to_owned()] {
            seen.push(ask(context, proxy, &route.path, &origin).await);
        }
        let judged = Judged::worst(seen.into_iter().map(|judged| ("", judged)));
        findings.push(question.judged(judged.unwrap_or_else(|| Unsure(String::new()))));
    }
    if findings.iter().all(|finding| finding.id != CORS_1.id) {
        let why = "there are only routes for WebSockets";
        findings.extend(none_apply(&[&CORS_1], proxy.canonical(), Some(proxy.line), why));
    }
    findings
}

/// So many origins of one declaration are asked for.
const ORIGINS: usize = 4;

/// A declaration that several routes inherit is asked for on the first of them.
async fn declared(context: &Context<'_>, proxy: &Proxy) -> Vec<Finding> {
    let mut asked: Vec<u32> = Vec::new();
    let mut findings = Vec::new();
    for route in proxy.routes.iter().filter(|route| !route.websocket) {
        let Some(cors) = route.cors.as_ref().filter(|cors| !asked.contains(&cors.line)) else { continue };
        asked.push(cors.line);
        let question = CORS_2.about(context.url(proxy, &route.path)).line(cors.line);
        findings.push(question.judged(origins(context, proxy, &route.path, cors).await));
    }
    if findings.is_empty() {
        let why = "no `cors` is declared: it is left to the services";
        findings = none_apply(&[&CORS_2], proxy.canonical(), Some(proxy.line), why);
    }
    findings
}

async fn origins(context: &Context<'_>, proxy: &Proxy, path: &str, cors: &Cors) -> Judged {
    let any = cors.origins.iter().any(|origin| origin == "*");
    let door = match context.front(proxy) {
        Ok(door) => door,
        Err(error) => return Unsure(error.to_string()),
    };
    let stranger = format!("https://{}.invalid", text::nonce());
    let method = cors.methods.first().map_or("GET", String::as_str);
    let preflight = |origin: &str| {
        let headers = [("Origin", origin.to_owned()), ("Access-Control-Request-Method", method.to_owned())];
        let door = &door;
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            context.ask(door, &Request { method: "OPTIONS", ..Request::with(path, &headers) }).await
        }
    };
    let mut seen = Vec::new();
    let named: Vec<&str> =
        if any { vec![stranger.as_str()] } else { cors.origins.iter().take(ORIGINS).map(String::as_str).collect() };
    for origin in named {
        let answers = (context.ask(&door, &Request::with(path, &[("Origin", origin)])).await, preflight(origin).await);
        let judged = match answers {
            (Ok(answer), Ok(preflight)) => admitted(&answer, &preflight, origin, cors, any),
            (Err(error), _) | (_, Err(error)) => Unsure(error.to_string()),
        };
        seen.push((origin, judged));
    }
    if !any {
        let judged = match preflight(&stranger).await {
            Ok(answer) if answer.status < 300 && answer.header("access-control-allow-origin").is_some() => {
                Fail(format!("its preflight is answered {}", answer.status))
            }
            Ok(_) => Pass("a stranger's preflight is refused".to_owned()),
            Err(error) => Unsure(error.to_string()),
        };
        seen.push(("a stranger", judged));
    }
    Judged::worst(seen).unwrap_or_else(|| Unsure("no origin is declared".to_owned()))
}

/// Whether a declared origin gets what it should: an answer and a preflight.
fn admitted(answer: &Response, preflight: &Response, origin: &str, cors: &Cors, any: bool) -> Judged {
    for (what, response) in [("an answer", answer), ("a preflight", preflight)] {
        let allowed: Vec<&str> = response.all("access-control-allow-origin").map(str::trim).collect();
        match allowed.as_slice() {
            [one] if *one == origin || (any && *one == "*") => {}
            [] if response.status >= 500 => return Unsure(format!("{what} is {}", response.status)),
            [] => return Fail(format!("{what} does not admit it")),
            [one] => return Fail(format!("{what} admits {} instead", text::clean(one))),
            many => return Fail(format!("{what} has {} headers: browsers refuse it", many.len())),
        }
        let credentials = response.header("access-control-allow-credentials").is_some_and(|v| v.trim() == "true");
        if credentials != cors.credentials {
            let which = if credentials { "with" } else { "without" };
            return Fail(format!("{what} comes {which} credentials"));
        }
    }
    if !lists(answer, "vary", "Origin") && answer.header("access-control-allow-origin") != Some("*") {
        return Fail("an answer lacks `Vary: Origin`: caches would give it to others".to_owned());
    }
    if preflight.status >= 300 {
        return Fail(format!("a preflight is answered {}", preflight.status));
    }
    for (header, wanted) in
        [("access-control-allow-methods", &cors.methods), ("access-control-allow-headers", &cors.headers)]
    {
        if let Some(missing) = wanted.iter().find(|one| !lists(preflight, header, one)) {
            return Fail(format!("a preflight does not admit {missing}"));
        }
    }
    Pass("admitted as declared".to_owned())
}

/// Whether a header that is a list holds a word.
fn lists(response: &Response, header: &str, word: &str) -> bool {
    response.all(header).flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
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

    #[test]
    fn declared_origins_get_what_is_declared() {
        const ORIGIN: &str = "https://a.example";
        let cors = Cors {
            line: 3,
            origins: vec![ORIGIN.into()],
            methods: vec!["GET".into(), "POST".into()],
            headers: vec!["Authorization".into()],
            credentials: true,
            max_age: crate::base::units::Span::seconds(60),
        };
        let right = [
            ("access-control-allow-origin", ORIGIN),
            ("access-control-allow-credentials", "true"),
            ("vary", "Accept-Encoding, Origin"),
            ("access-control-allow-methods", "GET, POST"),
            ("access-control-allow-headers", "authorization"),
        ];
        let of = |answer: &[(&str, &str)], preflight: &[(&str, &str)], status| {
            let preflight = Response { status, ..response(preflight) };
            admitted(&response(answer), &preflight, ORIGIN, &cors, false)
        };
        assert_eq!(of(&right, &right, 204), Pass("admitted as declared".into()));
        assert!(matches!(of(&right, &right, 403), Fail(_)));
        for left_out in 0..right.len() {
            let fewer: Vec<_> = right.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, h)| *h).collect();
            // An answer has the first three, a preflight all but `Vary`.
            assert_eq!(matches!(of(&fewer, &right, 204), Fail(_)), left_out < 3, "{left_out}");
            assert_eq!(matches!(of(&right, &fewer, 204), Fail(_)), left_out != 2, "{left_out}");
        }
        let broken = Response { status: 503, ..response(&[]) };
        assert!(matches!(admitted(&broken, &broken, ORIGIN, &cors, false), Unsure(_)));
        let twice = [&right[..], &right[..1]].concat();
        assert!(matches!(of(&twice, &right, 204), Fail(_)));
        let other = [("access-control-allow-origin", "https://b.example"), right[1], right[2]];
        assert!(matches!(of(&other, &right, 204), Fail(_)));
    }
}
