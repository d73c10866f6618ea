//! Upgrades, private paths and domains, through a real Nginx.

use stackctl::base::name::DomainName;
use stackctl::model::finding::Verdict;
use stackctl::model::proxy::Tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::nginx::{Nginx, ports};
use crate::support::{DOMAIN, ask, lines, options, route, stack, target};

/// A service that accepts upgrades by the book, and answers everything else with 400. Its pongs are twisted by a byte.
async fn upgrader(twist: u8) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = vec![0; 4096];
            let length = stream.read(&mut heard).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&heard[..length]).into_owned();
            let key = text.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: "));
            let upgraded = text.to_lowercase().contains("upgrade: websocket");
            let answer = match key {
                Some(key) if upgraded => {
                    format!(
                        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                        accept(key)
                    )
                }
                _ => "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".into(),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            // A ping, masked, is answered with its payload.
            let mut frame = [0; 14];
            if stream.read_exact(&mut frame).await.is_ok() && frame[0] == 0x89 {
                let mut pong = vec![0x8a, 8];
                pong.extend((0..8).map(|n| frame[6 + n] ^ frame[2 + n % 4] ^ twist));
                let _ = stream.write_all(&pong).await;
            }
        }
    });
    port
}

/// Computed by another program than the prober.
fn accept(key: &str) -> String {
    let script =
        format!("printf %s {key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11 | openssl dgst -sha1 -binary | openssl base64");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_upgrade_is_passed_on_or_found_missing() {
    for (passes, twist, verdicts) in [
        (true, 0, [Verdict::Pass, Verdict::Pass]),
        (true, 1, [Verdict::Pass, Verdict::Fail]),
        (false, 0, [Verdict::Fail, Verdict::NotApplicable]),
    ] {
        let upstream = upgrader(twist).await;
        let [port] = ports();
        let pass = if passes {
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        } else {
            ""
        };
        let http = format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ {pass} proxy_pass http://127.0.0.1:{upstream}; }} }}"
        );
        let _nginx = Nginx::start(&http, &[], port);
        let mut websocket = route("/ws", None);
        websocket.websocket = true;
        let findings = ask(&stack(Tls::Off, vec![websocket]), &target(port, None), None, &options(&["WS"])).await;
        assert_eq!(findings.iter().map(|f| f.verdict).collect::<Vec<_>>(), verdicts, "{}", lines(&findings));
    }
}

#[tokio::test]
async fn private_paths_and_other_domains() {
    let [port] = ports();
    let http = format!(
        "server {{ listen 127.0.0.1:{port} default_server; return 308 http://{DOMAIN}:{port}$request_uri; }}
         server {{ listen 127.0.0.1:{port}; server_name {DOMAIN};
           location = /health {{ return 200; }}
           location = /.env {{ return 200 \"SECRET_KEY=abc\\n\"; }}
           location = /metrics {{ return 200 \"# TYPE up gauge\\nup 1\\n\"; }}
           location = /.git/HEAD {{ return 200 \"<html>start page</html>\"; }}
           location / {{ return 404; }} }}"
    );
    let _nginx = Nginx::start(&http, &[], port);
    let mut stack = stack(Tls::Off, vec![route("/", None)]);
    if let Some(proxy) = &mut stack.proxy {
        proxy.domains.push(DomainName::parse("www.sum.test").unwrap());
    }
    let findings = ask(&stack, &target(port, None), None, &options(&["NET-5", "RED"])).await;
    let verdict = |part: &str| findings.iter().find(|f| f.subject.contains(part)).map(|f| f.verdict);
    assert_eq!(verdict("/.env"), Some(Verdict::Fail), "{}", lines(&findings));
    assert_eq!(verdict("/metrics"), Some(Verdict::Fail), "{}", lines(&findings));
    assert_eq!(verdict("/.git/HEAD"), Some(Verdict::Pass), "{}", lines(&findings));
    assert_eq!(verdict("/nginx_status"), Some(Verdict::Pass), "{}", lines(&findings));
    assert_eq!(verdict("www.sum.test"), Some(Verdict::Pass), "{}", lines(&findings));
    assert!(findings.iter().any(|f| f.id == "RED-1" && f.verdict == Verdict::NotApplicable), "{}", lines(&findings));
}
