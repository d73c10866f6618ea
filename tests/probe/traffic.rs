//! A right server, and the same with one thing broken: exactly the check that is about it fails.

use std::collections::BTreeSet;

use stackctl::base::date::Date;
use stackctl::base::units::Span;
use stackctl::model::checklist::{OwnAsk, OwnCheck, OwnRequest, Waiver};
use stackctl::model::finding::Verdict;
use stackctl::model::stack::Stack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::support::certs::{Authority, Leaf};
use crate::support::nginx::{Nginx, ports};
use crate::support::{DOMAIN, ask, files, ids, lines, options, route, stack, target};

/// What is asked here.
const ASKED: [&str; 9] = ["HDR-8", "HSTS-2", "CORS-1", "BODY-1", "CMP-1", "CCH-1", "H2-1", "OWN-1", "WVR-1"];

/// A service behind Nginx that reads what it is sent.
async fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = format!("{{\"status\":\"healthy\",\"filler\":\"{}\"}}", "x".repeat(2000));
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            let cookie = "Set-Cookie: session=abc; Path=/; Secure; HttpOnly; SameSite=Lax\r\n";
            let _ = stream.write_all(format!("{head}{cookie}Connection: close\r\n\r\n{body}").as_bytes()).await;
        }
    });
    port
}

