//! One-try readiness against sockets that speak like PostgreSQL and Redis.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use stackctl::model::service::Ask;
use stackctl::probe::{ready, through};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::health;

/// Answers every connection with these bytes, after it has heard something.
async fn says(answer: &'static [u8]) -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = [0; 512];
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

async fn answer(ask: Ask, bytes: &'static [u8]) -> Result<(), String> {
    ready(&health(ask), says(bytes).await).await.map_err(|e| e.to_string())
}

fn postgres() -> Ask {
    Ask::Postgres { user: "app".into(), database: "app".into() }
}

#[tokio::test]
async fn postgres_is_up_when_it_asks_who_we_are() {
    assert_eq!(answer(postgres(), b"R\0\0\0\x0c\0\0\0\x05abcd").await, Ok(()));
    assert_eq!(answer(postgres(), b"E\0\0\0\x20SFATAL\0C28P01\0Mno password\0\0\0\0").await, Ok(()));
    let starting =
        answer(postgres(), b"E\0\0\0\x3bSFATAL\0C57P03\0Mthe database system is starting up\0\0\0\0\0\0\0").await;
    assert!(starting.as_ref().is_err_and(|e| e.contains("57P03") && e.contains("starting up")), "{starting:?}");
    assert!(answer(postgres(), b"HTTP/1.1 400 Bad Request\r\n\r\n").await.is_err());
    assert!(answer(postgres(), b"").await.is_err());
}

#[tokio::test]
async fn redis_is_up_when_it_answers_and_does_not_load() {
    assert_eq!(answer(Ask::Redis, b"+PONG\r\n").await, Ok(()));
    assert_eq!(answer(Ask::Redis, b"-NOAUTH Authentication required.\r\n").await, Ok(()));
    for bad in [b"-LOADING Redis is loading the dataset in memory\r\n".as_slice(), b"", b"\x1b[2J\xff\xff"] {
        let not_ready = answer(Ask::Redis, bad).await.unwrap_err();
        assert!(!not_ready.contains('\x1b'), "{not_ready:?}");
    }
}

#[tokio::test]
async fn http_tcp_and_commands() {
    let http = |bytes| answer(Ask::Http("/health".into()), bytes);
    assert_eq!(http(b"HTTP/1.1 204 No Content\r\n\r\n").await, Ok(()));
    assert_eq!(http(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n").await, Ok(()));
    assert!(http(b"HTTP/1.1 503 Busy\r\n\r\n").await.is_err_and(|e| e.contains("503")));
    assert_eq!(answer(Ask::Tcp, b"").await, Ok(()));
    assert!(answer(Ask::Command(vec!["true".into()]), b"").await.is_err());
    let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    assert_eq!(ready(&health(Ask::Tcp), nobody).await.map_err(|e| e.to_string()), Err("connection refused".into()));
}

#[tokio::test]
async fn through_gives_status_headers_and_body() {
    let address = says(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi").await;
    let response = through(address.into(), "/x", "sum.test", &[("X-B", "c")]).await.unwrap();
    assert_eq!((response.status, response.header("x-a"), response.body.as_slice()), (200, Some("b"), b"hi".as_slice()));
}
