//! What the engine told, and what is open on the host.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use stackctl::model::container::label;
use stackctl::model::finding::{Finding, Verdict};
use stackctl::model::observed::{Observed, ObservedContainer};
use stackctl::model::proxy::Tls;
use stackctl::model::service::{Ask, Preset};
use stackctl::probe::{Known, Options, Target, verify};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{health, lines, options, route, service, stack, target};

fn container(service: &str, number: u32, state: &str) -> ObservedContainer {
    let labels = [(label::SERVICE, service.to_owned()), (label::COMPOSE_NUMBER, number.to_string())];
    ObservedContainer {
        name: format!("sum-{service}-{number}"),
        state: state.into(),
        status: "Up 3 minutes".into(),
        labels: labels.map(|(k, v)| (k.to_owned(), v)).into(),
        ..ObservedContainer::default()
    }
}

async fn ask(observed: &Observed, target: &Target, only: &[&str]) -> Vec<Finding> {
    let stack = stack(Tls::Off, vec![route("/", None)]);
    let mut findings = Vec::new();
    let options = Options { quick: true, ..options(only) };
    let known = Known { observed: Some(observed), ..Known::default() };
    verify(&stack, &known, target, &options, &mut |finding| findings.push(finding)).await;
    findings
}

#[tokio::test]
async fn containers_are_counted() {
    for (containers, verdict) in [
        (vec![container("app", 1, "running")], Verdict::Pass),
        (vec![container("app", 1, "running"), container("app", 0, "running")], Verdict::Pass),
        (vec![container("app", 1, "running"), container("app", 2, "running")], Verdict::Warn),
        (vec![], Verdict::Fail),
        (vec![container("other", 1, "running")], Verdict::Fail),
        (vec![container("app", 1, "restarting")], Verdict::Fail),
        (vec![ObservedContainer { status: "Up (unhealthy)".into(), ..container("app", 1, "running") }], Verdict::Fail),
    ] {
        let observed = Observed { containers, ..Observed::default() };
        let findings = ask(&observed, &target(1, None), &["HLT-3"]).await;
        let verdicts: Vec<_> = findings.iter().map(|f| (f.subject.as_str(), f.verdict)).collect();
        assert_eq!(verdicts, [("app", verdict), ("proxy", Verdict::Fail)], "{}", lines(&findings));
    }
    for (state, verdict) in [("running", Verdict::Pass), ("exited", Verdict::Fail)] {
        let observed = Observed { containers: vec![container("proxy", 1, state)], ..Observed::default() };
        let findings = ask(&observed, &target(1, None), &["HLT-3"]).await;
        assert_eq!((findings[1].subject.as_str(), findings[1].verdict), ("proxy", verdict), "{}", lines(&findings));
    }
}

#[tokio::test]
async fn only_the_front_door_publishes() {
    let published = |service: &str, address: &str, port| ObservedContainer {
        ports: vec![(address.into(), port, port)],
        ..container(service, 1, "running")
    };
    for (containers, verdict) in [
        (vec![published("proxy", "0.0.0.0", 80), published("proxy", "0.0.0.0", 443)], Verdict::Pass),
        (vec![published("app", "127.0.0.1", 5432)], Verdict::Warn),
        (vec![published("app", "0.0.0.0", 5432)], Verdict::Fail),
        (vec![published("app", "::", 5432)], Verdict::Fail),
        (vec![published("proxy", "0.0.0.0", 8080)], Verdict::Fail),
    ] {
        let observed = Observed { containers, ..Observed::default() };
        let findings = ask(&observed, &target(1, None), &["NET-1"]).await;
        assert_eq!(findings.iter().map(|f| f.verdict).collect::<Vec<_>>(), [verdict], "{}", lines(&findings));
    }
}

#[tokio::test]
async fn a_stranger_on_loopback_is_no_failure() {
    // Held by this test or by whoever has it already: open in any case.
    let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 15672)).await;
    let mut observed = Observed::default();
    let findings = ask(&observed, &target(1, None), &["NET-2"]).await;
    assert_eq!(findings[0].verdict, Verdict::NotApplicable, "{}", lines(&findings));
    assert!(
        findings[0].observed.contains("not proof") && findings[0].observed.contains("15672"),
        "{}",
        lines(&findings)
    );
    observed
        .containers
        .push(ObservedContainer { ports: vec![("0.0.0.0".into(), 15672, 15672)], ..container("queue", 1, "running") });
    let findings = ask(&observed, &target(1, None), &["NET-2"]).await;
    assert_eq!(findings[0].verdict, Verdict::Warn, "{}", lines(&findings));
}

#[tokio::test]
async fn presets_are_asked_at_their_addresses() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(b"+PONG\r\n").await;
        }
    });
    let mut redis = service("redis");
    redis.preset = Some(Preset::Redis);
    redis.port = Some(port);
    redis.health = Some(health(Ask::Redis));
    let mut stack = stack(Tls::Off, vec![route("/", None)]);
    stack.services.insert(redis.name.clone(), redis);
    let mut running = container("redis", 1, "running");
    running.labels.insert(label::ADDRESSES.into(), "sum_back=127.0.0.1".into());
    let mut observed = Observed { containers: vec![running], ..Observed::default() };
    for (local, verdict) in [(true, Verdict::Pass), (false, Verdict::NotApplicable)] {
        observed.engine.local = local;
        let mut findings = Vec::new();
        let options = options(&["HLT-4"]);
        let known = Known { observed: Some(&observed), ..Known::default() };
        verify(&stack, &known, &target(1, None), &options, &mut |f| findings.push(f)).await;
        assert_eq!(findings.iter().map(|f| f.verdict).collect::<Vec<_>>(), [verdict], "{}", lines(&findings));
    }
}

#[tokio::test]
async fn a_stack_without_routes_says_so_everywhere() {
    let mut stack = stack(Tls::Off, Vec::new());
    stack.proxy = None;
    stack.services = BTreeMap::new();
    let target = Target { http: None, https: None, ..target(1, None) };
    let mut findings = Vec::new();
    verify(&stack, &Known::default(), &target, &options(&[]), &mut |f| findings.push(f)).await;
    let passed = findings.iter().any(|f| matches!(f.verdict, Verdict::Pass | Verdict::Fail));
    assert!(!passed && findings.len() > 25, "{}", lines(&findings));
}

#[tokio::test]
async fn a_dead_front_door_fails_health_and_passes_nothing() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let stack = stack(Tls::Off, vec![route("/", None)]);
    let SocketAddr::V4(closed) = closed else { unreachable!() };
    let options = Options { deadline: std::time::Duration::from_secs(2), ..options(&["HLT-1", "HDR", "RED", "NET-5"]) };
    let mut findings = Vec::new();
    verify(&stack, &Known::default(), &target(closed.port(), None), &options, &mut |f| findings.push(f)).await;
    assert!(findings.iter().any(|f| f.id == "HLT-1" && f.verdict == Verdict::Fail), "{}", lines(&findings));
    assert!(findings.iter().all(|f| f.verdict != Verdict::Pass), "{}", lines(&findings));
}
