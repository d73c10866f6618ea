//! Prometheus, Compose and systemd read what is rendered for them.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use stackctl::base::units::Span;
use stackctl::model::artifact::{Artifact, Content};
use stackctl::model::container::Publish;
use stackctl::model::runtime::Restart;
use stackctl::model::runtime::{Device, Logging, Reserve, Runtime, Ulimit};
use stackctl::model::secrets::{Piece, Recipe, SecretSource, SecretSpec, Template};
use stackctl::model::service::{Ask, Build, Image, Kind, ProjectFile, PullPolicy, VolumeMount};
use stackctl::model::stack::Stack;
use stackctl::render::{Found, ScrapeTarget, compose, prometheus, systemd};

use crate::docker::image;
use crate::sample;

/// Runs a program with text on its standard input; success, and all it wrote.
pub(crate) fn feed(program: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    child.stdin.take().unwrap().write_all(input.as_ref()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

pub(crate) fn text(files: &[Artifact]) -> &str {
    match &files[0].content {
        Content::Plain(text) => text,
        Content::Secret(_) | Content::Program(_) => panic!("not plain"),
    }
}

/// YAML as Python reads it.
pub(crate) fn yaml(text: &str) -> serde_json::Value {
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout)";
    let (good, output) = feed("python3", &["-c", program], text);
    assert!(good, "{output}\n{text}");
    serde_json::from_str(&output).unwrap()
}

/// What a script says in a folder with these files, where `promtool` is.
pub(crate) fn promtool(files: &[(String, String)], script: &str) -> (bool, String) {
    beside("prom/prometheus:v2.53.3", files, script)
}

/// The same where `amtool` is.
pub(crate) fn amtool(files: &[(String, String)], script: &str) -> (bool, String) {
    beside("prom/alertmanager:v0.28.1", files, script)
}

fn beside(name: &str, files: &[(String, String)], script: &str) -> (bool, String) {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o444);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let image = image(name);
    let script = format!("mkdir /tmp/files && cd /tmp/files && tar x && {{ {script}; }}");
    feed(
        "docker",
        &["run", "--rm", "-i", "--network", "none", "--entrypoint", "sh", &image, "-c", &script],
        tar.into_inner().unwrap(),
    )
}

/// What `promtool check config` says; the configuration comes first.
fn check_config(files: &[Artifact]) -> (bool, String) {
    let files: Vec<_> = files.iter().map(|file| (file.path.clone(), file.content.expose().to_owned())).collect();
    promtool(&files, "promtool check config prometheus.yml")
}

/// What `docker compose config` says: Debian's 2.26, and the newest one that is packaged. Both must take it.
pub(crate) fn docker_compose(text: &str) -> (bool, String) {
    let [old, new] = both_compose(text);
    (old.0 && new.0, new.1)
}

fn both_compose(text: &str) -> [(bool, String); 2] {
    ["compose-2.26", "compose-2.40"].map(|version| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), text).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(version).join("docker-compose");
        let output = Command::new(program)
            .args(["-p", "sum", "-f", "compose.yaml", "config"])
            .current_dir(folder.path())
            .env("DB_PASSWORD", "pass$word")
            .env("DB_PASSWORD_URLENCODED", "pass%24word")
            .output()
            .expect("`make tools` gets it");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    })
}

