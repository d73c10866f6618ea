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
            "\"/\" = \"app\"\n\"/static/\" = { files = \"app:/srv/app/static\", cache = \"1y\" }\n\"/api/\" = { service = \"app\", limit = { rate = \"1/s\", burst = 2 } }",
        )
        + "[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n"
        + "[services.redis]\npreset = \"redis:7\"\nmemory = \"32M\"\n"
        + "[services.prometheus]\npreset = \"prometheus:v2.53.3\"\nmemory = \"128M\"\n";
    let site = Site::new(&stack, "t-rend", 18122);
    site.up("1");
    let ours = answers(&site);
    let judged = verdicts(&site);
    assert!(judged.values().filter(|verdict| *verdict == "pass").count() >= 15, "{judged:#?}");
    assert!(ours.contains("public, max-age=31536000, immutable") && ours.contains("text/css"), "{ours}");
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
    // The same containers as those of anybody who uses Compose: without a stack.toml.
    let report = general(&site, "out/compose.yaml", "t-rend");
    assert_eq!(seen(&report, "fail"), BTreeSet::new(), "{report:#}");
    let passed = seen(&report, "pass");
    for id in ["HLT-3 app", "HLT-3 proxy", "CTR-1 app", "CTR-2 app", "CTR-3 postgres", "DB-1 postgres", "DB-1 redis"] {
        assert!(passed.contains(id), "{id}: {report:#}");
    }
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
    for path in
        ["/health/ready", "/", "/nowhere", "/metrics", "/.env", "/static/app.css", "/static/no.css", "/static/.env"]
    {
        out += &stable(path, &curl(path));
    }
    let limited: Vec<String> = (0..6).map(|_| curl("/api/x").chars().skip(7).take(3).collect()).collect();
    let other = site.get("/x").map_or_else(|e| e, |(status, body)| format!("{status} {body}"));
    out + &format!("{limited:?}\n{other}\n")
}

/// An answer without what differs each time.
fn stable(path: &str, answer: &str) -> String {
    let varies = |line: &str| {
        ["date:", "x-request-id:", "content-length:", "etag:", "last-modified:"].iter().any(|h| line.starts_with(h))
    };
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

/// What `verify --compose` says of a file in the site's folder.
fn general(site: &Site, file: &str, project: &str) -> serde_json::Value {
    let skip = "HOST,IMG,NET-3,HLT-5";
    let said = site
        .run(&["--json", "verify", "--quick", "--compose", file, "--skip", skip], &[("COMPOSE_PROJECT_NAME", project)]);
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: exit {}: {}{}", said.code, said.out, said.err))
}

/// Findings with this verdict: check and subject.
fn seen(report: &serde_json::Value, verdict: &str) -> BTreeSet<String> {
    let all = report["findings"].as_array().unwrap().iter().filter(|f| f["verdict"] == verdict);
    all.map(|f| format!("{} {}", f["id"].as_str().unwrap(), f["subject"].as_str().unwrap())).collect()
}

/// As guides print it: a store for everybody, a program that is root, nothing limited.
#[test]
fn what_compose_runs_is_judged_without_a_stack_toml() {
    let site = Site::new(&slim("t-guide", 18123), "t-guide", 18123);
    let file = "name: t-guide-x\nservices:\n  cache:\n    image: redis:7\n    ports:\n      - \"6379:6379\"\n  \
                web:\n    image: web\n  gone:\n    image: gone:1\n  tool:\n    image: tool:1\n    profiles: [tools]\n";
    std::fs::write(site.folder().join("compose.yaml"), file).unwrap();
    let compose = ["--json", "verify", "--quick", "--compose", "compose.yaml"];
    site.run(&compose, &[]).ends(1).says("Compose has no container of a project `t-guide-x`");
    site.run(&["verify", "--compose", "stack.toml"], &[]).ends(2).says("has no `services:`");
    site.run(&["verify", "--compose", "none.yaml"], &[]).ends(2).says("cannot be read");

    // Containers as Compose labels them.
    let mirror = std::env::var("STACKCTL_REGISTRY_MIRROR").unwrap_or_else(|_| "stackctl.test".to_owned());
    let redis = format!("{mirror}/library/redis:7");
    let started = Labelled::start(&[
        ("cache", &["-p", "18124:6379"], &redis, &["redis-server", "--protected-mode", "no"]),
        ("web", &["--user", "0", "--cap-add", "SYS_ADMIN", "-v", "/etc:/host"], &redis, &["sleep", "600"]),
    ]);
    // What does not answer yet is not asked who may log in.
    let answers = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let ping = Command::new("docker").args(["exec", "t-guide-x-cache-1", "redis-cli", "ping"]).output();
        ping.unwrap().stdout.starts_with(b"PONG")
    });
    assert!(answers, "Redis does not answer");
    let report = general(&site, "compose.yaml", "");
    let failed = seen(&report, "fail");
    for wanted in ["CTR-2 web", "CTR-3 web", "DB-1 cache", "HLT-3 gone", "NET-1 t-guide-x", "NET-4 t-guide-x"] {
        assert!(failed.contains(wanted), "{wanted} is not among {failed:?}");
    }
    assert_eq!(failed.len(), 6, "{failed:?}");
    let warned = seen(&report, "warn");
    for wanted in ["CTR-1 cache", "CTR-1 web", "CTR-2 cache", "CTR-5 cache"] {
        assert!(warned.contains(wanted), "{wanted} is not among {warned:?}");
    }
    assert!(!seen(&report, "inconclusive").iter().any(|id| !id.starts_with("HLT-4")), "{report:#}");
    let place = |id: &str, subject: &str| {
        let all = report["findings"].as_array().unwrap();
        all.iter().find(|f| f["id"] == id && f["subject"] == subject).unwrap()["place"].clone()
    };
    assert_eq!(place("DB-1", "cache"), serde_json::json!({ "file": "compose.yaml", "line": 3 }));
    assert_eq!(place("HLT-3", "gone"), serde_json::json!({ "file": "compose.yaml", "line": 9 }));
    drop(started);
}

/// Containers of a compose project, started without Compose; gone with the handle.
struct Labelled(Vec<String>);

impl Labelled {
    fn start(services: &[(&str, &[&str], &str, &[&str])]) -> Self {
        let mut started = Self(Vec::new());
        for (service, options, image, command) in services {
            let name = format!("t-guide-x-{service}-1");
            let labels = [
                "com.docker.compose.project=t-guide-x".to_owned(),
                format!("com.docker.compose.service={service}"),
                "com.docker.compose.container-number=1".to_owned(),
                "com.docker.compose.oneoff=False".to_owned(),
            ];
            let labels = labels.iter().flat_map(|label| ["--label", label.as_str()]);
            let mut docker = Command::new("docker");
            docker.args(["run", "-d", "--name", &name]).args(labels).args(*options).arg(image).args(*command);
            started.0.push(name);
            said(&docker.output().unwrap()).ends(0);
        }
        started
    }
}

impl Drop for Labelled {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v"]).args(&self.0).output();
    }
}
