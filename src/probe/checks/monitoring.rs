//! Prometheus: whether it sees what it should see.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::Value;

use crate::base::date::moment;
use crate::model::finding::Finding;
use crate::model::service::{Preset, Service};
use crate::model::stack::Stack;

use super::super::check::{Check, Family, Judged, Severity};
use super::super::context::Context;
use super::super::text::clean;
use super::super::tls::certificate::now;
use super::prometheus::{api, list, socket, word};
use super::{all_are, none_apply};

use Judged::{Fail, Pass, Skip, Unsure};

pub(in crate::probe) const MON_1: Check = Check {
    id: "MON-1",
    family: Family::Monitoring,
    title: "targets up",
    question: "Does Prometheus reach every replica of every service with `metrics`? GET /api/v1/targets.",
    pass: "for each such service as many targets as replicas, health `up`, no error",
    source: "prometheus docs/querying/api.md",
    severity: Severity::High,
    remedy: "the error names the cause: the path in `metrics`, or a service that does not listen on its `port`",
};

pub(in crate::probe) const MON_2: Check = Check {
    id: "MON-2",
    family: Family::Monitoring,
    title: "rules work",
    question: "Does every rule that Prometheus has loaded evaluate? GET /api/v1/rules.",
    pass: "health `ok` for all",
    source: "prometheus docs/querying/api.md",
    severity: Severity::High,
    remedy: "`promtool check rules` on the file; a rule's last error is in Prometheus under Status, Rules",
};

pub(in crate::probe) const MON_3: Check = Check {
    id: "MON-3",
    family: Family::Monitoring,
    title: "configuration loaded",
    question: "Has Prometheus taken the last configuration it was given? GET /api/v1/status/runtimeinfo.",
    pass: "reloadConfigSuccess is true",
    source: "prometheus docs/querying/api.md",
    severity: Severity::High,
    remedy: "`stackctl logs prometheus` names the line; an override of the template may be wrong",
};

pub(in crate::probe) const MON_4: Check = Check {
    id: "MON-4",
    family: Family::Monitoring,
    title: "alerts are heard",
    question: "Where Prometheus is configured to tell an Alertmanager: does it find one? GET /api/v1/alertmanagers.",
    pass: "at least one active Alertmanager; not applicable where its configuration names none",
    source: "prometheus docs/querying/api.md",
    severity: Severity::High,
    remedy: "the Alertmanager that the configuration names is not found: is its name right, and does it resolve there?",
};

const OF_PROMETHEUS: [&Check; 4] = [&MON_1, &MON_2, &MON_3, &MON_4];

pub(in crate::probe) async fn run(context: &Context<'_>) -> Vec<Finding> {
    match context.stack.services.values().find(|s| s.preset == Some(Preset::Prometheus)) {
        Some(service) => Box::pin(prometheus(context, service)).await,
        None => none_apply(&OF_PROMETHEUS, context.stack.project.as_str(), None, "the stack has no Prometheus"),
    }
}

async fn prometheus(context: &Context<'_>, service: &Service) -> Vec<Finding> {
    let name = service.name.as_str();
    let at = match socket(context, service) {
        Ok(at) => at,
        Err(why) => return all_are(&OF_PROMETHEUS, name, Some(service.line), &why),
    };
    let about = |check: &'static Check| check.about(name).line(service.line).from("engine network");
    let young = young(context).await;
    let (targets, rules, runtime, config) = tokio::join!(
        targets(context, at, &young),
        rules_in_time(context, at),
        api(at, "/api/v1/status/runtimeinfo"),
        api(at, "/api/v1/status/config"),
    );
    let judged = |answer: &Result<Value, String>, judge: &dyn Fn(&Value) -> Judged| match answer {
        Ok(data) => judge(data),
        Err(why) => Unsure(why.clone()),
    };
    let heard = match (&rules, &config, &runtime) {
        (Ok(rules), Ok(config), Ok(runtime)) => {
            let fresh = !young.is_empty() || recent(word(runtime, "lastConfigTime"));
            heard_in_time(context, at, rules, config, fresh).await
        }
        (Err(why), ..) | (_, Err(why), _) | (_, _, Err(why)) => Unsure(why.clone()),
    };
    vec![
        about(&MON_1).judged(targets),
        about(&MON_2).judged(match judged(&rules, &evaluated) {
            Unsure(why) if context.options.quick => Skip(format!("left out by --quick: {why}")),
            judged => judged,
        }),
        about(&MON_3).judged(judged(&runtime, &loaded)),
        about(&MON_4).judged(heard),
    ]
}

/// Prometheus asks every 15 s; after two rounds it has seen whatever there is to see.
pub(super) const ROUNDS: Duration = Duration::from_secs(32);

/// Services with a container that was started so short a time ago that Prometheus may have asked it too early.
pub(super) async fn young(context: &Context<'_>) -> BTreeSet<String> {
    let seen = context.containers().await.unwrap_or_default();
    seen.iter().filter(|c| recent(&c.started)).map(|c| c.service.clone()).collect()
}

