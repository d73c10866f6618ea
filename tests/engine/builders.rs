//! What an engine can do decides what is asked of it: each row of the table, and each kind of builder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use stackctl::base::env::Env;
use stackctl::base::name::ServiceName;
use stackctl::base::secret::Secret;
use stackctl::base::units::Span;
use stackctl::engine::build::{BuildNews, Wanted};
use stackctl::engine::capability::{Capability, TABLE};
use stackctl::engine::{Engine, EngineError, ErrorKind};
use stackctl::model::container::{Attachment, ContainerSpec, EngineHealth};
use stackctl::model::service::Build;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::fake::{Fake, Reply};

/// An engine's answer to `/_ping`.
fn ping(server: &str, builder: &str) -> Reply {
    let builder = if builder.is_empty() { String::new() } else { format!("Builder-Version: {builder}\r\n") };
    Reply::cut(&format!("HTTP/1.1 200 OK\r\nServer: {server}\r\n{builder}Content-Length: 2\r\n\r\nOK"))
}

fn fake(api: &'static str, server: &'static str, builder: &'static str) -> Fake {
    Fake::with_version(api, move |line| match line {
        "GET /_ping" => ping(server, builder),
        line if line.ends_with("/_ping") => ping(server, builder),
        _ => Reply::json(500, r#"{"message":"that is as far as it goes"}"#),
    })
}

async fn build(engine: &Engine, dockerfile: &str, secret: Option<&str>) -> (EngineError, Vec<BuildNews>) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    tar.append_data(&mut header, "Dockerfile", dockerfile.as_bytes()).unwrap();
    let build = Build {
        name: ServiceName::parse("app").unwrap(),
        context: ".".into(),
        dockerfile: "Dockerfile".into(),
        target: None,
        args: BTreeMap::new(),
        platform: None,
        secrets: BTreeSet::new(),
    };
    let secrets: BTreeMap<String, Secret> =
        secret.into_iter().map(|value| ("token".to_owned(), Secret::new(value))).collect();
    let (labels, mut news) = (BTreeMap::new(), Vec::new());
    let wanted = Wanted { build: &build, tag: "x:1", labels: &labels, secrets: &secrets };
    let ended = engine.build(wanted, tar.into_inner().unwrap(), &mut |n| news.push(n)).await;
    (ended.expect_err("no engine here builds"), news)
}

/// Whether a Dockerfile is refused before anything is sent.
async fn refuses(fake: &Fake, dockerfile: &str) -> bool {
    let engine = fake.connect().await.unwrap();
    let (error, _) = build(&engine, dockerfile, None).await;
    let sent = fake.seen().iter().any(|r| r.line.ends_with("/build") || r.line.ends_with("/session"));
    assert_eq!(error.message.contains("needs"), !sent, "{error}");
    !sent
}

fn version(api: (usize, usize)) -> &'static str {
    format!("{}.{}", api.0, api.1).leak()
}

