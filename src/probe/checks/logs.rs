//! Logs: kept where they can be read, and not for ever.

use std::time::Duration;

use tokio::time::sleep;

use crate::model::finding::Finding;
use crate::model::inspected::Inspected;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::inside::Inside;

use Judged::{Fail, Pass, Unsure, Warn};

pub(in crate::probe) const LOG_1: Check = Check {
    id: "LOG-1",
    family: Family::Logs,
    title: "log rotation",
    question: "Where do the containers' logs go, and does the engine throw old ones away? Asked of the engine \
               (HostConfig.LogConfig); its own default never does.",
    pass: "driver `local`, or `json-file` with max-size and max-file; other drivers keep logs elsewhere",
    source: "docs.docker.com logging configuration",
    severity: Severity::High,
    remedy: "run `stackctl up`: containers it makes keep 5 files of 10 MB",
};

pub(in crate::probe) const LOG_2: Check = Check {
    id: "LOG-2",
    family: Family::Logs,
    title: "access log",
    question: "Does the front door write one JSON object a request, with the fields that are asked for when something \
               goes wrong? Its last 50 lines are read.",
    pass: "every line of a request is JSON with time, status, seconds, upstream and request_id",
    source: "stack.toml: the log format stackctl renders",
    severity: Severity::Medium,
    remedy: "a template override has another `log_format`; run `stackctl up` to render it again",
};

/// Fields every line must have.
const FIELDS: [&str; 5] = ["time", "status", "seconds", "upstream", "request_id"];

/// How many lines are read.
const LINES: usize = 50;

/// Looks at a log that has no request in it, before the last.
const LOOKS: u32 = 5;

/// Time between them.
const AGAIN: Duration = Duration::from_millis(300);

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    let project = context.stack.project.as_str();
    let seen = match context.containers().await {
        Ok(seen) => seen,
        Err(why) => return super::all_are(&[&LOG_1, &LOG_2], project, None, &why.into()),
    };
    // One container of ours writes nothing and has no service.
    let counted = seen.iter().filter(|c| c.number > 0);
    let mut findings = vec![super::of_containers(context, &LOG_1, counted, rotation)];
    let Some(proxy) = &context.stack.proxy else {
        findings.extend(super::none_apply(&[&LOG_2], project, None, super::NO_PROXY));
        return findings;
    };
    let question = LOG_2.about("front door").line(proxy.line).from("engine");
    let door = seen.iter().find(|c| c.service == "proxy" && c.number > 0);
    // Health and all else that is asked before fills the log.
    context.awake().await;
    findings.push(match (door, context.inside()) {
        (Some(door), Ok(inside)) => question.judged(logged(inside, &door.name).await),
        (None, _) => question.judged(Unsure("its container is not there".to_owned())),
        (_, Err(why)) => question.judged(why),
    });
    findings
}

/// The engine takes a moment to write down what Nginx has said.
async fn logged(inside: &dyn Inside, door: &str) -> Judged {
    for _ in 0..LOOKS {
        match inside.log(door, LINES).await.map(|lines| access(&lines)) {
            Ok(Unsure(_)) => sleep(AGAIN).await,
            Ok(judged) => return judged,
            Err(why) => return Unsure(why),
        }
    }
    inside.log(door, LINES).await.map_or_else(Unsure, |lines| access(&lines))
}

fn rotation(container: &Inspected) -> Judged {
    let has = |name: &str| container.log_options.get(name).is_some_and(|value| !value.is_empty() && value != "-1");
    match container.log_driver.as_str() {
        "local" => Pass("local".to_owned()),
        "json-file" if has("max-size") && has("max-file") => {
            let of = |name: &str| container.log_options.get(name).cloned().unwrap_or_default();
            Pass(format!("{} files of {}", of("max-file"), of("max-size")))
        }
        "json-file" => Fail("json-file without max-size and max-file grows until the disk is full".to_owned()),
        "none" => Fail("nothing is kept".to_owned()),
        "" => Unsure("the engine names no driver".to_owned()),
        other => Warn(format!("`{other}`: kept elsewhere, where this cannot look")),
    }
}

fn access(lines: &[String]) -> Judged {
    // What Nginx itself has to say is not JSON: `2026/11/20 12:48:38 [warn] …`.
    let is_word = |line: &&String| {
        let mut words = line.split_whitespace().skip(2);
        words.next().is_some_and(|level| level.starts_with('[') && level.ends_with(']'))
    };
    let requests: Vec<&String> = lines.iter().filter(|l| !l.trim().is_empty() && !is_word(l)).collect();
    let Some(last) = requests.last() else {
        return Unsure("no request is in it yet".to_owned());
    };
    for line in &requests {
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) else {
            return Fail("a line is no JSON".to_owned());
        };
        if let Some(missing) = FIELDS.iter().find(|name| !fields.contains_key(**name)) {
            return Fail(format!("no `{missing}` in a line"));
        }
    }
    Pass(format!("{} lines of JSON, the last of {} bytes", requests.len(), last.len()))
}

#[cfg(test)]
mod tests {
    use super::super::containers::tests::seen;
    use super::*;

    #[test]
    fn a_log_without_end_fails() {
        assert!(matches!(rotation(&seen()), Pass(_)));
        let with = |driver: &str, options: &[(&str, &str)]| Inspected {
            log_driver: driver.into(),
            log_options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..seen()
        };
        assert!(matches!(rotation(&with("local", &[])), Pass(_)));
        assert!(matches!(rotation(&with("journald", &[])), Warn(_)));
        for bad in [
            with("json-file", &[]),
            with("json-file", &[("max-size", "10m")]),
            with("json-file", &[("max-size", "-1"), ("max-file", "3")]),
            with("none", &[]),
        ] {
            assert!(matches!(rotation(&bad), Fail(_)), "{bad:?}");
        }
    }

    #[test]
    fn access_logs() {
        let good = r#"{"time":"t","status":"200","seconds":0.1,"upstream":"10.83.0.2:80","request_id":"a"}"#.to_owned();
        let word = "2026/11/20 12:48:38 [warn] 7#7: *1 limiting requests".to_owned();
        assert!(matches!(access(&[good.clone(), word.clone(), String::new()]), Pass(_)));
        assert!(matches!(access(&[word]), Unsure(_)));
        let common = "127.0.0.1 - - [20/Nov/2026:12:48:38 +0000] \"GET / HTTP/1.1\" 200 2".to_owned();
        assert!(matches!(access(&[good, common]), Fail(_)));
        assert!(matches!(access(&["{\"status\":\"200\"}".to_owned()]), Fail(_)));
    }
}