/// Whether a moment is so short a time ago that Prometheus may not have looked around since.
fn recent(moment_of: &str) -> bool {
    moment(moment_of).is_none_or(|s| now().saturating_sub(s) < ROUNDS.as_secs())
}

/// Asks until an Alertmanager is found. Prometheus knows of none for some seconds after its start and after it has loaded
/// its configuration; with `--quick` once.
async fn heard_in_time(context: &Context<'_>, at: SocketAddrV4, rules: &Value, config: &Value, fresh: bool) -> Judged {
    loop {
        let judged = match api(at, "/api/v1/alertmanagers").await {
            Ok(managers) => heard(rules, config, &managers),
            Err(why) => return Unsure(why),
        };
        match judged {
            Fail(why) if fresh && context.options.quick => {
                return Skip(format!("left out by --quick: {why}, since it was started or loaded its configuration"));
            }
            Fail(_) if fresh && context.started.elapsed() < ROUNDS => {
                context
                    .waits
                    .sleep("Prometheus, until it has found an Alertmanager (MON-4)", Duration::from_secs(1))
                    .await;
            }
            judged => return judged,
        }
    }
}

async fn targets_now(context: &Context<'_>, at: SocketAddrV4) -> Judged {
    match api(at, "/api/v1/targets?state=active").await {
        Ok(data) => reached(context.stack, &data, &BTreeSet::new()),
        Err(why) => Unsure(why),
    }
}

/// Asks until all is well or two rounds are over; with `--quick` once.
async fn targets(context: &Context<'_>, at: SocketAddrV4, young: &BTreeSet<String>) -> Judged {
    loop {
        let judged = match api(at, "/api/v1/targets?state=active").await {
            Ok(data) => reached(context.stack, &data, young),
            Err(why) => Unsure(why),
        };
        match judged {
            Unsure(why) if context.options.quick => return Skip(format!("left out by --quick: {why}")),
            Unsure(_) if context.started.elapsed() < ROUNDS => {
                context.waits.sleep("Prometheus, until it has asked everybody (MON-1)", Duration::from_secs(1)).await;
            }
            // It had its time.
            Unsure(_) if !young.is_empty() => return targets_now(context, at).await,
            judged => return judged,
        }
    }
}

/// Its rules, asked for until each was evaluated once or two rounds are over; with `--quick` once.
async fn rules_in_time(context: &Context<'_>, at: SocketAddrV4) -> Result<Value, String> {
    loop {
        let rules = api(at, "/api/v1/rules").await;
        let waiting = rules.as_ref().is_ok_and(|rules| matches!(evaluated(rules), Unsure(_)));
        if !waiting || context.options.quick || context.started.elapsed() >= ROUNDS {
            return rules;
        }
        context.waits.sleep("Prometheus, until it has tried its rules (MON-2)", Duration::from_secs(1)).await;
    }
}

fn reached(stack: &Stack, data: &Value, young: &BTreeSet<String>) -> Judged {
    let targets = list(data, "activeTargets");
    let mut wrong = Vec::new();
    let mut waiting = Vec::new();
    let mut number = 0;
    for service in stack.services.values().filter(|s| s.metrics.is_some() && s.replicas > 0) {
        let name = service.name.as_str();
        let own: Vec<&Value> = targets.iter().filter(|t| word(&t["labels"], "service") == name).collect();
        number += own.len();
        // Prometheus knows its targets some seconds after its start or a reload; who asks again in time gets the verdict.
        if own.len() < service.replicas as usize && !young.is_empty() {
            waiting.push(name);
        } else if own.len() < service.replicas as usize {
            wrong.push(format!("{name}: {} targets of {} replicas", own.len(), service.replicas));
        }
        for target in own {
            match word(target, "health") {
                "up" => {}
                "unknown" => waiting.push(name),
                _ if young.contains(name) => waiting.push(name),
                _ => wrong.push(format!("{name}: {}", clean(word(target, "lastError")))),
            }
        }
    }
    wrong.dedup();
    match (wrong.is_empty(), waiting.is_empty(), number) {
        (false, ..) => Fail(wrong.join("; ")),
        (true, false, _) => {
            waiting.dedup();
            Unsure(format!("{}: not asked yet since it was started", waiting.join(", ")))
        }
        (true, true, 0) => Skip("no service has `metrics`".to_owned()),
        (true, true, number) => Pass(format!("{number} targets are up")),
    }
}

fn rules_of(data: &Value) -> impl Iterator<Item = &Value> {
    list(data, "groups").iter().flat_map(|group| list(group, "rules"))
}

fn evaluated(data: &Value) -> Judged {
    let all = rules_of(data).count();
    let sick: Vec<String> = rules_of(data)
        .filter(|rule| word(rule, "health") == "err")
        .map(|rule| format!("{}: {}", clean(word(rule, "name")), clean(word(rule, "lastError"))))
        .collect();
    let waiting = rules_of(data).filter(|rule| word(rule, "health") == "unknown").count();
    match (all, sick.is_empty(), waiting) {
        (0, ..) => Skip("no rules are loaded".to_owned()),
        (_, false, _) => Fail(sick.join("; ")),
        (_, true, 0) => Pass(format!("{all} rules")),
        (_, true, waiting) => Unsure(format!("{waiting} of {all} rules were not evaluated yet")),
    }
}