#[tokio::test]
async fn each_row_of_the_table_makes_a_difference() {
    for row in TABLE {
        let (before, since) = (version((row.since.0, row.since.1 - 1)), version(row.since));
        let docker = |api| fake(api, "Docker/1.2.3 (linux)", "2");
        let dockerfile = match row.capability {
            Capability::Everything => {
                assert!(docker(before).connect().await.is_err());
                docker(since).connect().await.unwrap();
                continue;
            }
            // All engines that are accepted have it, unless they say otherwise.
            Capability::BuildKit => {
                let text = "FROM a\nRUN --mount=type=cache,target=/c true";
                assert!(refuses(&fake("1.41", "Docker/1.2.3 (linux)", "1"), text).await);
                assert!(!refuses(&fake("1.41", "Docker/1.2.3 (linux)", ""), text).await);
                continue;
            }
            Capability::HereDocuments => "FROM a\nCOPY --link a b",
            Capability::Checksums => "FROM a\nADD --checksum=sha256:a b c",
            Capability::Filters => "FROM a\nCOPY --parents a b",
            Capability::DiskUsageByKind => {
                for (api, asked) in [(before, false), (since, true)] {
                    let fake = docker(api);
                    fake.connect().await.unwrap().reclaimable().await.unwrap_err();
                    let head = fake.seen().last().unwrap().head.clone();
                    assert_eq!(head.contains("type=image&type=build-cache"), asked, "{head}");
                }
                continue;
            }
            Capability::SeveralNetworks | Capability::StartInterval => {
                for (api, newer) in [(before, false), (since, true)] {
                    let (connects, body) = created(api).await;
                    if row.capability == Capability::SeveralNetworks {
                        assert_eq!(connects, usize::from(!newer), "of {api}");
                        assert_eq!(body.contains(r#""b":{"#), newer, "{body}");
                    } else {
                        assert_eq!(body.contains(r#""StartInterval":1000000000"#), newer, "{body}");
                    }
                }
                continue;
            }
        };
        assert!(refuses(&docker(before), dockerfile).await, "{dockerfile} of {before}");
        assert!(!refuses(&docker(since), dockerfile).await, "{dockerfile} of {since}");
        let fetched = format!("# syntax=docker/dockerfile:1\n{dockerfile}");
        assert!(!refuses(&docker(before), &fetched).await, "the engine fetches a reader that knows it");
    }
}

/// Creates a container on two networks with a health check: how often a network was joined afterwards, and what the
/// create call said.
async fn created(api: &'static str) -> (usize, String) {
    let fake = Fake::with_version(api, |line| match line {
        line if line.ends_with("/containers/create") => Reply::json(201, r#"{"Id":"ab","Warnings":[]}"#),
        _ => Reply::json(200, "{}"),
    });
    let on = |network: &str| Attachment { network: network.to_owned(), address: None, aliases: Vec::new() };
    let spec = ContainerSpec {
        name: "c".into(),
        image: "i".into(),
        networks: vec![on("a"), on("b")],
        health: Some(EngineHealth {
            command: vec!["true".into()],
            interval: Span::seconds(10),
            timeout: Span::seconds(5),
            retries: 3,
            start_period: Span::seconds(60),
        }),
        ..ContainerSpec::default()
    };
    fake.connect().await.unwrap().create(&spec).await.unwrap();
    let seen = fake.seen();
    let create = seen.iter().find(|r| r.line.ends_with("/containers/create")).unwrap();
    let connects = seen.iter().filter(|r| r.line.ends_with("/connect")).count();
    (connects, String::from_utf8_lossy(&create.body).into_owned())
}

#[tokio::test]
async fn a_secret_needs_buildkit() {
    for (server, builder) in [("Docker/20.10.24 (linux)", "1"), ("Libpod/4.3.1 (linux)", ""), ("Something", "")] {
        let fake = fake("1.41", server, builder);
        let (error, _) = build(&fake.connect().await.unwrap(), "FROM a", Some("hunter2-hunter2")).await;
        assert_eq!(error.message, "the build has secrets (`token`), which need BuildKit", "{server}");
        assert!(error.hint().unwrap().contains("\"buildkit\": true"));
        let seen = fake.seen();
        assert!(!seen.iter().any(|r| r.line.starts_with("POST")), "nothing is sent: {seen:?}");
    }
}

#[tokio::test]
async fn podman_builds_what_buildkit_would() {
    let fake = fake("1.41", "Libpod/4.3.1 (linux)", "");
    assert!(!refuses(&fake, "FROM a\nRUN --mount=type=cache,target=/c true").await);
    assert!(!fake.seen().iter().any(|r| r.line.ends_with("/session")), "it has none");
}

/// What the engine asks in a session: a method, its message, and what is answered: bytes, or a code of gRPC.
type Asked = Arc<Mutex<Vec<(&'static str, Result<Vec<u8>, String>)>>>;

/// An engine that takes a session, asks in it, and answers a build with these bytes.
fn session_engine(listener: UnixListener, asked: Asked, answer: &'static [u8]) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(one(stream, Arc::clone(&asked), answer));
        }
    });
}

async fn one(mut stream: UnixStream, asked: Asked, answer: &'static [u8]) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let say =
        |body: &str| format!("HTTP/1.1 200 OK\r\nServer: Docker/1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let version = r#"{"Version":"1.2.3","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}"#;
    if head.starts_with("POST /v1.41/session ") {
        assert!(head.contains("upgrade: h2c") || head.contains("Upgrade: h2c"), "{head}");
        let up = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
        stream.write_all(up.as_bytes()).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for (method, message) in [
            ("/grpc.health.v1.Health/Check", &b""[..]),
            ("/moby.buildkit.secrets.v1.Secrets/GetSecret", b"\x0a\x05token"),
            ("/moby.buildkit.secrets.v1.Secrets/GetSecret", b"\x0a\x05other"),
            ("/moby.filesync.v1.Auth/Credentials", b"\x0a\x09ghcr.io.x"),
            ("/moby.filesync.v1.Auth/FetchToken", b""),
        ] {
            let answer = call(&mut client, method, message).await;
            asked.lock().unwrap().push((method, answer));
        }
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    } else if head.starts_with("POST /v1.41/build?") {
        while asked.lock().unwrap().len() < 5 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // The context, to its end: whoever hangs up on unread bytes resets the connection.
        let mut sent = Vec::new();
        let quiet = std::time::Duration::from_millis(300);
        while tokio::time::timeout(quiet, stream.read_buf(&mut sent)).await.is_ok_and(|read| read.is_ok_and(|n| n > 0))
        {
        }
        stream.write_all(answer).await.unwrap();
    } else if head.contains("/version ") {
        stream.write_all(say(version).as_bytes()).await.unwrap();
    } else {
        stream.write_all(say("{}").as_bytes()).await.unwrap();
    }
}

async fn call(client: &mut h2::client::SendRequest<Bytes>, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let request = http::Request::post(format!("http://localhost{method}")).body(()).unwrap();
    let (response, mut send) = client.send_request(request, false).unwrap();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    send.send_data(frame.into(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/grpc");
    if let Some(code) = response.headers().get("grpc-status") {
        return Err(code.to_str().unwrap().to_owned());
    }
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(part) = body.data().await {
        all.extend_from_slice(&part.unwrap());
    }
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    Ok(all.split_off(5))
}

const FAILED: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n{\"id\":\"moby.buildkit.trace\",\"aux\":\"not base64 !\"}\n\
    nonsense\n{\"errorDetail\":{\"message\":\"failed to solve: no hunter2-hunter2 here\"},\"error\":\"x\"}\n";

/// The engine asks for what it needs, gets what it may have, and the value is in no error.
#[tokio::test]
async fn a_session_answers_what_was_asked_and_nothing_else() {
    let answers: [(&'static [u8], &str); 3] = [
        (FAILED, "no [secret] here"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"stream\":", ""),
        (b"HTTP/1.1 500 X\r\nContent-Length: 29\r\n\r\n{\"message\":\"no such builder\"}", "no such builder"),
    ];
    for (answer, message) in answers {
        let folder = tempfile::tempdir().unwrap();
        let asked = Asked::default();
        session_engine(UnixListener::bind(folder.path().join("s")).unwrap(), Arc::clone(&asked), answer);
        let address = format!("unix://{}", folder.path().join("s").display());
        let engine = Engine::connect(Some(&address), &Env::default()).await.unwrap();
        let (error, _) = build(&engine, "FROM a", Some("hunter2-hunter2")).await;
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        if message.is_empty() {
            assert_eq!(error.kind, ErrorKind::NotReachable, "{error}");
        } else {
            assert!(error.message.contains(message), "{error}");
        }
        let asked = asked.lock().unwrap();
        let answers: Vec<_> = asked.iter().map(|(_, answer)| answer.clone()).collect();
        assert_eq!(
            answers,
            [
                Ok(b"\x08\x01".to_vec()),
                Ok(b"\x0a\x0fhunter2-hunter2".to_vec()),
                Err("5".to_owned()),
                Ok(Vec::new()),
                Err("12".to_owned()),
            ]
        );
    }
}

/// An engine that says yes to everything and opens no session, or none that makes sense.
#[tokio::test]
async fn an_engine_without_sessions_is_an_error_in_words() {
    type Make = fn() -> Reply;
    let replies: [(Make, &str); 4] = [
        (|| Reply::json(200, "{}"), "the engine opens no session (200 OK)"),
        (|| Reply::json(404, r#"{"message":"page not found"}"#), "page not found"),
        (|| Reply::cut("garbage"), ""),
        (|| Reply::cut("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\ngarbage"), ""),
    ];
    for (reply, words) in replies {
        let fake = Fake::with_version("1.41", move |line| match line {
            line if line.ends_with("/_ping") => ping("Docker/1", "2"),
            line if line.ends_with("/session") => reply(),
            _ => Reply::json(500, r#"{"message":"no builds today"}"#),
        });
        let (error, _) = build(&fake.connect().await.unwrap(), "FROM a", None).await;
        assert!(error.message.contains(words) && !error.message.is_empty(), "{error}");
    }
}
