//! Quotas as a service may count them, rightly and wrongly. Nginx's own are in `tests/render/quota.rs`.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stackctl::base::units::Quota;
use stackctl::model::finding::Verdict;
use stackctl::model::limit::{Allows, Enforcer, Limit};
use stackctl::model::proxy::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{ask, headers, ids, lines, options, route, stack, target, ten_a_second};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Count {
    Right,
    OneTooMany,
    Never,
    /// By a header that anybody can write.
    Forgeable,
    /// Says an hour, whatever the window.
    WrongWait,
    NoWait,
    /// The free path as well.
    Everywhere,
}

/// A server that admits `quota` requests a window and client; its port.
async fn serve(count: Count, quota: usize, window: Duration) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent: String = headers().iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
    let seen: Arc<Mutex<HashMap<String, Vec<Instant>>>> = Arc::default();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, sent) = (Arc::clone(&seen), sent.clone());
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let forged = head.lines().find_map(|l| l.strip_prefix("X-Forwarded-For: ")).unwrap_or_default();
                    let who = if count == Count::Forgeable { forged.to_owned() } else { String::new() };
                    let free = head.starts_with("GET /free") && count != Count::Everywhere;
                    let refused = {
                        let mut seen = seen.lock().unwrap();
                        let times = seen.entry(who).or_default();
                        times.retain(|time| time.elapsed() < window);
                        let most = if count == Count::OneTooMany { quota + 1 } else { quota };
                        let refused = times.len() >= most && count != Count::Never && !free;
                        let wait = times.first().map_or(Duration::ZERO, |time| window.saturating_sub(time.elapsed()));
                        if !free && !refused {
                            times.push(Instant::now());
                        }
                        refused.then_some(wait)
                    };
                    let wait = match (refused, count) {
                        (None, _) | (_, Count::NoWait) => String::new(),
                        (Some(_), Count::WrongWait) => "Retry-After: 3600\r\n".to_owned(),
                        (Some(wait), _) => format!("Retry-After: {}\r\n", wait.as_secs() + 1),
                    };
                    let status = if refused.is_some() { "429 Too Many" } else { "200 OK" };
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{sent}{wait}\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn declared(quota: &str, by: Enforcer) -> Limit {
    Limit { allows: Allows::Quota(quota.parse::<Quota>().unwrap()), by, ..ten_a_second(0, None) }
}

#[tokio::test]
async fn right_quotas_pass_and_wrong_ones_never_do() {
    for (count, fails) in [
        (Count::Right, None),
        (Count::OneTooMany, Some("RL-1")),
        (Count::Never, Some("RL-1")),
        (Count::Forgeable, Some("RL-6")),
        (Count::WrongWait, Some("RL-5")),
        (Count::NoWait, Some("RL-5")),
        (Count::Everywhere, Some("RL-7")),
    ] {
        let port = serve(count, 5, Duration::from_secs(3)).await;
        let routes = vec![route("/", Some(declared("5/3s", Enforcer::App))), route("/free", None)];
        let findings = ask(&stack(Tls::Off, routes), &target(port, None), None, &options(&["RL"])).await;
        let failed = ids(&findings, Verdict::Fail);
        match fails {
            None => {
                let passed = ids(&findings, Verdict::Pass);
                let wanted = ["RL-1", "RL-4", "RL-5", "RL-6", "RL-7"];
                assert!(failed.is_empty() && wanted.iter().all(|id| passed.contains(id)), "{}", lines(&findings));
            }
            Some(id) => assert!(failed.contains(id), "{count:?}:\n{}", lines(&findings)),
        }
    }
}

#[tokio::test]
async fn what_would_lock_somebody_out_is_left_alone() {
    let port = serve(Count::Right, 100, Duration::from_secs(3600)).await;
    let routes = vec![route("/", Some(declared("100/hour", Enforcer::Proxy)))];
    let findings = ask(&stack(Tls::Off, routes), &target(port, None), None, &options(&["RL"])).await;
    assert!(
        findings.iter().all(|f| f.verdict == Verdict::NotApplicable) && findings.len() == 7,
        "{}",
        lines(&findings)
    );
}