fn right(https: u16, upstream: u16) -> String {
    format!(
        "ssl_certificate cert.pem; ssl_certificate_key key.pem;
         gzip on; gzip_vary on; gzip_proxied any; gzip_min_length 1024; gzip_types application/json;
         server {{ listen 127.0.0.1:{https} ssl http2; server_name {DOMAIN};
           add_header Strict-Transport-Security \"max-age=63072000; includeSubDomains; preload\" always;
           client_max_body_size 1m;
           location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}"
    )
}

fn declared() -> Stack {
    let mut stack = stack(files(), vec![route("/", None)]);
    stack.checklist.own.push(OwnCheck {
        name: "health".into(),
        line: 30,
        ask: OwnAsk::Http(OwnRequest {
            method: "POST".into(),
            path: "/api?x=1".into(),
            headers: [("X-Test".to_owned(), "yes".to_owned())].into(),
            body: "{}".into(),
            status: Some(200),
            contains: None,
            json: [("status".to_owned(), "healthy".to_owned())].into(),
        }),
        within: Span::seconds(5),
    });
    stack
}

async fn failing(config: &str, leaf: &Leaf, https: u16, stack: &Stack) -> (BTreeSet<&'static str>, String) {
    let pem = [("cert.pem", leaf.cert.as_str()), ("key.pem", leaf.key.as_str())];
    let _nginx = Nginx::start(config, &pem, https);
    let quick = stackctl::probe::Options { quick: true, ..options(&ASKED) };
    let findings = ask(stack, &target(1, Some(https)), None, &quick).await;
    (ids(&findings, Verdict::Fail), lines(&findings))
}

#[tokio::test]
async fn each_break_fails_its_own_check() {
    let leaf = Authority::self_signed(DOMAIN);
    let upstream = service().await;
    let [https] = ports();
    let config = right(https, upstream);
    let strange = "add_header Access-Control-Allow-Origin $http_origin always; proxy_pass";
    let breaks: [(&str, &str, &[&str]); 12] = [
        ("", "", &[]),
        ("includeSubDomains; ", "", &["HSTS-2"]),
        ("max-age=63072000", "max-age=86400", &["HSTS-2"]),
        ("client_max_body_size 1m", "client_max_body_size 2m", &["BODY-1"]),
        ("client_max_body_size 1m", "client_max_body_size 1k", &["BODY-1"]),
        ("proxy_pass", strange, &["CORS-1"]),
        ("proxy_pass", "add_header Cache-Control \"public, max-age=60\"; proxy_pass", &["CCH-1"]),
        ("proxy_pass", "add_header Set-Cookie \"login=1\"; proxy_pass", &["HDR-8"]),
        ("proxy_pass", "proxy_cookie_flags session nosecure; proxy_pass", &["HDR-8"]),
        ("proxy_pass", "proxy_cookie_flags session nohttponly; proxy_pass", &["HDR-8"]),
        ("proxy_pass", "gzip off; add_header Content-Encoding gzip; proxy_pass", &["CMP-1"]),
        ("proxy_pass", "sub_filter_types application/json; sub_filter healthy sick; proxy_pass", &["OWN-1"]),
    ];
    let mut wrong = String::new();
    for (from, to, fails) in breaks {
        let broken = if from.is_empty() { config.clone() } else { config.replacen(from, to, 1) };
        let (failed, shown) = failing(&broken, &leaf, https, &declared()).await;
        if failed != fails.iter().copied().collect() {
            wrong += &format!("`{from}` → `{to}`: {failed:?} instead of {fails:?}\n{shown}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn a_waiver_makes_a_failure_a_warning_and_is_looked_at_itself() {
    let leaf = Authority::self_signed(DOMAIN);
    let upstream = service().await;
    let [https] = ports();
    let config = right(https, upstream).replace("client_max_body_size 1m", "client_max_body_size 2m");
    let waiver = |check: &str, until: &str| Waiver {
        check: check.into(),
        subject: None,
        reason: "uploads move elsewhere".into(),
        until: until.parse::<Date>().unwrap(),
        line: 40,
    };
    for (waiver, fails) in [
        (waiver("BODY-1", "2999-01-01"), &[][..]),
        (waiver("BODY", "2999-01-01"), &[]),
        (waiver("BODY-1", "2026-01-01"), &["BODY-1"]),
        (waiver("CORS", "2999-01-01"), &["BODY-1"]),
        (waiver("BODY-9", "2999-01-01"), &["BODY-1", "WVR-1"]),
    ] {
        let mut stack = declared();
        stack.checklist.waivers.push(waiver.clone());
        let (failed, shown) = failing(&config, &leaf, https, &stack).await;
        assert_eq!(failed, fails.iter().copied().collect(), "{waiver:?}\n{shown}");
    }
}

/// A name server that has these answers: query type and record data.
async fn name_server(records: &'static [(u8, &'static [u8])]) -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut heard = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut heard).await {
            let question = &heard[12..length - 11];
            let kind = question[question.len() - 3];
            let found: Vec<_> = records.iter().filter(|(k, _)| *k == kind).collect();
            let mut answer = heard[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::try_from(found.len()).unwrap(), 0, 0, 0, 0]);
            answer.extend(question);
            for (_, data) in found {
                // The high byte of CAA's number is 1, of the others' 0.
                answer.extend([
                    0xc0,
                    12,
                    u8::from(kind == 1 && question[question.len() - 4] == 1),
                    kind,
                    0,
                    1,
                    0,
                    0,
                    0,
                    9,
                ]);
                answer.extend([0, u8::try_from(data.len()).unwrap()]);
                answer.extend(*data);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

#[tokio::test]
async fn names_lead_here_or_elsewhere() {
    let name = "sum.example.org";
    let ours = Authority::self_signed(name);
    let [https] = ports();
    let config = right(https, 1).replace(DOMAIN, name);
    let pem = [("cert.pem", ours.cert.as_str()), ("key.pem", ours.key.as_str())];
    let _nginx = Nginx::start(&config, &pem, https);
    let mut stack = declared();
    if let Some(proxy) = &mut stack.proxy {
        proxy.domains = vec![stackctl::base::name::DomainName::parse(name).unwrap()];
    }
    let here = name_server(&[(1, &[127, 0, 0, 1])]).await;
    let nowhere = name_server(&[]).await;
    let other = Authority::self_signed(name).cert;
    for (server, configured, verdict) in
        [(here, &ours.cert, Verdict::Pass), (here, &other, Verdict::Fail), (nowhere, &ours.cert, Verdict::Fail)]
    {
        let options = stackctl::probe::Options { name_server: Some(server), ..options(&["DNS-1"]) };
        let findings = ask(&stack, &target(1, Some(https)), Some(configured), &options).await;
        assert_eq!(findings.iter().map(|f| f.verdict).collect::<Vec<_>>(), [verdict], "{}", lines(&findings));
    }
}
