//! The user's own checks.

use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::base::name::ServiceName;
use crate::model::checklist::{Bounds, OwnAsk, OwnCheck, OwnRequest};
use crate::model::finding::Finding;
use crate::model::service::{Ask, Health, Preset};

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::net::client::Request;
use super::super::net::http::Response;
use super::super::text::clean;
use super::{NO_PROXY, none_apply, prometheus};

use Judged::{Fail, Pass, Skip, Unsure};

const fn own(id: &'static str, title: &'static str, question: &'static str, pass: &'static str) -> Check {
    Check {
        id,
        family: Family::Own,
        title,
        question,
        pass,
        source: "stack.toml: [checks]",
        severity: Severity::High,
        remedy: "what was seen is not what the check in stack.toml asks for",
    }
}

pub(in crate::probe) const OWN_1: Check = own(
    "OWN-1",
    "own check: request",
    "Does the front door answer a request of yours as you say? Tried until the deadline.",
    "status, text, JSON values and time as declared",
);
pub(in crate::probe) const OWN_2: Check = own(
    "OWN-2",
    "own check: connection",
    "Does a port of yours accept a connection? Asked from where verify runs.",
    "a connection within the declared time",
);
pub(in crate::probe) const OWN_3: Check = own(
    "OWN-3",
    "own check: command",
    "Does a command of yours succeed in a running container?",
    "exit code 0 within the declared time",
);
pub(in crate::probe) const OWN_4: Check = own(
    "OWN-4",
    "own check: SQL",
    "What does a query of yours give? `psql` in the container of the database, read-only.",
    "the first value is a number within the bounds",
);
pub(in crate::probe) const OWN_5: Check = own(
    "OWN-5",
    "own check: PromQL",
    "What does a query of yours give in Prometheus?",
    "at least one value, all within the bounds",
);

const ALL: [&Check; 5] = [&OWN_1, &OWN_2, &OWN_3, &OWN_4, &OWN_5];

/// Time between two tries of a request.
const AGAIN: Duration = Duration::from_secs(1);

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let own = &context.stack.checklist.own;
    if own.is_empty() {
        return none_apply(&ALL, context.stack.project.as_str(), None, "stack.toml has no [checks]");
    }
    context.awake().await;
    let mut findings = Vec::new();
    // One after the other: they may depend on what those before have done.
    for check in own {
        findings.push(one(context, check).await);
    }
    findings
}

async fn one(context: &Context<'_>, own: &OwnCheck) -> Finding {
    let about = |check: &'static Check| check.about(&own.name).line(own.line);
    match &own.ask {
        OwnAsk::Http(request) => about(&OWN_1).judged(http(context, own, request).await),
        OwnAsk::Tcp(target) => about(&OWN_2).judged(tcp(target, own.within.0).await),
        OwnAsk::Command { service, argv } => {
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            let question = about(&OWN_3).from("container");
            question.judged(match command(context, service, &argv, own.within.0).await {
                Ok((0, _)) => Pass("exit code 0".to_owned()),
                Ok((code, output)) => Fail(format!("exit code {code}: {}", clean(last_line(&output)))),
                Err(why) => why,
            })
        }
        OwnAsk::Sql { service, query, bounds } => {
            about(&OWN_4).from("container").judged(sql(context, service, query, *bounds, own.within.0).await)
        }
        OwnAsk::Promql { query, bounds } => {
            about(&OWN_5).from("engine network").judged(promql(context, query, *bounds).await)
        }
    }
}

async fn http(context: &Context<'_>, own: &OwnCheck, request: &OwnRequest) -> Judged {
    let Some(proxy) = &context.stack.proxy else { return Skip(NO_PROXY.to_owned()) };
    let door = match context.front(proxy) {
        Ok(door) => door,
        Err(error) => return Unsure(error.to_string()),
    };
    let headers: Vec<(&str, &str)> = request.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let wire = Request { method: &request.method, path: &request.path, headers: &headers, body: &request.body };
    loop {
        let judged = match context.ask(&door, &wire).await {
            Ok(response) => judge(&response, request, own.within.0),
            Err(error) => Fail(error.to_string()),
        };
        // What changes something is not done twice.
        let harmless = matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        let late = context.started.elapsed() + AGAIN > context.options.deadline || context.options.quick;
        if matches!(judged, Pass(_)) || !harmless || late {
            return judged;
        }
        context.waits.sleep(&format!("{}, until the answer is as declared (OWN-1)", own.name), AGAIN).await;
    }
}