/// What `systemd-analyze verify` says.
fn verify(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sum.service");
    // Here there is no engine to be required.
    std::fs::write(&path, text.replace("Requires=docker.service\n", "")).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--recursive-errors=one"])
        .arg(&path)
        .output()
        .expect("systemd-analyze");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn targets() -> Vec<ScrapeTarget> {
    [(2, "10.83.0.3:8000"), (1, "10.83.0.2:8000")]
        .map(|(replica, address)| ScrapeTarget { service: sample::name("app"), replica, address: address.to_owned() })
        .into()
}

/// Every key a Compose file can get.
pub(crate) fn rich() -> Stack {
    let mut stack = sample::full();
    let password = SecretSpec::required(1, SecretSource::Generate(Recipe::Hex(32)));
    let url = Template(vec![
        Piece::Text("postgresql://sum:".to_owned()),
        Piece::Encoded(sample::secret("db-password")),
        Piece::Text("@postgres/sum?a=$b".to_owned()),
    ]);
    let hook = SecretSpec { optional: true, ..SecretSpec::required(1, SecretSource::Env("HOOK".to_owned())) };
    let derived = SecretSpec::required(1, SecretSource::Derived(url));
    stack.secrets.insert(sample::secret("db-password"), password);
    stack.secrets.insert(sample::secret("url"), derived);
    stack.secrets.insert(sample::secret("hook"), hook);
    let app = stack.services.get_mut("app").unwrap();
    app.image = Image::Build(Build {
        name: sample::name("app"),
        context: ".".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: Some("final".to_owned()),
        args: [("VERSION".to_owned(), "1".to_owned())].into(),
        platform: Some("linux/amd64".to_owned()),
        secrets: [sample::secret("db-password")].into(),
    });
    app.environment = [
        ("URL".to_owned(), Template(vec![Piece::Secret(sample::secret("url"))])),
        ("PASSWORD".to_owned(), Template(vec![Piece::Secret(sample::secret("db-password"))])),
        ("HOOK".to_owned(), Template(vec![Piece::Secret(sample::secret("hook"))])),
        ("PASSWORD_FILE".to_owned(), Template(vec![Piece::File(sample::secret("db-password"))])),
    ]
    .into();
    app.secrets = [sample::secret("db-password")].into();
    app.files = [("app.conf".to_owned(), Template::text("x"))].into();
    app.command = Some(vec!["serve".to_owned(), "--port=8000".to_owned()]);
    app.entrypoint = Some(vec!["/entry".to_owned()]);
    app.pre_deploy = Some(vec!["migrate".to_owned()]);
    app.user = Some("1000:1000".to_owned());
    app.volumes = vec![VolumeMount {
        volume: "uploads".to_owned(),
        target: "/app/uploads".to_owned(),
        read_only: true,
        shared: true,
    }];
    app.tmpfs = [("/var/run/app".to_owned(), "size=1m".to_owned())].into();
    app.cpus = Some(1.5);
    app.memory = Some("512M".parse().unwrap());
    app.read_only = true;
    app.cap_add = ["NET_BIND_SERVICE".to_owned()].into();
    app.stop_signal = Some("SIGQUIT".to_owned());
    app.publish = vec![Publish { address: Ipv4Addr::LOCALHOST, host_port: 18000, container_port: 8000 }];
    app.project_files = vec![ProjectFile {
        source: "conf/app.toml".to_owned(),
        target: "/etc/app/app.toml".to_owned(),
        files: Vec::new(),
    }];
    app.runtime = Runtime {
        working_dir: Some("/srv".to_owned()),
        shm_size: Some("128M".parse().unwrap()),
        reserve: Reserve { cpus: Some(0.5), memory: Some("256M".parse().unwrap()) },
        ulimits: [("nofile".to_owned(), Ulimit { soft: 1024, hard: 4096 })].into(),
        devices: vec![Device {
            host: "/dev/null".to_owned(),
            container: "/dev/nothing".to_owned(),
            permissions: "r".to_owned(),
        }],
        extra_hosts: [("legacy".to_owned(), "10.0.0.5".to_owned())].into(),
        dns: vec!["10.0.0.53".parse().unwrap()],
        labels: [("org.example/team".to_owned(), "web".to_owned())].into(),
        logging: Some(Logging {
            driver: "local".to_owned(),
            options: [("max-size".to_owned(), "5m".to_owned())].into(),
        }),
    };
    let mut load = sample::service("load", None);
    (load.kind, load.replicas, load.restart) = (Kind::Job, 0, Restart::No);
    let api = stack.services.get_mut("api").unwrap();
    (api.pull, api.init) = (PullPolicy::Always, false);
    api.depends_on.insert(load.name.clone());
    stack.services.insert(load.name.clone(), load);
    let postgres = stack.services.get_mut("postgres").unwrap();
    postgres.health = Some(sample::health(Ask::Postgres { user: "sum".to_owned(), database: "sum".to_owned() }));
    postgres.egress = false;
    postgres.stop_grace_period = Span("1500ms".parse::<Span>().unwrap().0);
    postgres.volumes = vec![VolumeMount {
        volume: "pgdata".to_owned(),
        target: "/var/lib/postgresql/data".to_owned(),
        read_only: false,
        shared: false,
    }];
    stack
}

#[test]
fn prometheus_reads_its_configuration() {
    let mut stack = sample::full();
    stack.stage = Some("staging".to_owned());
    stack.services.get_mut("api").unwrap().metrics = Some("/m?format=prometheus&x=1&x=2".to_owned());
    let files = prometheus(&stack, Found::At(&targets())).unwrap();
    crate::golden::check("prometheus", &files);
    let (good, output) = check_config(&files);
    assert!(good && output.contains("rules found"), "{output}");
    let by_name = prometheus(&stack, Found::ByName).unwrap();
    crate::golden::check("prometheus-by-name", &by_name);
    let (good, output) = check_config(&by_name);
    assert!(good, "{output}");
    for (from, to) in [
        ("scrape_interval", "scrape_intervall"),
        ("rules.yml", "rule.yml"),
        ("\"10.83.0.2:8000\"", "\"http://10.83.0.2/\""),
    ] {
        assert!(text(&files).contains(from), "{from}");
        let mut broken = files.clone();
        broken[0].content = Content::Plain(text(&files).replacen(from, to, 1));
        let (good, output) = check_config(&broken);
        assert!(!good, "{from} → {to} went through: {output}");
    }
}

#[test]
fn compose_reads_its_file() {
    for (what, stack) in
        [("compose", rich()), ("compose-small", sample::stack(vec![sample::service("app", None)], None))]
    {
        let files = compose(&stack, ".").unwrap();
        crate::golden::check(what, &files);
        let (good, output) = docker_compose(text(&files));
        assert!(good, "{what}: {output}");
        for (from, to) in [("cap_drop", "capdrop"), ("restart: ", "restart: [] #")] {
            assert!(text(&files).contains(from), "{from}");
            for (good, output) in both_compose(&text(&files).replacen(from, to, 1)) {
                assert!(!good, "{from} → {to} went through: {output}");
            }
        }
    }
    let (_, output) = docker_compose(text(&compose(&rich(), "..").unwrap()));
    assert!(output.contains("URL: postgresql://sum:pass%24word@postgres/sum?a=$$b"), "{output}");
    assert!(output.contains("PASSWORD: pass$$word"), "{output}");
    // As Compose understands it, not as we wrote it.
    let services = &yaml(&output)["services"];
    let app = &services["app"];
    // Compose 1 keeps units, Compose 2 counts bytes.
    assert!(["256M", "268435456"].contains(&app["mem_reservation"].as_str().unwrap()), "{app}");
    assert!(["128M", "134217728"].contains(&app["shm_size"].as_str().unwrap()), "{app}");
    assert_eq!((&app["cpu_shares"], &app["ulimits"]["nofile"]["hard"]), (&512.into(), &4096.into()));
    assert!(app["ports"][0] == "127.0.0.1:18000:8000/tcp" || app["ports"][0]["host_ip"] == "127.0.0.1", "{app}");
    assert_eq!(services["api"]["pull_policy"], "always");
    assert!(app["volumes"].as_array().unwrap().iter().any(|v| v["target"] == "/etc/app/app.toml"), "{app}");
    let needs = &services["api"]["depends_on"]["load"]["condition"];
    assert_eq!(*needs, "service_completed_successfully");
}

#[test]
fn compose_refuses_two_secrets_with_one_variable() {
    let mut stack = rich();
    let app = stack.services.get_mut("app").unwrap();
    app.environment.insert("X".to_owned(), Template(vec![Piece::Secret(sample::secret("db.password"))]));
    assert!(compose(&stack, ".").unwrap_err().to_string().contains("db.password"));
}

#[test]
fn systemd_reads_the_timer_of_certificates() {
    let mut stack = sample::full();
    stack.proxy.as_mut().unwrap().tls = sample::acme();
    let files = systemd(&stack, "/bin/true", "/srv/sum/stack.toml").unwrap();
    crate::golden::check("systemd-acme", &files[1..]);
    let folder = tempfile::tempdir().unwrap();
    for file in &files[1..] {
        let Content::Plain(text) = &file.content else { panic!("not plain") };
        std::fs::write(folder.path().join(&file.path), text.replace("Requires=docker.service\n", "")).unwrap();
    }
    let timer = folder.path().join("sum-certificates.timer");
    let analyze = || {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["verify", "--recursive-errors=yes"]).arg(&timer).output().expect("systemd-analyze")
    };
    let good = analyze();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    std::fs::write(&timer, std::fs::read_to_string(&timer).unwrap().replace("hourly", "hourli")).unwrap();
    let bad = analyze();
    assert!(String::from_utf8_lossy(&bad.stderr).contains("hourli"), "{}", String::from_utf8_lossy(&bad.stderr));
    // Nobody renews what is not asked for.
    assert_eq!(systemd(&sample::full(), "/bin/true", "/srv/sum/stack.toml").unwrap().len(), 1);
}

#[test]
fn systemd_reads_its_unit() {
    let mut stack = sample::full();
    stack.stage = Some("staging".to_owned());
    let files = systemd(&stack, "/bin/true", "/srv/sum/stack.toml").unwrap();
    crate::golden::check("systemd", &files);
    let (good, output) = verify(text(&files));
    assert!(good, "{output}");
    for (from, to) in [("ExecStart=/", "ExecStart="), ("Type=oneshot", "Type=once"), ("UMask", "Umsk")] {
        assert!(text(&files).contains(from), "{from}");
        let (good, output) = verify(&text(&files).replacen(from, to, 1));
        assert!(!good, "{from} → {to} went through: {output}");
    }
    assert!(Path::new("/bin/true").exists());
    for (binary, file) in [("stackctl", "/f"), ("/stackctl", "f"), ("/a$b", "/f"), ("/a", "/f\0")] {
        assert!(systemd(&stack, binary, file).is_err(), "{binary} {file}");
    }
}
