//! Rules of Prometheus: those that are rendered, and with something to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::Value;

use crate::model::finding::Finding;
use crate::model::service::{Preset, Service};
use crate::render::rules_of;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::text::clean;
use super::monitoring::{ROUNDS, young};
use super::prometheus::{api, list, socket, word};
use super::promql::{Metric, canonical, metrics};
use super::{all_are, none_apply};

use Judged::{Fail, Pass, Skip, Unsure, Warn};

pub(in crate::probe) const MON_6: Check = Check {
    id: "MON-6",
    family: Family::Monitoring,
    title: "rules are the rendered ones",
    question: "Are the rules that Prometheus has loaded those that are rendered, expression by expression? GET /api/v1/rules.",
    pass: "the same names with the same expressions, none missing and none more",
    source: "prometheus docs/querying/api.md",
    severity: Severity::High,
    remedy: "`stackctl up` loads the rendered ones",
};

pub(in crate::probe) const MON_7: Check = Check {
    id: "MON-7",
    family: Family::Monitoring,
    title: "rules have something to look at",
    question: "Does Prometheus have the metrics that its alerts ask for? GET /api/v1/label/__name__/values, also job by job.",
    pass: "of each alert that is about one service, at least one metric is there with that job; of any other, at least one at all. What names of recorded rules stand for counts",
    source: "prometheus docs/querying/api.md; a rule without a metric never fires, which looks like health",
    severity: Severity::Low,
    remedy: "measure it in the service (client libraries of Prometheus have `process_…`, instrumentations of frameworks have HTTP requests), or know that nobody is told of this",
};

const BOTH: [&Check; 2] = [&MON_6, &MON_7];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    match context.stack.services.values().find(|s| s.preset == Some(Preset::Prometheus)) {
        Some(service) => Box::pin(of(context, service)).await,
        None => none_apply(&BOTH, context.stack.project.as_str(), None, "the stack has no Prometheus"),
    }
}

async fn of(context: &Context<'_>, service: &Service) -> Vec<Finding> {
    let name = service.name.as_str();
    let about = |check: &'static Check| check.about(name).line(service.line).from("engine network");
    let at = match socket(context, service) {
        Ok(at) => at,
        Err(why) => return all_are(&BOTH, name, Some(service.line), &why),
    };
    let loaded = match api(at, "/api/v1/rules").await {
        Ok(data) => rules_in(&data),
        Err(why) => return all_are(&BOTH, name, Some(service.line), &Unsure(why)),
    };
    let files = context.known.files.and_then(|files| files.get(&service.name));
    let same = match files {
        Some((_, files)) => {
            let rendered = files.iter().filter(|f| f.path == "rules.yml");
            same(&rendered.flat_map(|f| rules_of(f.content.expose())).collect::<Vec<_>>(), &loaded)
        }
        None => Skip("not visible from here: it needs what is rendered".to_owned()),
    };
    vec![about(&MON_6).judged(same), about(&MON_7).judged(seen_in_time(context, at, &loaded).await)]
}

/// Name and expression of each rule that is loaded.
fn rules_in(data: &Value) -> Vec<(String, String)> {
    let rules = list(data, "groups").iter().flat_map(|group| list(group, "rules"));
    rules.map(|rule| (word(rule, "name").to_owned(), word(rule, "query").to_owned())).collect()
}

/// Asks until every alert sees something or what is young was asked twice; with `--quick` once.
async fn seen_in_time(context: &Context<'_>, at: SocketAddrV4, loaded: &[(String, String)]) -> Judged {
    let young = !young(context).await.is_empty();
    loop {
        let judged = match known(at, loaded).await {
            Ok(known) => seen(loaded, &known),
            Err(why) => return Unsure(why),
        };
        match judged {
            Warn(why) | Unsure(why) if young && context.options.quick => {
                return Skip(format!("left out by --quick: {why}"));
            }
            Warn(_) | Unsure(_) if young && context.started.elapsed() < ROUNDS => {
                context.waits.sleep("Prometheus, until it has asked everybody (MON-7)", Duration::from_secs(2)).await;
            }
            judged => return judged,
        }
    }
}

/// Names and expressions, in one form.
fn same(rendered: &[(String, String)], loaded: &[(String, String)]) -> Judged {
    let count = |rules: &[(String, String)]| {
        let mut out: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (name, expression) in rules {
            *out.entry((name.clone(), canonical(expression))).or_default() += 1;
        }
        out
    };
    let (wanted, loaded) = (count(rendered), count(loaded));
    let differing = |one: &BTreeMap<(String, String), usize>, other: &BTreeMap<(String, String), usize>| {
        let names: BTreeSet<String> =
            one.iter().filter(|(rule, n)| other.get(*rule) != Some(*n)).map(|((name, _), _)| clean(name)).collect();
        names.into_iter().collect::<Vec<_>>()
    };
    let (missing, more) = (differing(&wanted, &loaded), differing(&loaded, &wanted));
    let says = |names: &[String], what: &str| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let wrong: Vec<String> =
        says(&missing, "not loaded as rendered").into_iter().chain(says(&more, "loaded and not rendered")).collect();
    if wrong.is_empty() { Pass(format!("{} rules", rendered.len())) } else { Fail(wrong.join("; ")) }
}

