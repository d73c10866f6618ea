//! Servers that mean harm: the prober must come back, in time, and show nothing raw.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use stackctl::model::finding::Verdict;
use stackctl::model::proxy::Tls;
use stackctl::probe::through;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::support::certs::Authority;
use crate::support::nginx::{Nginx, ports};
use crate::support::{DOMAIN, ask, files, ids, lines, options, route, stack, target, ten_a_second};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Trick {
    EndlessBody,
    EndlessChunks,
    SlowHeader,
    RedirectLoop,
    HugeHeader,
    InvalidUtf8,
    Reset,
    Escapes,
    Silence,
    Interim,
}

const TRICKS: [Trick; 10] = [
    Trick::EndlessBody,
    Trick::EndlessChunks,
    Trick::SlowHeader,
    Trick::RedirectLoop,
    Trick::HugeHeader,
    Trick::InvalidUtf8,
    Trick::Reset,
    Trick::Escapes,
    Trick::Silence,
    Trick::Interim,
];

async fn serve(trick: Trick) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(play(stream, trick));
        }
    });
    address
}

/// Until the other side has had enough.
async fn play(mut stream: TcpStream, trick: Trick) -> std::io::Result<()> {
    let mut heard = [0; 1024];
    if trick == Trick::Reset {
        stream.set_zero_linger()?;
        return Ok(());
    }
    let _ = stream.read(&mut heard).await?;
    let block = vec![b'a'; 64 << 10];
    match trick {
        Trick::EndlessBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            for _ in 0..10_000 {
                stream.write_all(&block).await?;
            }
        }
        Trick::EndlessChunks => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            for _ in 0..10_000_000 {
                stream.write_all(b"4\r\naaaa\r\n").await?;
            }
        }
        Trick::SlowHeader => {
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(std::iter::repeat_n(&b'a', 1000)) {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Trick::RedirectLoop => {
            stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await?;
        }
        Trick::HugeHeader => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Huge: ").await?;
            for _ in 0..1600 {
                stream.write_all(&block).await?;
            }
        }
        Trick::InvalidUtf8 => {
            stream.write_all(b"HTTP/1.1 200 \xff\xfe\r\nServer: \xc3\x28/1\r\n\xf0: \x80\r\n\r\n\xff\xff").await?;
        }
        Trick::Escapes => {
            stream
                .write_all(b"HTTP/1.1 302 \x1b[2J\r\nServer: \x1b]0;pwned\x07/1.0\r\nLocation: http://\x1b[31mevil\xe2\x80\xae\r\nRetry-After: \x1b[1\r\n\r\n\x1b[2J")
                .await?;
        }
        Trick::Silence => sleep(Duration::from_secs(600)).await,
        Trick::Interim => loop {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        },
        Trick::Reset => {}
    }
    Ok(())
}

#[tokio::test]
async fn one_request_comes_back_in_time() {
    let started = Instant::now();
    join_all(TRICKS.map(|trick| async move {
        let answer = through(serve(trick).await, "/", "sum.test", &[]).await;
        if let Ok(response) = &answer {
            assert!(response.body.len() <= 1 << 20, "{trick:?}");
        }
        let shown = format!("{answer:.0?}");
        assert!(!shown.contains('\x1b'), "{trick:?}");
    }))
    .await;
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_whole_run_comes_back_in_time_and_shows_nothing_raw() {
    let runs = join_all(TRICKS.iter().flat_map(|trick| [(*trick, Tls::Off), (*trick, files())]).map(
        |(trick, tls)| async move {
            let started = Instant::now();
            let port = serve(trick).await.port();
            let https = (tls != Tls::Off).then_some(port);
            let mut websocket = route("/ws", None);
            websocket.websocket = true;
            let stack = stack(tls.clone(), vec![route("/", Some(ten_a_second(2, None))), websocket]);
            let options = stackctl::probe::Options { deadline: Duration::from_secs(2), ..options(&[]) };
            let findings = ask(&stack, &target(port, https), Some("rubbish"), &options).await;
            (trick, https.is_some(), findings, started.elapsed())
        },
    ))
    .await;
    for (trick, https, findings, took) in runs {
        println!("{trick:?} https={https}: {} findings in {:.1} s", findings.len(), took.as_secs_f64());
        for finding in &findings {
            let texts = [&finding.subject, &finding.observed, &finding.expected];
            let raw = texts.iter().any(|t| t.chars().any(|c| c.is_control() || c == '\u{202e}'));
            assert!(!raw, "{trick:?}: {finding:?}");
        }
        let silent =
            matches!(trick, Trick::SlowHeader | Trick::HugeHeader | Trick::Reset | Trick::Silence | Trick::Interim);
        if silent || https {
            let passed = ids(&findings, Verdict::Pass);
            assert!(!passed.contains("HLT-1") && !passed.contains("RL-1"), "{trick:?}\n{}", lines(&findings));
        }
        assert!(took < Duration::from_secs(90), "{trick:?} https={https} took {took:?}\n{}", lines(&findings));
    }
}

/// A chain of a thousand certificates: more than a handshake is willing to read.
#[tokio::test]
async fn a_huge_chain_neither_hangs_nor_passes() {
    let ca = Authority::new();
    let leaf = ca.good(DOMAIN);
    let chain = format!("{}{}", leaf.cert, ca.intermediate.repeat(1000));
    let [http, https] = ports();
    let config = format!(
        "ssl_certificate cert.pem; ssl_certificate_key key.pem;
         server {{ listen 127.0.0.1:{http}; return 404; }}
         server {{ listen 127.0.0.1:{https} ssl; return 200 hello; }}"
    );
    let _nginx = Nginx::start(&config, &[("cert.pem", &chain), ("key.pem", &leaf.key)], https);
    let started = Instant::now();
    let options = stackctl::probe::Options {
        deadline: Duration::from_secs(2),
        trust: Some(ca.root.clone()),
        ..options(&["TLS", "HDR", "HLT"])
    };
    let stack = stack(files(), vec![route("/", None)]);
    let findings = ask(&stack, &target(http, Some(https)), Some(&leaf.cert), &options).await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}\n{}", started.elapsed(), lines(&findings));
    let passed = ids(&findings, Verdict::Pass);
    for id in ["HLT-1", "TLS-5", "TLS-6", "TLS-7", "HDR-1"] {
        assert!(!passed.contains(id), "{id}\n{}", lines(&findings));
        assert!(findings.iter().any(|f| f.id == id), "{id} is not told\n{}", lines(&findings));
    }
}
