//! Whom alerts reach: `alertmanager.yml` before amtool, and the part of Prometheus's configuration that leads there.

use stackctl::base::secret::Secret;
use stackctl::base::units::Span;
use stackctl::model::monitoring::{Alertmanager, By, Email, Hook, Receiver, Severity};
use stackctl::model::secrets::SecretValues;
use stackctl::model::stack::Stack;
use stackctl::render::{Found, alertmanager, prometheus};

use crate::readers::{amtool, promtool, yaml};
use crate::sample::{full, secret};

/// Everybody: chat and mail of everything, a pager of what is critical, a program whose URL is no secret.
fn telling() -> Stack {
    let mut stack = full();
    let mail = Email {
        to: vec!["ops@example.com".to_owned(), "second@example.com".to_owned()],
        from: "alerts@example.com".to_owned(),
        smarthost: "smtp.example.com:587".to_owned(),
        user: Some("alerts \"x\"".to_owned()),
        password: Some(secret("smtp")),
        require_tls: true,
    };
    let to = |severity, by| Receiver { line: 7, severity, by };
    stack.monitoring.receivers = vec![
        to(Severity::Warning, By::Slack(Hook::Secret(secret("alertmanager.slack")))),
        to(Severity::Warning, By::Email(mail)),
        to(Severity::Critical, By::PagerDuty(secret("pager"))),
        to(Severity::Critical, By::Webhook(Hook::Plain("http://calls.internal:8080/alerts".to_owned()))),
    ];
    let address = "alertmanager:9093".to_owned();
    stack.monitoring.alertmanager = Some(Alertmanager { address, https: false, own: true });
    stack
}

fn values(names: &[&str]) -> SecretValues {
    names.iter().map(|name| (secret(name), Secret::new("https://planted.example/s3cret"))).collect()
}

/// The file of a stack whose secrets of these names have values.
fn rendered(stack: &Stack, names: &[&str]) -> String {
    let files = alertmanager(stack, &values(names)).unwrap();
    assert_eq!(files.len(), 1);
    files[0].content.expose().to_owned()
}

const ALL: [&str; 3] = ["alertmanager.slack", "smtp", "pager"];

/// The receivers that amtool finds for each severity, with what they are told by.
const ROUTES: [(&str, &str); 4] = [
    ("severity=critical", "critical"),
    ("severity=warning", "warning"),
    ("severity=info", "warning"),
    ("job=app", "warning"),
];

#[test]
fn amtool_reads_it_and_routes_by_severity() {
    let stack = telling();
    crate::golden::check("alertmanager", &alertmanager(&stack, &values(&ALL)).unwrap());
    let mut nobody = telling();
    nobody.monitoring.receivers.clear();
    nobody.monitoring.repeat = Some(Span::seconds(300));
    let cases = [
        ("everybody", rendered(&stack, &ALL)),
        ("some", rendered(&stack, &["smtp"])),
        ("without", rendered(&stack, &[])),
        ("nobody", rendered(&nobody, &ALL)),
    ];
    let files: Vec<_> = cases.iter().map(|(name, text)| (format!("{name}.yml"), text.clone())).collect();
    let labels: Vec<&str> = ROUTES.iter().map(|(label, _)| *label).collect();
    let script = format!(
        "for f in *.yml; do amtool check-config $f || exit; for l in {}; do \
         amtool config routes test --config.file=$f $l 2>/dev/null; done; done",
        labels.join(" ")
    );
    let (good, output) = amtool(&files, &script);
    assert!(good, "{output}");
    let routed: Vec<&str> = output.lines().filter(|line| ["critical", "warning"].contains(line)).collect();
    let expected: Vec<&str> = cases.iter().flat_map(|_| ROUTES.map(|(_, receiver)| receiver)).collect();
    assert_eq!(routed, expected, "{output}");
    assert_eq!(output.matches("2 receivers").count(), cases.len(), "{output}");
    assert_eq!(output.matches("1 inhibit rules").count(), cases.len(), "{output}");
}

#[test]
fn amtool_turns_broken_ones_down() {
    let right = rendered(&telling(), &ALL);
    let breaks = [
        ("receiver: \"warning\"", "receiver: \"nobody\""),
        ("severity=\"critical\"", "severity~\"critical\""),
        ("repeat_interval: 14400s", "repeat_interval: often"),
        ("routing_key_file: \"/run/secrets/pager\"", "routing_key: \"k\", routing_key_file: \"/k\""),
        ("smtp.example.com:587", "smtp.example.com"),
        ("http://calls.internal:8080/alerts", "calls.internal"),
    ];
    let mut files = vec![("right.yml".to_owned(), right.clone())];
    for (number, (from, to)) in breaks.iter().enumerate() {
        assert!(right.contains(from), "{from}");
        files.push((format!("broken{number}.yml"), right.replacen(from, to, 1)));
    }
    let (_, output) = amtool(&files, "for f in *.yml; do amtool check-config $f >/dev/null 2>&1 && echo took $f; done");
    assert_eq!(output.lines().collect::<Vec<_>>(), ["took right.yml"], "{output}");
}

#[test]
fn who_is_told_of_what() {
    let read = yaml(&rendered(&telling(), &ALL));
    let ways = |read: &serde_json::Value, receiver: usize| -> Vec<String> {
        let receiver = read["receivers"][receiver].as_object().unwrap();
        receiver.keys().filter(|key| *key != "name").cloned().collect()
    };
    assert_eq!(ways(&read, 0), ["email_configs", "slack_configs"], "warnings call nobody");
    assert_eq!(ways(&read, 1), ["email_configs", "pagerduty_configs", "slack_configs", "webhook_configs"]);
    let mail = &read["receivers"][0]["email_configs"][0];
    assert_eq!(mail["to"], "ops@example.com, second@example.com");
    assert_eq!(
        (&mail["auth_username"], &mail["auth_password_file"]),
        (&"alerts \"x\"".into(), &"/run/secrets/smtp".into())
    );
    // Who has no value is left out, and the file says who.
    let some = rendered(&telling(), &["pager"]);
    let read = yaml(&some);
    assert_eq!((ways(&read, 0), ways(&read, 1).len()), (vec![], 2));
    assert!(some.contains("# Left out, since its secret has no value: \"slack (line 7)\"\n"), "{some}");
    for text in [rendered(&telling(), &ALL), some] {
        assert!(!text.contains("s3cret"), "secrets are in files of their own");
    }
}

#[test]
fn prometheus_knows_whom_to_tell() {
    let mut stack = telling();
    let own = prometheus(&stack, Found::ByName).unwrap();
    crate::golden::check("prometheus-alerting", &own[..1]);
    let address = "alerts.example.com:443".to_owned();
    stack.monitoring.alertmanager = Some(Alertmanager { address, https: true, own: false });
    let elsewhere = prometheus(&stack, Found::ByName).unwrap();
    for (files, target, scheme) in
        [(&own, "alertmanager:9093", None), (&elsewhere, "alerts.example.com:443", Some("https"))]
    {
        let text = files[0].content.expose();
        let there = &yaml(text)["alerting"]["alertmanagers"][0];
        assert_eq!(there["static_configs"][0]["targets"][0], target);
        assert_eq!(there["scheme"].as_str(), scheme);
        let files: Vec<_> = files.iter().map(|f| (f.path.clone(), f.content.expose().to_owned())).collect();
        let (good, output) = promtool(&files, "promtool check config prometheus.yml");
        assert!(good, "{output}");
    }
}