fn judge(response: &Response, request: &OwnRequest, within: Duration) -> Judged {
    let status = response.status;
    match request.status {
        Some(wanted) if status != wanted => return Fail(format!("{status} instead of {wanted}")),
        None if !(200..300).contains(&status) => return Fail(status.to_string()),
        _ => {}
    }
    let body = String::from_utf8_lossy(&response.body);
    if let Some(text) = request.contains.as_ref().filter(|text| !body.contains(text.as_str())) {
        return Fail(format!("{status}, but `{text}` is not in the body"));
    }
    if !request.json.is_empty() {
        let Ok(document) = serde_json::from_str::<Value>(&body) else {
            return Fail(format!("{status}, but the body is no JSON"));
        };
        for (path, wanted) in &request.json {
            match at(&document, path) {
                Some(value) if value == *wanted => {}
                Some(value) => return Fail(format!("`{path}` is `{}` instead of `{wanted}`", clean(value))),
                None => return Fail(format!("there is no `{path}` in the body")),
            }
        }
    }
    let took = response.elapsed;
    let seen = format!("{status} in {} ms", took.as_millis());
    if took > within { Fail(format!("{seen}, more than {} ms", within.as_millis())) } else { Pass(seen) }
}

/// The value at `items.0.name`, as text.
fn at(document: &Value, path: &str) -> Option<String> {
    let mut value = document;
    for part in path.split('.') {
        value = match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

async fn tcp(target: &str, within: Duration) -> Judged {
    let begin = Instant::now();
    match timeout(within, TcpStream::connect(target)).await {
        Ok(Ok(_)) => Pass(format!("connected in {} ms", begin.elapsed().as_millis())),
        Ok(Err(error)) => Fail(error.to_string()),
        Err(_) => Fail(format!("no answer within {} ms", within.as_millis())),
    }
}

fn last_line(output: &str) -> &str {
    output.trim().lines().last().unwrap_or("it printed nothing")
}

async fn command(
    context: &Context<'_>,
    service: &ServiceName,
    argv: &[&str],
    within: Duration,
) -> Result<(i64, String), Judged> {
    let (seen, inside) = match (context.containers().await, context.inside()) {
        (Ok(seen), Ok(inside)) => (seen, inside),
        (Err(why), _) | (_, Err(why)) => return Err(why.into()),
    };
    let container = seen.iter().find(|c| c.service == service.as_str() && c.number > 0 && c.running);
    let Some(container) = container else { return Err(Fail(format!("no container of {service} runs"))) };
    match timeout(within, inside.run(&container.name, argv)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(why)) => Err(Fail(why)),
        Err(_) => Err(Fail(format!("not done within {} ms", within.as_millis()))),
    }
}

async fn sql(context: &Context<'_>, service: &ServiceName, query: &str, bounds: Bounds, within: Duration) -> Judged {
    let health = context.stack.services.get(service).and_then(|s| s.health.as_ref());
    let Some(Health { ask: Ask::Postgres { user, database }, .. }) = health else {
        return Skip("its health check names no role and database".to_owned());
    };
    let query = format!("set default_transaction_read_only = on; {query}");
    let argv =
        ["psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database, "-c", &query];
    match command(context, service, &argv, within).await {
        Ok((0, output)) => number(output.trim().lines().next().unwrap_or(""), bounds),
        Ok((code, output)) => Fail(format!("psql exited with {code}: {}", clean(last_line(&output)))),
        Err(why) => why,
    }
}

fn number(text: &str, bounds: Bounds) -> Judged {
    let first = text.split('|').next().unwrap_or("").trim();
    let Ok(value) = first.parse::<f64>() else { return Fail(format!("`{}` is no number", clean(first))) };
    let low = bounds.least.is_some_and(|least| value < least);
    let high = bounds.most.is_some_and(|most| value > most);
    // Not a number is in no bounds.
    if low || high || value.is_nan() { Fail(format!("{first}, {}", words(bounds))) } else { Pass(first.to_owned()) }
}

fn words(bounds: Bounds) -> String {
    match (bounds.least, bounds.most) {
        (Some(least), Some(most)) => format!("allowed: {least} to {most}"),
        (Some(least), None) => format!("allowed: at least {least}"),
        (None, Some(most)) => format!("allowed: at most {most}"),
        (None, None) => "any is allowed".to_owned(),
    }
}

async fn promql(context: &Context<'_>, query: &str, bounds: Bounds) -> Judged {
    let Some(service) = context.stack.services.values().find(|s| s.preset == Some(Preset::Prometheus)) else {
        return Skip("the stack has no Prometheus".to_owned());
    };
    let at = match prometheus::socket(context, service) {
        Ok(at) => at,
        Err(why) => return why,
    };
    let path = format!("/api/v1/query?query={}", crate::model::secrets::percent_encode(query));
    match prometheus::api(at, &path).await {
        Ok(data) => values(&data, bounds),
        Err(why) => Fail(why),
    }
}

/// A vector has `value: [time, "number"]` in each element, a scalar is one.
fn values(data: &Value, bounds: Bounds) -> Judged {
    let found: Vec<&str> = match data.get("resultType").and_then(Value::as_str) {
        Some("scalar") => data["result"].get(1).and_then(Value::as_str).into_iter().collect(),
        Some("vector") => {
            let elements = data["result"].as_array().map_or(&[][..], Vec::as_slice);
            elements.iter().filter_map(|element| element["value"].get(1)?.as_str()).collect()
        }
        _ => return Fail("the query gives no numbers of one moment".to_owned()),
    };
    if found.is_empty() {
        return Fail("the query finds nothing".to_owned());
    }
    Judged::worst(found.into_iter().map(|value| ("", number(value, bounds)))).unwrap_or_else(|| Unsure(String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn response(status: u16, body: &str, millis: u64) -> Response {
        Response { status, headers: vec![], body: body.into(), elapsed: Duration::from_millis(millis) }
    }

    fn request() -> OwnRequest {
        OwnRequest {
            method: "GET".into(),
            path: "/".into(),
            headers: [].into(),
            body: String::new(),
            status: None,
            contains: Some("ok".into()),
            json: [("items.0.name".to_owned(), "ok".to_owned()), ("n".to_owned(), "7".to_owned())].into(),
        }
    }

    #[test]
    fn answers_are_compared() {
        let good = r#"{"items":[{"name":"ok"}],"n":7}"#;
        let of =
            |status, body: &str, millis| judge(&response(status, body, millis), &request(), Duration::from_millis(500));
        assert!(matches!(of(200, good, 10), Pass(_)));
        for (status, body, millis) in [
            (500, good, 10),
            (200, good, 501),
            (200, "ok", 10),
            (200, r#"{"items":[],"n":7,"x":"ok"}"#, 10),
            (200, r#"{"items":[{"name":"ok"}],"n":8}"#, 10),
            (200, r#"{"items":[{"name":"no"}],"n":7}"#, 10),
        ] {
            assert!(matches!(of(status, body, millis), Fail(_)), "{status} {body}");
        }
        let exactly = OwnRequest { status: Some(404), contains: None, json: [].into(), ..request() };
        assert!(matches!(judge(&response(404, "", 1), &exactly, Duration::from_secs(1)), Pass(_)));
        assert!(matches!(judge(&response(200, "", 1), &exactly, Duration::from_secs(1)), Fail(_)));
    }

    #[test]
    fn numbers_and_their_bounds() {
        let bounds = Bounds { least: Some(1.0), most: Some(50.0) };
        for good in ["1", "50", "7.5", " 3|4 "] {
            assert!(matches!(number(good, bounds), Pass(_)), "{good}");
        }
        for bad in ["0", "51", "", "x", "NaN"] {
            assert!(matches!(number(bad, bounds), Fail(_)), "{bad}");
        }
        let vector = |values: &[&str]| {
            let result: Vec<Value> = values.iter().map(|v| json!({ "value": [0, v] })).collect();
            json!({ "resultType": "vector", "result": result })
        };
        assert!(matches!(values(&vector(&["1", "2"]), bounds), Pass(_)));
        assert!(matches!(values(&vector(&["1", "99"]), bounds), Fail(_)));
        assert!(matches!(values(&vector(&[]), bounds), Fail(_)));
        assert!(matches!(values(&json!({ "resultType": "scalar", "result": [0, "3"] }), bounds), Pass(_)));
        assert!(matches!(values(&json!({}), bounds), Fail(_)));
    }

    #[expect(clippy::expect_used, reason = "a test that panics has failed")]
    #[tokio::test]
    async fn a_port_that_is_closed_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("an address").to_string();
        assert!(matches!(tcp(&open, Duration::from_secs(2)).await, Pass(_)));
        drop(listener);
        assert!(matches!(tcp(&open, Duration::from_secs(2)).await, Fail(_)));
    }
}
