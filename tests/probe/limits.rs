//! Rate limits of real Nginx servers: right ones pass, wrong ones never do.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use stackctl::base::units::{Rate, RateUnit};
use stackctl::model::finding::{Finding, Verdict};
use stackctl::model::limit::{Allows, Bucket, Limit};
use stackctl::model::proxy::Tls;
use stackctl::probe::{Known, verify};

use crate::support::certs::Authority;
use crate::support::nginx::{Nginx, ports};
use crate::support::{DOMAIN, ask, files, headers, lines, options, route, stack, target, ten_a_second};

/// A server: what its `http` block and its location say.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    zone: &'static str,
    location: &'static str,
    burst: u32,
    delay: Option<u32>,
    /// The check that must fail; `None` for a right server.
    pub(crate) fails: Option<&'static str>,
}

const ZONE: &str = "limit_req_zone $binary_remote_addr zone=z:1m rate=10r/s;";
const SERVE: &str = "try_files /ok.txt =404;";

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, zone, location, fails| Case { name, zone, location, burst: 20, delay: None, fails };
    let nodelay = "limit_req zone=z burst=20 nodelay;";
    vec![
        case("right, nodelay", ZONE, nodelay, None),
        Case { delay: Some(0), ..case("right, delay", ZONE, "limit_req zone=z burst=20;", None) },
        Case { delay: Some(8), ..case("right, two stages", ZONE, "limit_req zone=z burst=20 delay=8;", None) },
        Case { burst: 0, ..case("right, no burst", ZONE, "limit_req zone=z;", None) },
        case("halved", "limit_req_zone $binary_remote_addr zone=z:1m rate=5r/s;", nodelay, Some("RL-3")),
        case("doubled", "limit_req_zone $binary_remote_addr zone=z:1m rate=20r/s;", nodelay, Some("RL-3")),
        case("no burst", ZONE, "limit_req zone=z;", Some("RL-1")),
        case("twice the burst", ZONE, "limit_req zone=z burst=40 nodelay;", Some("RL-1")),
        case("delayed, not declared", ZONE, "limit_req zone=z burst=20;", Some("RL-2")),
        case(
            "forged header honoured",
            "limit_req_zone $binary_remote_addr$http_x_forwarded_for zone=z:1m rate=10r/s;",
            nodelay,
            Some("RL-6"),
        ),
        case("dry run", ZONE, "limit_req zone=z burst=20 nodelay; limit_req_dry_run on;", Some("RL-1")),
        case("status 503", ZONE, "limit_req zone=z burst=20 nodelay; limit_req_status 503;", Some("RL-4")),
        case("return before the limit", ZONE, "limit_req zone=z burst=20 nodelay; return 200 \"ok\";", Some("RL-1")),
        case("none", "", "", Some("RL-1")),
    ]
}