fn loaded(data: &Value) -> Judged {
    match data.get("reloadConfigSuccess").and_then(Value::as_bool) {
        Some(true) => Pass(format!("loaded {}", clean(word(data, "lastConfigTime")))),
        Some(false) => Fail("the last one was refused; an older one is in use".to_owned()),
        None => Unsure("it does not say".to_owned()),
    }
}

fn heard(rules: &Value, config: &Value, managers: &Value) -> Judged {
    let alerts = rules_of(rules).filter(|rule| word(rule, "type") == "alerting").count();
    let active = list(managers, "activeAlertmanagers").len();
    // Prometheus prints its configuration with every list item of this section on a line of its own.
    let named = word(config, "yaml").lines().any(|line| line.trim() == "alertmanagers:");
    match (alerts, active, named) {
        (0, ..) => Skip("no alerting rules are loaded".to_owned()),
        (alerts, 0, false) => Skip(format!(
            "no Alertmanager is declared: {alerts} alerting rules show in Prometheus, and nobody is called"
        )),
        (alerts, 0, true) => Fail(format!("{alerts} alerting rules, and nobody to tell")),
        (alerts, active, _) => Pass(format!("{alerts} alerting rules, {active} Alertmanager")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::base::name::ServiceName;
    use crate::model::service::Image;
    use serde_json::json;

    fn stack(replicas: u32) -> Stack {
        let mut app = Service::new(ServiceName::parse("app").unwrap(), 3, Image::Pull("x".into()));
        app.metrics = Some("/metrics".into());
        app.replicas = replicas;
        Stack {
            project: crate::base::name::ProjectName::parse("p").unwrap(),
            stage: None,
            host: None,
            elsewhere: [].into(),
            services: [(app.name.clone(), app)].into(),
            secrets: [].into(),
            proxy: None,
            hold_images: 0,
            pool: crate::model::stack::Pool::default(),
            checklist: crate::model::checklist::Checklist::default(),
            monitoring: crate::model::monitoring::Monitoring::default(),
            notify: crate::model::notify::Notify::default(),
        }
    }

    #[test]
    fn every_replica_is_a_target() {
        let target = |health: &str| json!({"labels": {"service": "app"}, "health": health, "lastError": "refused"});
        let none = BTreeSet::new();
        let data = |list: Vec<Value>| json!({ "activeTargets": list });
        assert!(matches!(reached(&stack(1), &data(vec![target("up")]), &none), Pass(_)));
        assert!(matches!(reached(&stack(2), &data(vec![target("up")]), &none), Fail(_)));
        assert_eq!(reached(&stack(1), &data(vec![target("down")]), &none), Fail("app: refused".into()));
        assert!(matches!(reached(&stack(1), &data(vec![target("unknown")]), &none), Unsure(_)));
        let young = BTreeSet::from(["app".to_owned()]);
        assert!(matches!(reached(&stack(1), &data(vec![target("down")]), &young), Unsure(_)));
        assert!(matches!(reached(&stack(0), &data(vec![]), &none), Skip(_)));
        assert!(matches!(reached(&stack(1), &json!(7), &none), Fail(_)));
    }

    #[test]
    fn rules_and_those_who_hear_of_them() {
        let rules = |health: &str| json!({"groups": [{"rules": [{"name": "Down", "type": "alerting", "health": health, "lastError": "x"}]}]});
        let managers = |n: usize| json!({ "activeAlertmanagers": vec![json!({"url": "http://a"}); n] });
        assert!(matches!(evaluated(&rules("ok")), Pass(_)));
        assert!(matches!(evaluated(&rules("err")), Fail(_)));
        assert!(matches!(evaluated(&rules("unknown")), Unsure(_)));
        assert!(matches!(evaluated(&json!({"groups": []})), Skip(_)));
        let with = json!({"yaml": "alerting:\n  alertmanagers:\n  - static_configs: []\n"});
        let without = json!({"yaml": "global:\n  scrape_interval: 15s\n"});
        assert!(matches!(heard(&rules("ok"), &with, &managers(1)), Pass(_)));
        assert!(matches!(heard(&rules("ok"), &with, &managers(0)), Fail(_)));
        assert!(matches!(heard(&rules("ok"), &without, &managers(0)), Skip(_)));
        assert!(matches!(heard(&json!({}), &with, &managers(0)), Skip(_)));
        assert!(matches!(loaded(&json!({"reloadConfigSuccess": true, "lastConfigTime": "t"})), Pass(_)));
        assert!(matches!(loaded(&json!({"reloadConfigSuccess": false})), Fail(_)));
        assert!(matches!(loaded(&json!({})), Unsure(_)));
    }
}
