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

/// GitHub's REST API as far as deployments go: what was asked for, with which token, and the body.
fn github() -> (u16, Receiver<(String, String, serde_json::Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, received) = channel();
    std::thread::spawn(move || {
        let mut made: Vec<serde_json::Value> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut text = String::new();
            let mut bytes = [0; 4096];
            let header = |text: &str, name: &str| {
                let line = text.lines().find(|l| l.to_lowercase().starts_with(name))?;
                line.split_once(": ").map(|(_, value)| value.trim().to_owned())
            };
            let body: serde_json::Value = loop {
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = header(head, "content-length:").map_or(0, |n| n.parse::<usize>().unwrap());
                    if body.len() >= length {
                        break serde_json::from_str(body).unwrap_or_default();
                    }
                }
                let read = stream.read(&mut bytes).unwrap();
                assert!(read > 0, "cut short: {text}");
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            };
            let line = text.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            let token = header(&text, "authorization:").unwrap_or_default();
            let (status, answer) = match line.as_str() {
                _ if token != "Bearer s3cret-token" => (401, serde_json::json!({ "message": "Bad credentials" })),
                "POST /api/v3/repos/acme/shop/deployments" => {
                    let id = 100 + made.len();
                    made.insert(0, serde_json::json!({ "id": id, "payload": body["payload"], "ref": body["ref"] }));
                    (201, serde_json::json!({ "id": id }))
                }
                line if line.starts_with("GET /api/v3/repos/acme/shop/deployments?") => (200, made.clone().into()),
                line if line.ends_with("/statuses") => (201, serde_json::json!({ "id": 1 })),
                _ => (404, serde_json::json!({ "message": "Not Found" })),
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).unwrap();
            if send.send((line, token, body)).is_err() {
                return;
            }
        }
    });
    (port, received)
}

#[test]
fn a_deploy_is_a_deployment_of_the_repository() {
    let (port, asked) = github();
    let stack = slim("t-github", 18342).replace("replicas    = 3", "replicas    = 1")
        + &format!(
            "\n[notify.github]\nrepository = \"acme/shop\"\ntoken = \"${{secrets.gh}}\"\nenvironment = \"live\"\n\
             api = \"http://127.0.0.1:{port}/api/v3\"\nlog_url = \"https://ci.example.com/7\"\n\
             [secrets]\ngh = {{ env = \"GH\", optional = true }}\n"
        );
    let site = Site::new(&stack, "t-github", 18342);
    let git = |args: &[&str]| {
        let all = [&["-c", "user.name=t", "-c", "user.email=t@example.com"], args].concat();
        let said = std::process::Command::new("git").args(all).current_dir(site.folder()).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    let up = |version: &str, more: &[(&str, &str)]| {
        site.run(&["up", "--yes", "--no-verify"], &[&[("APP_VERSION", version)], more].concat())
    };
    let (token, soon) = (("GH", "s3cret-token"), Duration::from_secs(5));
    let next = || asked.recv_timeout(soon).unwrap();

    // Without a commit there is no deployment; the deploy does not mind.
    up("0", &[token]).ends(0).says("the folder is no Git checkout");
    git(&["init", "--quiet"]);
    git(&["add", "stack.toml"]);
    git(&["commit", "--quiet", "--message", "first"]);
    let commit = git(&["rev-parse", "HEAD"]);

    let first = up("1", &[token]).ends(0);
    let (line, bearer, body) = next();
    assert_eq!((line.as_str(), bearer.as_str()), ("POST /api/v3/repos/acme/shop/deployments", "Bearer s3cret-token"));
    assert_eq!((&body["ref"], &body["environment"]), (&commit.as_str().into(), &"live".into()), "{body:#}");
    assert_eq!((&body["auto_merge"], &body["required_contexts"]), (&false.into(), &serde_json::json!([])));
    assert!(body["payload"]["changes"].to_string().contains("environment APP_VERSION changed"), "{body:#}");
    let state = |expected: &str| {
        let (line, _, body) = next();
        assert_eq!(body["state"], expected, "{line} {body:#}");
        (line, body)
    };
    state("in_progress");
    let (line, body) = state("success");
    assert_eq!(line, "POST /api/v3/repos/acme/shop/deployments/100/statuses");
    assert_eq!(
        (&body["environment_url"], &body["log_url"]),
        (&"http://localhost:18342/".into(), &"https://ci.example.com/7".into())
    );
    assert!(body["description"].as_str().unwrap().starts_with("t-github: release 2 is out ("), "{body:#}");
    assert!(next().0.starts_with("GET "), "which one did it take the place of?");

    up("2", &[token, ("FAULT", "unhealthy"), ("START", "4s")]).ends(1);
    assert!(next().0.ends_with("/deployments"));
    state("in_progress");
    let (_, body) = state("failure");
    let text = body["description"].as_str().unwrap();
    assert!(text.contains("release 3 failed") && text.contains("could not wait until t-github-app-1"), "{text}");

    up("4", &[token]).ends(0);
    assert!(next().0.ends_with("/deployments"));
    state("in_progress");
    state("success");
    assert!(next().0.starts_with("GET /api/v3/repos/acme/shop/deployments?task=deploy&per_page=20&environment=live"));
    let (line, _) = state("inactive");
    assert_eq!(line, "POST /api/v3/repos/acme/shop/deployments/100/statuses", "that of release 2");

    // A token that is not valid; where none is given, the one that is kept with the stack counts.
    let wrong = up("5", &[("GH", "other-token")]).ends(0).says("it answered 401: Bad credentials");
    assert_eq!(next().1, "Bearer other-token");
    let none = up("6", &[]).ends(0);
    assert_eq!(next().1, "Bearer other-token");
    for said in [&first, &wrong, &none] {
        let text = format!("{}{}", said.out, said.err);
        assert!(!text.contains("s3cret-token") && !text.contains("other-token"), "{text}");
    }
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
