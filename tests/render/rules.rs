//! Alerts: each fires when it should, and only then. Promtool runs the cases of `rules/rules.test.yml`.

use std::collections::BTreeSet;

use stackctl::base::units::ByteSize;
use stackctl::model::artifact::Artifact;
use stackctl::model::monitoring::Alertmanager;
use stackctl::model::stack::Stack;
use stackctl::render::{Found, ScrapeTarget, prometheus, rules_of};

use crate::readers::{promtool, yaml};
use crate::sample;

const CASES: &str = include_str!("rules/rules.test.yml");

/// `app` with 2 replicas, 512M and 2 cores; `api` without limits; `later`, of which none is wanted.
fn watched() -> Stack {
    let mut stack = sample::full();
    for (name, replicas) in [("app", 2), ("api", 1), ("later", 0)] {
        let service = stack.services.get_mut(name).unwrap();
        (service.metrics, service.replicas) = (Some("/metrics".to_owned()), replicas);
    }
    let app = stack.services.get_mut("app").unwrap();
    (app.memory, app.cpus) = (Some(ByteSize(512 << 20)), Some(2.0));
    let address = "alertmanager:9093".to_owned();
    stack.monitoring.alertmanager = Some(Alertmanager { address, https: false, own: true });
    stack
}

fn rendered(stack: &Stack) -> Vec<Artifact> {
    let target = ScrapeTarget { service: sample::name("app"), replica: 1, address: "10.83.0.2:8000".to_owned() };
    prometheus(stack, Found::At(&[target])).unwrap()
}

fn rules(files: &[Artifact]) -> &str {
    files.iter().find(|file| file.path == "rules.yml").unwrap().content.expose()
}

/// The rules as they are, and their cases.
fn with_cases(rules: &str) -> Vec<(String, String)> {
    vec![("rules.yml".to_owned(), rules.to_owned()), ("rules.test.yml".to_owned(), CASES.to_owned())]
}

/// Names of the alerts of a rule file, in its order.
fn alerts(rules: &str) -> Vec<String> {
    let read = yaml(rules);
    let groups = read["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules.filter_map(|rule| rule["alert"].as_str()).map(str::to_owned).collect()
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let files = rendered(&watched());
    crate::golden::check("prometheus-rules", &files);
    let rules = rules(&files);
    let (good, output) = promtool(
        &with_cases(rules),
        "promtool check rules --lint=all --lint-fatal rules.yml && promtool test rules rules.test.yml",
    );
    assert!(good, "{output}");
    let read = yaml(rules);
    let read: Vec<(String, String)> = read["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .map(|rule| {
            let text = |key: &str| rule[key].as_str().map(|text| text.trim().to_owned());
            (text("alert").or_else(|| text("record")).unwrap(), text("expr").unwrap())
        })
        .collect();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ours: Vec<_> = rules_of(rules).into_iter().map(|(name, text)| (name, words(&text))).collect();
    assert_eq!(ours, read.into_iter().map(|(name, text)| (name, words(&text))).collect::<Vec<_>>());
    let cases = yaml(CASES);
    let cases: BTreeSet<&str> =
        cases["tests"].as_array().unwrap().iter().filter_map(|case| case["name"].as_str()).collect();
    let named = alerts(rules);
    assert_eq!(named.iter().map(String::as_str).collect::<BTreeSet<_>>(), cases, "one case an alert");
    assert!(!rules.contains("\"later\""), "nobody is missed where nobody is wanted");
    // Another's Alertmanager is asked for nothing; without one, nobody is missed.
    let mut stack = watched();
    stack.monitoring.alertmanager = stack.monitoring.alertmanager.map(|there| Alertmanager { own: false, ..there });
    let last = |stack: &Stack| alerts(self::rules(&rendered(stack))).pop();
    assert_eq!(last(&stack).as_deref(), Some("AlertsNotSent"));
    stack.monitoring.alertmanager = None;
    assert_eq!(last(&stack).as_deref(), Some("StorageFailing"));
}

/// Each alert in turn is made deaf, or made to cry wolf: its case has to notice.
#[test]
fn no_case_is_content_with_another_rule() {
    let files = rendered(&watched());
    let rules = rules(&files);
    let names: BTreeSet<String> = alerts(rules).into_iter().collect();
    let mut input = Vec::new();
    for name in &names {
        for (what, expression) in [("deaf", "up == 2"), ("wolf", "vector(1)")] {
            let mut out = String::new();
            let mut inside = false;
            for line in rules.lines() {
                if let Some(alert) = line.trim().strip_prefix("- alert: ") {
                    inside = alert == name;
                }
                let line = match line.find("expr: ") {
                    Some(at) if inside => format!("{}expr: {expression}", &line[..at]),
                    _ => line.to_owned(),
                };
                out.extend([line.as_str(), "\n"]);
            }
            assert!(out != rules, "{name}");
            for (file, text) in with_cases(&out) {
                input.push((format!("{name}-{what}/{file}"), text));
            }
        }
    }
    let (good, output) = promtool(
        &input,
        "for d in */; do promtool check rules $d/rules.yml >/dev/null || echo unread $d; \
         promtool test rules $d/rules.test.yml >/dev/null 2>&1 && echo content $d; done; true",
    );
    assert!(good && !output.contains("unread") && !output.contains("content"), "{output}");
}

#[test]
fn labels_for_the_outside_are_on_the_configuration() {
    let mut stack = watched();
    stack.monitoring.external_labels = [("region".to_owned(), "eu \"1\"".to_owned())].into();
    let files = rendered(&stack);
    let read = yaml(files[0].content.expose());
    assert_eq!(read["global"]["external_labels"], serde_json::json!({ "project": "sum", "region": "eu \"1\"" }));
    assert_eq!(read["rule_files"], serde_json::json!(["rules.yml"]));
    stack.monitoring.external_labels = [("region".to_owned(), "$HOME".to_owned())].into();
    assert!(prometheus(&stack, Found::ByName).is_err(), "versions differ in what that means");
}