fn config(case: &Case, port: u16) -> String {
    let sent: String = headers().iter().map(|(k, v)| format!("add_header {k} \"{v}\" always;\n")).collect();
    let status = if case.location.contains("limit_req_status") { "" } else { "limit_req_status 429;" };
    format!(
        "server_tokens off; {} {status}
         map $limit_req_status $retry {{ default ''; REJECTED 1; }}
         {sent} add_header Retry-After $retry always;
         server {{ listen 127.0.0.1:{port}; location = /health {{ return 200 \"ok\"; }}
           location / {{ {} {SERVE} }} }}",
        case.zone, case.location
    )
}

/// What one run says of a server, whatever else the machine does.
pub(crate) async fn once(case: &Case) -> Vec<Finding> {
    let [port] = ports();
    let _nginx = Nginx::start(&config(case, port), &[], port);
    let stack = stack(Tls::Off, vec![route("/", Some(ten_a_second(case.burst, case.delay)))]);
    ask(&stack, &target(port, None), None, &options(&["RL"])).await
}

async fn measure(case: &Case) -> Vec<Finding> {
    let [port] = ports();
    let _nginx = Nginx::start(&config(case, port), &[], port);
    let stack = stack(Tls::Off, vec![route("/", Some(ten_a_second(case.burst, case.delay)))]);
    let started = Instant::now();
    // A busy machine may disturb a measurement twice; it says so, and is asked again.
    for _ in 0..2 {
        let findings = ask(&stack, &target(port, None), None, &options(&["RL", "HDR-6"])).await;
        let disturbed =
            findings.iter().any(|f| f.verdict == Verdict::Inconclusive && !f.observed.starts_with("no request"));
        if !disturbed {
            println!("{:24} {} ms\n{}", case.name, started.elapsed().as_millis(), lines(&findings));
            return findings;
        }
        println!("{:24} disturbed\n{}", case.name, lines(&findings));
    }
    ask(&stack, &target(port, None), None, &options(&["RL", "HDR-6"])).await
}

#[tokio::test]
async fn right_limits_pass_and_wrong_ones_never_do() {
    let cases = cases();
    let mut wrong = String::new();
    // Four at a time: more would disturb each other on two cores.
    for some in cases.chunks(4) {
        for (case, findings) in some.iter().zip(join_all(some.iter().map(measure)).await) {
            let of = |verdict| findings.iter().filter(|f| f.verdict == verdict).map(|f| f.id).collect::<Vec<_>>();
            let good = match case.fails {
                None => of(Verdict::Fail).is_empty() && of(Verdict::Inconclusive).is_empty(),
                Some(id) => of(Verdict::Fail).contains(&id),
            };
            if !good {
                wrong += &format!("{}:\n{}", case.name, lines(&findings));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn quick_and_gate_never_fire_a_volley() {
    let cases = cases();
    let [port] = ports();
    let _nginx = Nginx::start(&config(&cases[0], port), &[], port);
    let stack = stack(Tls::Off, vec![route("/", Some(ten_a_second(20, None)))]);
    let quick = stackctl::probe::Options { quick: true, ..options(&["RL"]) };
    let findings = ask(&stack, &target(port, None), None, &quick).await;
    assert!(
        findings.iter().all(|f| f.verdict == Verdict::NotApplicable) && findings.len() == 7,
        "{}",
        lines(&findings)
    );
    let gate = stackctl::probe::Options { gate: true, ..options(&["RL"]) };
    assert!(ask(&stack, &target(port, None), None, &gate).await.is_empty());
}

#[tokio::test]
async fn a_limit_is_measured_behind_tls_too() {
    let cases = cases();
    let leaf = Authority::self_signed(DOMAIN);
    let [http, https] = ports();
    let tls = format!("127.0.0.1:{https} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem");
    let sent = "add_header Strict-Transport-Security \"max-age=63072000\" always;";
    let text = config(&cases[0], http).replace(&format!("listen 127.0.0.1:{http}"), &format!("listen {tls}"));
    let text = text.replace("add_header Retry-After", &format!("{sent} add_header Retry-After"));
    let pem = [("cert.pem", leaf.cert.as_str()), ("key.pem", leaf.key.as_str())];
    let _nginx = Nginx::start(&text, &pem, https);
    let stack = stack(files(), vec![route("/", Some(ten_a_second(20, None)))]);
    let target = target(http, Some(https));
    let mut findings = ask(&stack, &target, None, &options(&["RL", "HSTS-1"])).await;
    if findings.iter().any(|f| f.verdict == Verdict::Inconclusive) {
        findings = ask(&stack, &target, None, &options(&["RL", "HSTS-1"])).await;
    }
    assert!(findings.iter().all(|f| f.verdict == Verdict::Pass), "{}", lines(&findings));
    assert!(findings.iter().any(|f| f.id == "HSTS-1" && f.observed.contains("429")), "{}", lines(&findings));
}

/// Five a minute take a minute to see at twice the rate: there the time until the next one is admitted is the verdict.
#[tokio::test]
async fn a_slow_limit_is_measured_by_its_next_request() {
    let per_minute = |requests| Rate { requests, per: RateUnit::Minute };
    let cases = [("right", 9, None), ("twice as fast", 18, Some("RL-3")), ("half as fast", 4, Some("RL-3"))];
    let measured = cases.map(|(name, real, fails)| async move {
        let case = Case { name, zone: "", location: "limit_req zone=z burst=2 nodelay;", burst: 2, delay: None, fails };
        let zone = format!("limit_req_zone $binary_remote_addr zone=z:1m rate={real}r/m;");
        let [port] = ports();
        let config = config(&case, port).replace("server_tokens off;", &format!("server_tokens off; {zone}"));
        let config = config.replace("REJECTED 1;", "REJECTED 7;");
        let _nginx = Nginx::start(&config, &[], port);
        let allows = Allows::Bucket(Bucket { rate: per_minute(9), burst: 2, delay: None });
        let stack = stack(Tls::Off, vec![route("/", Some(Limit { allows, ..ten_a_second(2, None) }))]);
        let started = Instant::now();
        let findings = ask(&stack, &target(port, None), None, &options(&["RL"])).await;
        println!("{name}: {} ms\n{}", started.elapsed().as_millis(), lines(&findings));
        (name, fails, findings)
    });
    for (name, fails, findings) in join_all(measured).await {
        let of = |id: &str| findings.iter().find(|f| f.id == id).map(|f| f.verdict);
        let wanted = if fails.is_some() { Verdict::Fail } else { Verdict::Pass };
        assert_eq!(of("RL-3"), Some(wanted), "{name}:\n{}", lines(&findings));
        // Half as fast also admits less than a whole burst when it is asked.
        if name != "half as fast" {
            assert_eq!(of("RL-1"), Some(Verdict::Pass), "{name}:\n{}", lines(&findings));
        }
        if fails.is_none() {
            assert_eq!(of("RL-5"), Some(Verdict::Pass), "{name}:\n{}", lines(&findings));
        }
    }
}

/// Two limits have two buckets: what is waited for of one is no reason to wait with the other.
#[tokio::test]
async fn limits_are_waited_for_side_by_side() {
    let [port] = ports();
    let two = "limit_req_zone $binary_remote_addr zone=a:1m rate=10r/s; limit_req_zone $binary_remote_addr zone=b:1m rate=10r/s;";
    let case = &cases()[0];
    let config = config(case, port).replace(ZONE, two).replace("zone=z burst", "zone=a burst").replace(
        "location / {",
        "location /b/ { limit_req zone=b burst=20 nodelay; try_files /ok.txt =404; } location / {",
    );
    let _nginx = Nginx::start(&config, &[], port);
    let other = Limit { line: 22, declared: "/b/".to_owned(), ..ten_a_second(20, None) };
    let stack = stack(Tls::Off, vec![route("/", Some(ten_a_second(20, None))), route("/b/", Some(other))]);
    let mut findings = Vec::new();
    let started = Instant::now();
    let timings =
        verify(&stack, &Known::default(), &target(port, None), &options(&["RL"]), &mut |f| findings.push(f)).await;
    let took = started.elapsed();
    let of = |path: &str| timings.waits.iter().find(|(what, _)| what.ends_with(path)).map(|(_, time)| *time);
    let (Some(one), Some(two)) = (of(" /"), of(" /b/")) else { panic!("{timings:?}") };
    assert!(one > Duration::from_secs(5) && two > Duration::from_secs(5), "{timings:?}");
    assert!(took < (one + two).mul_f64(0.75), "{took:?} for {timings:?}");
    let failed: Vec<_> = findings.iter().filter(|f| f.verdict == Verdict::Fail).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(
        findings.iter().filter(|f| f.id == "RL-1" && f.verdict == Verdict::Pass).count(),
        2,
        "{}",
        lines(&findings)
    );
    let groups: Vec<_> = timings.groups.iter().filter(|(ids, _)| ids.contains(&"RL-1")).collect();
    assert_eq!(groups.len(), 2, "{timings:?}");
}