/// Names of metrics that Prometheus has: of all jobs (under `None`), and of each job that a rule names.
type Known = BTreeMap<Option<String>, BTreeSet<String>>;

async fn known(at: SocketAddrV4, loaded: &[(String, String)]) -> Result<Known, String> {
    let jobs: BTreeSet<Option<String>> =
        loaded.iter().flat_map(|(_, expression)| metrics(expression)).map(|metric| metric.job).collect();
    let mut out = Known::new();
    for job in jobs.into_iter().chain([None]) {
        if out.contains_key(&job) {
            continue;
        }
        // Names of services are letters, digits, `-` and `_`: nothing that a URL would need written otherwise.
        let only = job.as_ref().map(|job| format!("?match[]=%7Bjob%3D%22{job}%22%7D")).unwrap_or_default();
        let data = api(at, &format!("/api/v1/label/__name__/values{only}")).await?;
        let names = data.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        out.insert(job, names);
    }
    Ok(out)
}

/// Whether a metric is there, or what a recorded one is made of.
fn is_there(metric: &Metric, loaded: &[(String, String)], known: &Known, depth: u8) -> bool {
    if known.get(&metric.job).is_some_and(|names| names.contains(&metric.name)) {
        return true;
    }
    // Recorded rules are made of others, and ours never of themselves.
    let made_of = loaded.iter().filter(|(name, _)| *name == metric.name && depth > 0);
    made_of.flat_map(|(_, expression)| metrics(expression)).any(|part| is_there(&part, loaded, known, depth - 1))
}

fn seen(loaded: &[(String, String)], known: &Known) -> Judged {
    let recorded = |name: &str| name.contains(':');
    let alerts: Vec<&(String, String)> = loaded.iter().filter(|(name, _)| !recorded(name)).collect();
    if alerts.is_empty() {
        return Skip("no alerts are loaded".to_owned());
    }
    if known.get(&None).is_none_or(BTreeSet::is_empty) {
        return Unsure("it has no metrics yet".to_owned());
    }
    let blind: BTreeSet<String> = alerts
        .iter()
        // What is missing is what it looks for.
        .filter(|(_, expression)| !expression.starts_with("absent("))
        .filter_map(|(name, expression)| {
            let asked = metrics(expression);
            let job = asked.iter().find_map(|metric| metric.job.clone());
            let sees = asked.is_empty() || asked.iter().any(|metric| is_there(metric, loaded, known, 4));
            (!sees).then(|| job.map_or(name.clone(), |job| format!("{name} of {job}")))
        })
        .collect();
    if blind.is_empty() {
        return Pass(format!("{} alerts", alerts.len()));
    }
    Warn(format!("nothing to look at: {}", blind.into_iter().collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn rules_are_compared_by_what_they_say() {
        let ours = rules(&[("Down", "up == 0"), ("Memory", "x{b=\"1\", a=\"2\"} > 1000000")]);
        let loaded = |list: &[(&str, &str)]| {
            let list: Vec<Value> = list.iter().map(|(name, query)| json!({"name": name, "query": query})).collect();
            rules_in(&json!({"groups": [{"rules": list}]}))
        };
        let printed = [("Down", "up == 0"), ("Memory", "x{a=\"2\",b=\"1\"} > 1e+06")];
        assert_eq!(same(&ours, &loaded(&printed)), Pass("2 rules".into()));
        assert_eq!(same(&ours, &loaded(&printed[..1])), Fail("not loaded as rendered: Memory".into()));
        let other = [printed[0], printed[1], ("More", "up")];
        assert_eq!(same(&ours, &loaded(&other)), Fail("loaded and not rendered: More".into()));
        let deaf = [("Down", "up == 2"), printed[1]];
        assert!(matches!(same(&ours, &loaded(&deaf)), Fail(_)));
        assert!(matches!(same(&ours, &rules_in(&json!({}))), Fail(_)));
    }

    #[test]
    fn an_alert_needs_something_to_look_at() {
        let ours = rules(&[
            ("a:b", "rate(requests_total[5m]) or rate(others_total[5m])"),
            ("Slow", "a:b > 1"),
            ("Memory", "memory{job=\"app\"} > 1"),
            ("Missing", "absent(up{job=\"gone\"})"),
        ]);
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let all = [(None, names(&["up", "others_total"])), (Some("app".to_owned()), names(&["memory"]))];
        assert_eq!(seen(&ours, &all.clone().into()), Pass("3 alerts".into()));
        let none = [(None, names(&["up", "memory"])), (Some("app".to_owned()), names(&["up"]))];
        assert_eq!(seen(&ours, &none.into()), Warn("nothing to look at: Memory of app, Slow".into()));
        assert!(matches!(seen(&ours, &Known::new()), Unsure(_)));
        assert!(matches!(seen(&[], &all.into()), Skip(_)));
    }
}
