//! Plain `docker compose` on a stack of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::support::{Site, root, said, slim};

#[test]
fn compose_sees_the_stack_and_takes_it_down() {
    let site = Site::new(&slim("t-comp", 18121), "t-comp", 18121);
    site.up("1");
    let compose = |args: &[&str]| {
        let binary = root().join("target/tools/compose-2.26/docker-compose");
        assert!(binary.exists(), "docker compose 2.26 is not there; `make tools` fetches it");
        said(&Command::new(binary).args(["-p", "t-comp"]).args(args).current_dir(site.folder()).output().unwrap())
    };
    let ps = compose(&["ps", "--format", "{{.Name}} {{.Service}}"]).ends(0);
    for line in ["t-comp-app-1 app", "t-comp-app-3 app", "t-comp-proxy-1 proxy"] {
        assert!(ps.out.contains(line), "{}", ps.out);
    }
    assert!(!ps.out.contains("t-comp-stackctl"), "our own carrier is not the stack's: {}", ps.out);
    compose(&["logs", "--tail", "3", "app"]).ends(0).says("app-1");
    compose(&["down"]).ends(0);
    assert_eq!(site.list("containers"), ["t-comp-stackctl"], "the state stays");
    assert_eq!(site.list("network"), Vec::<String>::new());
    // And back.
    site.up("1");
    assert_eq!(site.get("/health").unwrap().0, 200);
}

#[test]
fn what_render_writes_serves_as_the_stack_did() {
    let stack = slim("t-rend", 18122)
        .replace("#EXTRA", "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]")
        .replace(
            "[proxy]",
            "DATABASE_URL_FILE = \"${postgres.url.file}\"\nREDIS_URL_FILE = \"${redis.url.file}\"\n\n[proxy]",
        )
        .replace("tls       = \"off\"", "tls = \"self-signed\"\nhttps_port = 18522")
        .replace(
            "\"/\" = \"app\"",
            "\"/\" = \"app\"\n\"/api/\" = { service = \"app\", limit = { rate = \"1/s\", burst = 2 } }",
        )
        + "[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n"
        + "[services.redis]\npreset = \"redis:7\"\nmemory = \"32M\"\n"
        + "[services.prometheus]\npreset = \"prometheus:v2.53.3\"\nmemory = \"128M\"\n";
    let site = Site::new(&stack, "t-rend", 18122);
    site.up("1");
    let ours = answers(&site);
    let judged = verdicts(&site);
    assert!(judged.values().filter(|verdict| *verdict == "pass").count() >= 15, "{judged:#?}");
    assert!(ours.contains("3 replicas") && ours.contains("429"), "{ours}");
    // Once more into the same folder: what is there stays.
    site.run(&["render", "out"], &[]).ends(0).says("generated secrets were made");
    let secret = || std::fs::read_to_string(site.folder().join("out/secrets/postgres.password")).unwrap();
    let made = secret();
    let again = site.run(&["render", "out"], &[]).ends(0);
    assert!(secret() == made && !again.err.contains("were made"), "{}", again.err);
    site.run(&["render", "out", "--deployed"], &[("APP_VERSION", "1")]).ends(0).says("compose.yaml");
    assert_ne!(secret(), made, "the deployed stack has its own");
    site.run(&["down", "--yes"], &[]).ends(0);

    let up = Composed(&site);
    up.compose(&["up", "-d", "--wait", "--build"]).ends(0);
    assert_eq!(answers(&site), ours);
    assert_eq!(verdicts(&site), judged);
    drop(up);
    assert_eq!(site.list("containers"), ["t-rend-stackctl"], "what Compose took down leaves the state alone");
}

/// What `verify --outside` finds, check by check and place by place.
fn verdicts(site: &Site) -> BTreeMap<String, String> {
    let said = site.run(&["--json", "verify", "--outside"], &[("APP_VERSION", "1")]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.err));
    let mut out = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        // Some ask for what is certainly not there: another name each time.
        let place = finding["subject"].as_str().unwrap().split("/stackctl-").next().unwrap_or_default();
        let name = format!("{} {place}", finding["id"]);
        let verdict = finding["verdict"].as_str().unwrap().to_owned();
        assert!(out.insert(name, verdict).is_none(), "{finding} is there twice");
    }
    out
}

/// What people get from the front door: statuses, headers, redirects, limits, and how many replicas answer.
fn answers(site: &Site) -> String {
    let curl = |path: &str| {
        let url = format!("https://localhost:18522{path}");
        let output = Command::new("curl").args(["-sk", "-i", "-m", "15", &url]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let begin = std::time::Instant::now();
    let mut replicas = BTreeSet::new();
    // Nginx asks for addresses again every ten seconds; Compose has no way to wait for that.
    while replicas.len() < 3 && begin.elapsed().as_secs() < 40 {
        let body = curl("/");
        replicas.extend(body.split("\"replica\":\"").nth(1).and_then(|r| r.split('"').next()).map(str::to_owned));
    }
    let mut out = format!("{} replicas\n", replicas.len());
    for path in ["/health/ready", "/", "/nowhere", "/metrics", "/.env"] {
        out += &stable(path, &curl(path));
    }
    let limited: Vec<String> = (0..6).map(|_| curl("/api/x").chars().skip(7).take(3).collect()).collect();
    let other = site.get("/x").map_or_else(|e| e, |(status, body)| format!("{status} {body}"));
    out + &format!("{limited:?}\n{other}\n")
}

/// An answer without what differs each time.
fn stable(path: &str, answer: &str) -> String {
    let varies = |line: &str| ["date:", "x-request-id:", "content-length:"].iter().any(|h| line.starts_with(h));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut head: Vec<&str> = head.lines().filter(|line| !varies(&line.to_lowercase())).collect();
    head.sort_unstable();
    let body = if body.contains("\"replica\"") { "(a replica)" } else { body };
    format!("{path}: {}\n{body}\n", head.join("\n"))
}

/// The rendered folder, run by Compose until dropped.
struct Composed<'a>(&'a Site);

impl Composed<'_> {
    fn compose(&self, args: &[&str]) -> super::support::Said {
        let binary = root().join("target/tools/compose-2.26/docker-compose");
        said(&Command::new(binary).args(args).current_dir(self.0.folder().join("out")).output().unwrap())
    }
}

impl Drop for Composed<'_> {
    fn drop(&mut self) {
        self.compose(&["down", "--volumes", "--rmi", "local", "--timeout", "5"]);
    }
}
