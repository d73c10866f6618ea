//! An alert reaches people: a real Prometheus knows a real Alertmanager, which tells a receiver of ours.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::support::{Said, Site, get};

/// Takes requests one after the other and answers each: what was asked for, and the body.
fn receiver() -> (u16, Receiver<(String, serde_json::Value)>) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 4096]);
            let body = loop {
                let read = stream.read(&mut bytes).unwrap();
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                let whole = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body));
                if let Some(Ok(body)) = whole {
                    break body;
                }
                assert!(read > 0, "cut short: {text}");
            };
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
            if send.send((text.lines().next().unwrap().to_owned(), body)).is_err() {
                return;
            }
        }
    });
    (port, received)
}

fn stack(repeat: &str) -> String {
    format!(
        "name = \"t-alert\"\n\
         [services.prometheus]\npreset = \"prometheus:v2.53.3\"\nmemory = \"128M\"\n\
         [services.alertmanager]\npreset = \"alertmanager:v0.28.1\"\nmemory = \"64M\"\n\
         extra_hosts = {{ \"people.test\" = \"host-gateway\" }}\n\
         [monitoring]\nrepeat = \"{repeat}\"\n\
         slack = \"${{secrets.slack}}\"\n\
         webhook = {{ url = \"${{secrets.calls}}\", severity = \"critical\" }}\n\
         pagerduty = \"${{secrets.pager}}\"\n\
         [secrets]\nslack = {{ env = \"SLACK\" }}\ncalls = {{ env = \"CALLS\" }}\n\
         pager = {{ env = \"PAGER\", optional = true }}\n"
    )
}

fn address(site: &Site, container: &str) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    site.docker(&["inspect", "-f", format, container]).trim().to_owned()
}

/// Posts an alert that began an hour ago: the time a group is waited for is over.
fn fire(at: &str, name: &str, severity: &str) {
    let body = serde_json::json!([{
        "labels": { "alertname": name, "severity": severity, "job": name, "project": "t-alert" },
        "annotations": { "summary": format!("{name} is seen"), "next": "look" },
        "startsAt": "2026-01-01T00:00:00Z",
    }])
    .to_string();
    let mut stream = TcpStream::connect((at, 9093)).unwrap();
    let head = "POST /api/v2/alerts HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn an_alert_reaches_people() {
    let (chat, said) = receiver();
    let (calls, called) = receiver();
    let site = Site::new(&stack("4h"), "t-alert", 18341);
    let slack = format!("http://people.test:{chat}/services/s3cret-chat");
    let hook = format!("http://people.test:{calls}/s3cret-calls");
    let env = [("SLACK", slack.as_str()), ("CALLS", hook.as_str())];
    let up = |env: &[(&str, &str)]| site.run(&["up", "--yes", "--no-verify"], env);
    up(&env).ends(0).says("pagerduty (line 13) has no value: it is told of no alert");
    let told = || found(&site, &env, "--quick").remove("MON-5").unwrap();

    // What is posted reaches those who want it, in their own words.
    let at = address(&site, "t-alert-alertmanager-1");
    fire(&at, "Down", "critical");
    fire(&at, "Slow", "warning");
    let soon = Duration::from_secs(20);
    let mut titles = Vec::new();
    for _ in 0..2 {
        let (line, body) = said.recv_timeout(soon).unwrap();
        assert_eq!(line, "POST /services/s3cret-chat HTTP/1.1");
        let message = &body["attachments"][0];
        titles.push(message["title"].as_str().unwrap().to_owned());
        assert!(message["text"].as_str().unwrap().trim_end().ends_with("is seen\nlook"), "{body:#}");
        assert!(!body.to_string().contains("9093"), "no link that leads nowhere: {body:#}");
    }
    titles.sort();
    assert_eq!(titles, ["critical: Down of Down (t-alert)", "warning: Slow of Slow (t-alert)"]);
    let (line, body) = called.recv_timeout(soon).unwrap();
    assert_eq!(line, "POST /s3cret-calls HTTP/1.1");
    assert_eq!((&body["status"], &body["commonLabels"]["alertname"]), (&"firing".into(), &"Down".into()));
    assert!(called.try_recv().is_err(), "a warning calls nobody");

    // Nobody sees the secrets, and nobody else gets in.
    let inspected = site.docker(&["inspect", "t-alert-alertmanager-1"]);
    assert!(!inspected.contains("s3cret"), "{inspected}");
    let container: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(container[0]["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(container[0]["HostConfig"]["PortBindings"], serde_json::json!({}));
    assert_eq!(container[0]["Config"]["User"], "nobody");
    assert_eq!(told(), ("pass".to_owned(), "told by slack, webhook; without a value: pagerduty".to_owned()));

    // Another configuration is loaded; the container stays. A new secret is a new container.
    let id = || site.docker(&["inspect", "-f", "{{.Id}}", "t-alert-alertmanager-1"]);
    let first = id();
    site.write(&stack("12h"));
    assert_eq!(told().0, "fail", "what is rendered is not loaded yet");
    up(&env).ends(0).says("reload t-alert-alertmanager-1");
    assert_eq!(first, id());
    assert_eq!(told().0, "pass");
    let asked = get((&at, 9093), "/api/v2/status").unwrap().1;
    assert!(asked.contains("repeat_interval: 12h") && !asked.contains("s3cret"), "{asked}");
    agreement(&site, &env, &up);
    up(&[&env[..], &[("PAGER", "0123456789abcdef0123456789abcdef")]].concat()).ends(0);
    assert_ne!(first, id());
    site.run(&["down", "--volumes", "--yes"], &env).ends(0);
}

/// Verdict and words of each check of monitoring.
fn found(site: &Site, env: &[(&str, &str)], how: &str) -> BTreeMap<String, (String, String)> {
    let said = site.run(&["--json", "verify", "--only", "MON", "--deadline", "60s", how], env);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.err));
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|f| (text(f, "id"), (text(f, "verdict"), text(f, "observed")))).collect()
}

