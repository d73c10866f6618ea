//! Others are told of deploys, and a deaf receiver changes nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::support::{Site, slim};

/// Takes requests one after the other and answers each with a status: what was asked for, and the body.
fn receiver(status: u16) -> (u16, Receiver<(String, serde_json::Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 4096]);
            let body = loop {
                let length = text
                    .to_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next().and_then(|number| number.parse::<usize>().ok()));
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                if let (Some(length), Some(body)) = (length, body)
                    && body.len() >= length
                {
                    break body;
                }
                let read = stream.read(&mut bytes).unwrap();
                assert!(read > 0, "cut short: {text}");
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            };
            let line = text.lines().next().unwrap().to_owned();
            stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
            if send.send((line, serde_json::from_str(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (port, received)
}

#[test]
fn who_wants_to_know_is_told_how_a_deploy_ended() {
    let (json, told) = receiver(200);
    let (chat, said) = receiver(200);
    let (deaf, refused) = receiver(500);
    let stack = |webhook: u16| {
        slim("t-notify", 18196).replace("replicas    = 3", "replicas    = 1")
            + &format!(
                "\n[notify]\nwebhook = \"http://127.0.0.1:{webhook}/${{secrets.hook}}\"\nslack = \"${{secrets.slack}}\"\n\
                 [secrets]\nhook = {{ env = \"HOOK\" }}\nslack = {{ env = \"SLACK\", optional = true }}\n"
            )
    };
    let site = Site::new(&stack(json), "t-notify", 18196);
    let url = format!("http://127.0.0.1:{chat}/services/T0");
    let up = |version: &str, more: &[(&str, &str)]| {
        let env = [&[("APP_VERSION", version), ("HOOK", "s3cret-path")], more].concat();
        site.run(&["up", "--yes", "--no-verify"], &env)
    };
    let soon = Duration::from_secs(5);

    let first = up("1", &[]).ends(0);
    let (line, body) = told.recv_timeout(soon).unwrap();
    assert_eq!(line, "POST /s3cret-path HTTP/1.1");
    assert_eq!((&body["project"], &body["release"], &body["result"]), (&"t-notify".into(), &1.into(), &"done".into()));
    assert!(body["changes"].as_array().unwrap().contains(&"app: new in the stack".into()), "{body:#}");
    assert!(said.try_recv().is_err(), "an optional secret without a value");
    assert!(!format!("{}{}", first.out, first.err).contains("s3cret-path"));

    // A release that fails: both are told why, and what is served.
    up("2", &[("SLACK", &url), ("FAULT", "unhealthy"), ("START", "4s")]).ends(1);
    let (_, body) = told.recv_timeout(soon).unwrap();
    assert_eq!((&body["release"], &body["result"]), (&2.into(), &"failed".into()), "{body:#}");
    assert_eq!(body["aftermath"], "nothing has been switched: what served before still serves");
    let (line, body) = said.recv_timeout(soon).unwrap();
    assert_eq!(line, "POST /services/T0 HTTP/1.1");
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("t-notify: release 2 failed ("), "{text}");
    assert!(text.contains("environment APP_VERSION changed"), "{text}");

    // One that does not listen: a warning, without the URL.
    site.write(&stack(deaf));
    let deafened = up("3", &[("SLACK", "http://127.0.0.1:9/x")]).ends(0);
    assert!(refused.recv_timeout(soon).is_ok());
    let deafened =
        deafened.says("was not told of this deploy: it answered 500").says("not told of this deploy: no connection");
    assert!(!format!("{}{}", deafened.out, deafened.err).contains("s3cret-path"));
    assert_eq!(site.get("/health").unwrap().0, 200);
    up("3", &[]).ends(0).says("0 steps");
    assert!(refused.try_recv().is_err(), "nothing was deployed, nobody is told");
}
