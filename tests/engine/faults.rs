//! Every fault of an engine is an error in words, never a panic and never a hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use futures_util::StreamExt;
use stackctl::base::env::Env;
use stackctl::engine::events::Action;
use stackctl::engine::{Engine, ErrorKind};

use super::fake::{Fake, Reply};
use super::support::project;

#[tokio::test]
async fn old_and_new_versions_are_negotiated() {
    for (api, used) in [("1.41", "1.41"), ("1.44", "1.44"), ("1.99", "1.53")] {
        let fake = Fake::with_version(api, |_| Reply::json(404, "{}"));
        let engine = fake.connect().await.unwrap();
        assert_eq!(engine.facts().api, used, "of {api}");
        assert_eq!((engine.facts().version.as_str(), engine.facts().arch.as_str()), ("1.2.3", "amd64"));
        assert!(!engine.facts().local, "another kernel is another host");
        assert_eq!(fake.seen().len(), 2, "what it is, and what its host is; nothing twice");
    }
}

#[tokio::test]
async fn what_cannot_be_talked_to_says_so() {
    let old = Fake::with_version("1.40", |_| Reply::json(404, "{}")).connect().await.unwrap_err();
    assert!(old.to_string().ends_with("the engine is version 1.2.3 (API 1.40), which is too old"), "{old}");
    assert!(old.hint().unwrap().contains("20.10"));

    let nothing = Engine::connect(Some("unix:///no/such/socket"), &Env::default()).await.unwrap_err();
    assert_eq!(nothing.kind, ErrorKind::NotReachable, "{nothing}");
    assert!(nothing.to_string().contains("/no/such/socket"), "{nothing}");

    for (bytes, what) in [("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "garbage"), ("SSH-2.0-x\r\n", "not HTTP")]
    {
        let fake = Fake::start(move |_| Reply::cut(bytes));
        let error = fake.connect().await.expect_err(what);
        assert!(matches!(error.kind, ErrorKind::Other | ErrorKind::NotReachable), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_socket_without_an_engine_behind_it_is_not_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Engine::connect(path.to_str(), &Env::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotReachable, "{error}");
    assert!(error.to_string().ends_with(": Connection refused (os error 111)"), "{error}");
}

#[tokio::test]
async fn faults_while_observing() {
    type Make = fn() -> Reply;
    let faults: [(&str, Make, &[ErrorKind]); 7] = [
        ("500", || Reply::json(500, r#"{"message":"no space left on device"}"#), &[ErrorKind::NoSpace]),
        ("500 empty", || Reply::json(500, ""), &[ErrorKind::Other]),
        ("garbage", || Reply::json(200, "<html>"), &[ErrorKind::Other]),
        ("half a list", || Reply::json(200, r#"[{"Id":"a""#), &[ErrorKind::Other]),
        ("stall", || Reply::stall(""), &[ErrorKind::Timeout]),
        ("stall in the body", || Reply::stall("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[{"), &[ErrorKind::Timeout]),
        ("cut", || Reply::cut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[{"), &[ErrorKind::NotReachable]),
    ];
    for (what, reply, kinds) in faults {
        let fake = Fake::with_version("1.41", move |line| match line {
            "GET /containers/json" => reply(),
            "GET /networks" => Reply::json(200, "[]"),
            "GET /volumes" => Reply::json(200, r#"{"Volumes":null,"Warnings":null}"#),
            _ => Reply::json(404, r#"{"message":"No such thing"}"#),
        });
        let error = fake.connect().await.unwrap().observe(&project("p"), &[]).await.expect_err(what);
        assert!(kinds.contains(&error.kind), "{what}: {:?} {error}", error.kind);
        assert!(error.to_string().starts_with("could not list containers: "), "{what}: {error}");
    }
}

#[tokio::test]
async fn an_empty_engine_is_an_empty_observation() {
    let fake = Fake::with_version("1.41", |line| match line {
        "GET /containers/json" | "GET /networks" => Reply::json(200, "[]"),
        "GET /volumes" => Reply::json(200, r#"{"Volumes":null,"Warnings":null}"#),
        _ => Reply::json(404, r#"{"message":"No such thing"}"#),
    });
    let seen = fake.connect().await.unwrap().observe(&project("p"), &["nginx:1".into()]).await.unwrap();
    assert!(seen.containers.is_empty() && seen.images.is_empty() && seen.state.is_none());
}

/// bollard 0.21 fails a pull whose last line ends in a chunk of its own.
#[tokio::test]
async fn a_pull_that_succeeded_has_succeeded() {
    let parts =
        [r#"{"status":"Pulling from library/nginx","id":"1"}"#, "\r\n", r#"{"status":"Downloaded""#, "}", "\r\n"];
    for (there, ok) in [(true, true), (false, false)] {
        let fake = Fake::with_version("1.41", move |line| match line {
            "POST /images/create" => Reply::stream(&parts),
            _ if there => Reply::json(200, r#"{"Id":"sha256:1"}"#),
            _ => Reply::json(404, r#"{"message":"No such image: nginx:1"}"#),
        });
        let mut lines = Vec::new();
        let result = fake.connect().await.unwrap().pull("nginx:1", &mut |p| lines.push(p.status)).await;
        assert_eq!(result.is_ok(), ok, "{result:?}");
        assert!(lines.contains(&"Downloaded".to_owned()), "{lines:?}");
    }
}

#[tokio::test]
async fn a_refused_pull_names_the_way_out() {
    let fake = Fake::with_version("1.41", |_| {
        Reply::stream(&[
            "{\"errorDetail\":{\"message\":\"pull access denied for x\"},\"error\":\"pull access denied for x\"}\r\n",
        ])
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"credsStore":"pass"}"#).unwrap();
    let mut env = Env::default();
    env.vars.insert("DOCKER_CONFIG".into(), folder.path().display().to_string());
    let error = fake.connect_with(&env).await.unwrap().pull("x", &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ImageDenied, "{error}");
    assert!(error.hint().unwrap().contains("docker-credential-pass"), "{:?}", error.hint());
}

#[tokio::test]
async fn a_cut_pull_has_failed() {
    for bytes in ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a", ""] {
        let fake = Fake::with_version("1.41", move |line| match line {
            "POST /images/create" => Reply::cut(bytes),
            _ => Reply::json(404, r#"{"message":"No such image: x"}"#),
        });
        assert!(fake.connect().await.unwrap().pull("x:1", &mut |_| {}).await.is_err());
    }
}

#[tokio::test]
async fn credentials_travel_in_the_alphabet_the_engine_reads() {
    let folder = tempfile::tempdir().unwrap();
    // A password whose encoding has `/` and `+` in the standard alphabet.
    std::fs::write(folder.path().join("config.json"), r#"{"auths":{"r.io":{"username":"u","password":"???>>>~~~"}}}"#)
        .unwrap();
    let mut env = Env::default();
    env.vars.insert("DOCKER_CONFIG".into(), folder.path().display().to_string());
    let fake = Fake::with_version("1.41", |line| match line {
        "POST /images/create" => Reply::stream(&["{\"status\":\"ok\"}\r\n"]),
        _ => Reply::json(200, r#"{"Id":"sha256:1"}"#),
    });
    fake.connect_with(&env).await.unwrap().pull("r.io/a:1", &mut |_| {}).await.unwrap();
    let pull = fake.seen().into_iter().find(|r| r.line == "POST /images/create").unwrap();
    let auth = pull.head.lines().find_map(|l| l.strip_prefix("x-registry-auth: ")).unwrap().to_owned();
    assert!(!auth.contains(['+', '/']) && auth.contains(['-', '_']), "{auth}");
}

#[tokio::test]
async fn events_go_on_after_the_engine_hung_up() {
    let calls = AtomicUsize::new(0);
    let event = |id: &str, time: u64| {
        format!(
            "{{\"Type\":\"container\",\"Action\":\"die\",\"timeNano\":{time},\"Actor\":{{\"ID\":\"{id}\",\"Attributes\":{{\"exitCode\":\"3\"}}}}}}\n"
        )
    };
    let fake = Fake::with_version("1.41", move |line| match line {
        "GET /events" => match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::stream(&[&event("a", 1_000_000_001)]),
            1 => Reply::json(500, r#"{"message":"going down"}"#),
            2 => Reply::cut(""),
            _ => Reply::stream(&[&event("b", 2_000_000_000)]),
        },
        _ => Reply::json(200, "OK"),
    });
    let engine = fake.connect().await.unwrap();
    let mut events = engine.subscribe(&project("p")).await.unwrap();
    for id in ["a", "b"] {
        let event = events.next().await.unwrap().unwrap();
        assert_eq!((event.container.as_str(), event.action), (id, Action::Die(3)));
    }
    let again: Vec<_> = fake.seen().into_iter().filter(|r| r.line == "GET /events").collect();
    assert!(!again[0].head.contains("since="), "{}", again[0].head);
    assert!(again[1].head.contains("since=1.000000002"), "goes on where it was: {}", again[1].head);
}

#[tokio::test]
async fn the_registry_is_asked_through_the_engine() {
    let fake = Fake::with_version("1.41", |line| match line {
        "GET /distribution/r.test/app:1/json" => {
            Reply::json(200, r#"{"Descriptor":{"mediaType":"x","digest":"sha256:ab","size":7},"Platforms":[]}"#)
        }
        "GET /distribution/r.test/gone:latest/json" => {
            Reply::json(404, r#"{"message":"manifest unknown: manifest unknown"}"#)
        }
        _ => Reply::json(500, r#"{"message":"Get \"https://r.test/v2/\": dial tcp: lookup r.test: no such host"}"#),
    });
    let engine = fake.connect().await.unwrap();
    assert_eq!(engine.registry_digest("r.test/app:1").await.unwrap(), "sha256:ab");
    let error = engine.registry_digest("r.test/gone").await.unwrap_err();
    assert!(error.to_string().contains("manifest unknown"), "{error}");
    let error = engine.registry_digest("r.test/other:1").await.unwrap_err();
    assert!(error.to_string().contains("no such host") && error.hint().is_some(), "{error}");
}

/// A container that is going is still counted for a moment.
#[tokio::test]
async fn a_network_is_removed_once_the_engine_has_counted_again() {
    let left = Arc::new(AtomicU32::new(3));
    let count = Arc::clone(&left);
    let fake = Fake::with_version("1.41", move |line| {
        let before = count.load(Ordering::Relaxed);
        if line.starts_with("DELETE") && before > 0 {
            count.store(before - 1, Ordering::Relaxed);
            let message = "error while removing network: network n id 7 has active endpoints";
            return Reply::json(403, &format!(r#"{{"message":"{message}"}}"#));
        }
        Reply::json(200, "{}")
    });
    fake.connect().await.unwrap().remove_network("n").await.unwrap();
    assert_eq!(left.load(Ordering::Relaxed), 0);

    let never = Fake::with_version("1.41", |_| Reply::json(403, r#"{"message":"network n has active endpoints"}"#));
    let error = never.connect().await.unwrap().remove_network("n").await.unwrap_err();
    assert!(error.hint().unwrap().contains("docker network inspect n"), "{:?}", error.hint());
}