/// What is changed in a file by hand (service, file, old, new), whether the tool that belongs to its reader takes it, and
/// the check that finds it where it runs. A tool knows whether a file is right; only we know whether it is ours.
const CASES: [(&str, &str, &str, &str, bool, &str); 7] = [
    ("prometheus", "prometheus.yml", "global:", "globl:", false, "MON-3"),
    ("prometheus", "prometheus.yml", "alertmanager:9093", "http://alertmanager/", false, "MON-3"),
    ("prometheus", "rules.yml", "expr: up == 0", "expr: up ==", false, "MON-3"),
    ("prometheus", "rules.yml", "> 0.05", "> 0.5", true, "MON-6"),
    ("alertmanager", "alertmanager.yml", "- receiver: .critical.", "- receiver: nobody", false, "MON-5"),
    ("alertmanager", "alertmanager.yml", "repeat_interval: 43200s", "repeat_interval: often", false, "MON-5"),
    ("alertmanager", "alertmanager.yml", "repeat_interval: 43200s", "repeat_interval: 1h", true, "MON-5"),
];

/// A deploy with these variables.
type Up<'a> = dyn Fn(&[(&str, &str)]) -> Said + 'a;

/// promtool and amtool say of files and servers what our checks say of them.
fn agreement(site: &Site, env: &[(&str, &str)], up: &Up<'_>) {
    let tool = |service: &str| {
        let (program, verb, file) = match service {
            "prometheus" => ("promtool", &["check", "config"][..], "prometheus.yml"),
            _ => ("amtool", &["check-config"][..], "alertmanager.yml"),
        };
        let (container, path) = (format!("t-alert-{service}-1"), format!("/run/stackctl/current/{file}"));
        let args = [&["exec", &container, program], verb, &[path.as_str()]].concat();
        std::process::Command::new("docker").args(args).output().unwrap().status.success()
    };
    let by_hand = |service: &str, script: &str| {
        let image = site.docker(&["inspect", "-f", "{{.Config.Image}}", &format!("t-alert-{service}-1")]);
        let volume = format!("t-alert_{service}-files:/files");
        let args =
            ["run", "--rm", "--user", "0", "--network", "none", "-v", &volume, "--entrypoint", "sh", image.trim()];
        site.docker(&[&args[..], &["-euc", &format!("cd /files/current; {script}")]].concat());
        site.docker(&["kill", "-s", "HUP", &format!("t-alert-{service}-1")]);
    };
    // A reload takes its moment.
    let becomes = |id: &str, verdict: &str| {
        let begin = Instant::now();
        loop {
            let now = found(site, env, "--quick");
            if now[id].0 == verdict {
                return now;
            }
            assert!(begin.elapsed() < Duration::from_secs(15), "{id} does not become {verdict}: {now:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let right = becomes("MON-4", "pass");
    assert!(tool("prometheus") && tool("alertmanager"));
    for id in ["MON-3", "MON-5", "MON-6"] {
        assert_eq!(right[id].0, "pass", "{id}: {right:#?}");
    }
    for (service, file, old, new, takes, id) in CASES {
        by_hand(service, &format!("cp {file} kept; sed -i 's|{old}|{new}|' {file}; ! cmp -s {file} kept"));
        let now = becomes(id, "fail");
        assert_eq!(tool(service), takes, "{new}");
        let others: Vec<_> = now.iter().filter(|(other, (verdict, _))| verdict == "fail" && *other != id).collect();
        assert!(others.is_empty(), "{new}: {others:?}");
        by_hand(service, &format!("mv kept {file}"));
        becomes(id, "pass");
    }
    // Nothing here serves HTTP by a framework that we know: its alerts are blind, and promtool finds no series either.
    let now = found(site, env, "--fail-on=high");
    assert_eq!(now["MON-7"], ("warn".to_owned(), "nothing to look at: ErrorRatioHigh, LatencyHigh".to_owned()));
    let series = |query: &str| {
        let args = ["exec", "t-alert-prometheus-1", "promtool", "query", "instant", "http://localhost:9090", query];
        !site.docker(&args).trim().is_empty()
    };
    for (query, there) in [
        ("count(http_requests_total)", false),
        ("count(http_request_duration_seconds_bucket)", false),
        ("count(process_open_fds)", true),
        ("count(alertmanager_notifications_failed_total)", true),
        ("count(prometheus_notifications_errors_total)", true),
        ("count(process_resident_memory_bytes{job=\"alertmanager\"})", true),
    ] {
        assert_eq!(series(query), there, "{query}");
    }
    // The servers say it of themselves: whom Prometheus tells, and what amtool shows of the one that it tells.
    let shown = site.docker(&[
        "exec",
        "t-alert-alertmanager-1",
        "amtool",
        "--alertmanager.url=http://localhost:9093",
        "config",
        "show",
    ]);
    assert!(shown.contains("repeat_interval: 12h") && shown.contains("name: critical"), "{shown}");
    up(env).ends(0).says("0 steps");
}
