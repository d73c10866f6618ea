//! A host without containers: what is rendered for it, before the programs of a host that read it.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use stackctl::base::secret::Secret;
use stackctl::base::units::{ByteSize, Span};
use stackctl::model::artifact::Artifact;
use stackctl::model::native::{Job, Native};
use stackctl::model::proxy::Tls;
use stackctl::model::runtime::Restart;
use stackctl::model::secrets::{Piece, SecretValues, Template};
use stackctl::model::service::{Kind, Preset, VolumeMount};
use stackctl::model::stack::Stack;
use stackctl::render::{NativeInput, native, systemd};

use crate::breakout::HOSTILE;
use crate::readers::feed;
use crate::{judges, sample, service};

fn on_host(folder: &str, user: Option<&str>) -> Native {
    Native { line: 4, folder: folder.to_owned(), user: user.map(str::to_owned), command: None }
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// A web application with a job before it and one by the clock, and a service in somebody's home.
pub(crate) fn stack() -> Stack {
    let mut stack = sample::full();
    stack.services.get_mut("postgres").unwrap().preset = Some(Preset::Postgres);
    let app = stack.services.get_mut("app").unwrap();
    app.native = Some(on_host("/opt/sum", None));
    app.command = Some(words(&["true", "--bind", "127.0.0.1:8000", "100% $HOME; {}", ";"]));
    app.pre_deploy = Some(words(&["true", "migrate"]));
    app.environment = [
        ("KEY_FILE".to_owned(), Template(vec![Piece::File(sample::secret("key"))])),
        ("URL".to_owned(), Template(vec![Piece::Text("http://api:9000/".to_owned())])),
        ("TOKEN".to_owned(), Template(vec![Piece::Secret(sample::secret("key"))])),
    ]
    .into();
    app.secrets = [sample::secret("key")].into();
    app.volumes = vec![VolumeMount {
        volume: "uploads".to_owned(),
        target: "/app/up loads".to_owned(),
        read_only: false,
        shared: true,
    }];
    app.tmpfs = [("/tmp".to_owned(), String::new()), ("/app/cache".to_owned(), String::new())].into();
    (app.memory, app.cpus) = (Some(ByteSize(512 << 20)), Some(1.5));
    app.depends_on.insert(sample::name("load"));
    let cleanup = Job {
        line: 9,
        command: vec!["true".to_owned(), "cleanup".to_owned()],
        schedule: "Mon..Fri 02:00".parse().unwrap(),
    };
    app.jobs = [("cleanup".to_owned(), cleanup)].into();
    let api = stack.services.get_mut("api").unwrap();
    api.native = Some(on_host("/home/me/api", Some("api")));
    api.command = Some(words(&["./run", "now"]));
    (api.egress, api.restart) = (false, Restart::OnFailure);
    api.cap_add = ["NET_BIND_SERVICE".to_owned()].into();
    api.stop_grace_period = Span::seconds(90);
    let mut load = sample::service("load", None);
    (load.kind, load.replicas, load.restart) = (Kind::Job, 0, Restart::No);
    load.native = Some(on_host("/opt/sum", None));
    load.command = Some(words(&["true"]));
    stack.services.insert(load.name.clone(), load);
    stack
}

fn values() -> SecretValues {
    [(sample::secret("key"), Secret::new("a \"b\" $c"))].into()
}

pub(crate) fn rendered(stack: &Stack) -> Vec<Artifact> {
    let made = rcgen::generate_simple_self_signed(vec!["sum.example.com".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), Secret::new(made.signing_key.serialize_pem()));
    native(&NativeInput { stack, values: &values(), certificate: Some((&chain, &key)) }).unwrap()
}

fn file<'a>(files: &'a [Artifact], path: &str) -> &'a str {
    let found = files.iter().find(|file| file.path == path);
    found
        .unwrap_or_else(|| panic!("no {path} among {:?}", files.iter().map(|f| &f.path).collect::<Vec<_>>()))
        .content
        .expose()
}

pub(crate) fn put_files(folder: &Path, files: &[Artifact]) {
    for file in files {
        let path = folder.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.content.expose()).unwrap();
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// What `systemd-analyze verify` has against the units of a folder.
pub(crate) fn verify(units: &Path) -> String {
    let mut out = String::new();
    for unit in units_in(units) {
        let output = Command::new("systemd-analyze")
            .args(["verify", "--recursive-errors=one", "--man=no"])
            .arg(&unit)
            .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
            .output()
            .expect("systemd-analyze");
        if !output.status.success() || !said(&output).is_empty() {
            out.extend([unit.display().to_string(), ": ".to_owned(), said(&output)]);
        }
    }
    out
}

pub(crate) fn units_in(folder: &Path) -> Vec<PathBuf> {
    let mut units: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    units.sort();
    units
}

/// The exposure of a unit, from 0 to 10.
fn exposure(unit: &Path) -> f64 {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", unit.parent().unwrap().display()))
        .output()
        .unwrap();
    let text = said(&output);
    let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("{text}"));
    line.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// The units of these files in a folder, with programs that are here in the place of those that are not.
pub(crate) fn here(folder: &Path, files: &[Artifact], programs: &[&str]) -> PathBuf {
    put_files(folder, files);
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for program in programs {
        let _ = std::os::unix::fs::symlink("/bin/true", bin.join(program));
    }
    let units = folder.join("etc/systemd/system");
    for unit in units_in(&units) {
        let text = std::fs::read_to_string(&unit).unwrap();
        // `verify` knows nothing of ExecSearchPath.
        let text = programs.iter().fold(text, |text, program| {
            text.replace(&format!("={program} "), &format!("={}/{program} ", bin.display()))
        });
        let text = text
            .replace("/usr/local/bin/stackctl", "/bin/true")
            .replace("/home/me/api/run", "/bin/true")
            .replace("/usr/sbin/nginx", "/bin/true")
            // Here there is no engine to be required.
            .replace("Requires=docker.service\n", "");
        std::fs::write(&unit, text).unwrap();
    }
    units
}

#[test]
fn systemd_takes_every_unit_and_they_are_tight() {
    let folder = tempfile::tempdir().unwrap();
    let files = rendered(&stack());
    let golden: Vec<Artifact> = files.iter().filter(|f| !f.path.contains("/nginx/")).cloned().collect();
    crate::golden::check("native", &golden);
    let units = here(folder.path(), &files, &[]);
    assert_eq!(verify(&units), "");
    let services: Vec<PathBuf> =
        units_in(&units).into_iter().filter(|unit| unit.extension().is_some_and(|e| e == "service")).collect();
    assert_eq!(services.len(), 5, "app, its job, api, load, the front door: {services:?}");
    for unit in &services {
        let score = exposure(unit);
        assert!(score > 0.0 && score <= 2.0, "{}: {score}", unit.display());
    }
    // The judge sees what is missing.
    let text = std::fs::read_to_string(units.join("sum-app.service")).unwrap();
    for (from, to) in
        [("Type=exec", "Type=fork"), ("ProtectSystem=strict", "ProtectSystem=strictly"), ("ExecStart=", "ExecStrat=")]
    {
        assert!(text.contains(from), "{from}");
        std::fs::write(units.join("sum-app.service"), text.replacen(from, to, 1)).unwrap();
        assert!(verify(&units).contains("sum-app"), "{from} → {to} went through");
    }
    let open: Vec<&str> = text.lines().filter(|l| !l.starts_with("Protect") && !l.starts_with("SystemCall")).collect();
    std::fs::write(units.join("sum-app.service"), open.join("\n")).unwrap();
    assert!(exposure(&units.join("sum-app.service")) > 2.0);
}

#[test]
fn users_and_modes_are_made_as_declared() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut stack = stack();
    stack.proxy.as_mut().unwrap().tls = sample::acme();
    put_files(root, &rendered(&stack));
    let in_root = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.arg(format!("--root={}", root.display())).args(arguments);
        let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program}: {}", said(&output));
    };
    in_root("systemd-sysusers", &["sum.conf"]);
    let users = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
    let numbers: BTreeMap<&str, u32> =
        users.lines().map(|l| l.split(':').collect::<Vec<_>>()).map(|f| (f[0], f[2].parse().unwrap())).collect();
    assert_eq!(numbers.keys().copied().collect::<Vec<_>>(), ["api", "sum", "sum-proxy"]);
    assert!(users.lines().all(|line| line.ends_with("/usr/sbin/nologin")), "{users}");
    in_root("systemd-tmpfiles", &["--create", "sum.conf"]);
    for (path, mode, group) in [
        ("etc/sum/sum-app.env", 0o400, 0),
        ("etc/sum/credentials", 0o700, 0),
        ("etc/sum/credentials/key", 0o400, 0),
        ("etc/sum/nginx/certs/site.key", 0o440, numbers["sum-proxy"]),
        // Where an authority's questions are answered, and what the front door looks for there.
        ("run/stackctl/challenges", 0o755, 0),
        ("run/stackctl/live", 0o755, 0),
    ] {
        let found = std::fs::metadata(root.join(path)).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.gid()), (mode, group), "{path}");
    }
    let door = std::fs::read_to_string(root.join("etc/sum/nginx/nginx.conf")).unwrap();
    assert!(door.contains("alias /run/stackctl/challenges/;"), "{door}");
}

#[test]
fn an_environment_means_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    for value in HOSTILE {
        let mut stack = stack();
        let app = stack.services.get_mut("app").unwrap();
        app.environment.insert("X".to_owned(), Template::text(value));
        let found =
            native(&NativeInput { stack: &stack, values: &values(), certificate: Some(("", &Secret::new(""))) });
        let dropped = value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n'));
        let files = match found {
            Ok(files) => files,
            Err(error) => {
                assert!(dropped, "{value:?}: {error}");
                continue;
            }
        };
        assert!(!dropped, "{value:?} went through, and systemd would drop it");
        // A shell unquotes such a file as systemd does (systemd.exec(5)).
        let path = folder.path().join("env");
        std::fs::write(&path, file(&files, "etc/sum/sum-app.env")).unwrap();
        let script = format!(". {}; printf '%s|%s|%s' \"$X\" \"$TOKEN\" \"$KEY_FILE\"", path.display());
        let (good, output) = feed("sh", &["-c", &script], "");
        assert!(good, "{output}");
        assert_eq!(output, format!("{value}|a \"b\" $c|/run/credentials/sum-app.service/key"));
    }
}

#[test]
fn what_a_unit_would_misread_is_refused() {
    type Change = fn(&mut stackctl::model::service::Service);
    let changes: [(&str, Change); 5] = [
        ("an option for systemd", |app| app.command = Some(words(&["-true"]))),
        ("a variable in the name", |app| app.command = Some(words(&["/opt/$x/run"]))),
        ("nothing", |app| app.command = Some(Vec::new())),
        ("two paths in one", |app| app.volumes[0].target = "/a:/etc".to_owned()),
        ("NUL", |app| app.command = Some(words(&["true", "a\0b"]))),
    ];
    for (what, change) in changes {
        let mut stack = stack();
        change(stack.services.get_mut("app").unwrap());
        let key = Secret::new("");
        let found = native(&NativeInput { stack: &stack, values: &values(), certificate: Some(("", &key)) });
        assert!(found.is_err(), "{what} went through");
    }
    let mut none = stack();
    none.services.values_mut().for_each(|service| service.native = None);
    let key = Secret::new("");
    assert_eq!(native(&NativeInput { stack: &none, values: &values(), certificate: Some(("", &key)) }), Ok(Vec::new()));
}

/// Nginx of this host by the rendered configuration, moved to ports and folders of its own.
#[test]
fn the_hosts_nginx_serves_and_opens_its_log_anew() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, private) = (free(), free());
    let mut stack = stack();
    stack.services.get_mut("app").unwrap().port = Some(service::start("app"));
    let proxy = stack.proxy.as_mut().unwrap();
    (proxy.tls, proxy.http_port, proxy.address) = (Tls::Off, port, "127.0.0.1".parse().unwrap());
    let moved = |text: &str| {
        let here = root.display();
        text.replace(" /tmp/", &format!(" {here}/tmp/"))
            .replace("/var/log/sum", &format!("{here}/log"))
            .replace("127.0.0.1:8081", &format!("127.0.0.1:{private}"))
            .replace("sum-proxy sum-proxy", "root root")
    };
    for file in rendered(&stack) {
        let path = root.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, moved(file.content.expose())).unwrap();
    }
    // Workers run as another user, and open the log themselves.
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["log", "tmp", "bin"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    let conf = root.join("etc/sum/nginx/nginx.conf");
    let nginx = Command::new("/usr/sbin/nginx")
        .args(["-e", "stderr", "-g", "daemon off;", "-c"])
        .arg(&conf)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx of this host");
    let nginx = Asked(nginx);
    let ask = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: sum.example.com", &url];
        said(&Command::new("curl").args(arguments).output().unwrap())
    };
    let start = Instant::now();
    while ask("/first") != "200" {
        assert!(start.elapsed() < Duration::from_secs(10), "{}", ask("/first"));
        std::thread::sleep(Duration::from_millis(50));
    }
    // What systemd would do at `systemctl kill`.
    let systemctl = root.join("bin/systemctl");
    std::fs::write(
        &systemctl,
        format!(
            "#!/bin/sh\ntest \"$*\" = 'kill --kill-whom=main --signal=USR1 sum-proxy.service' && kill -USR1 {}\n",
            nginx.0.id()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("/usr/sbin/logrotate")
        .args(["--force", "--state"])
        .arg(root.join("state"))
        .arg(root.join("etc/logrotate.d/sum"))
        .env("PATH", format!("{}:/usr/bin:/bin", root.join("bin").display()))
        .output()
        .expect("logrotate");
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    let log = |name: &str| std::fs::read_to_string(root.join("log").join(name)).unwrap_or_default();
    let start = Instant::now();
    while !log("access.log").contains("/second") {
        assert_eq!(ask("/second"), "200");
        assert!(start.elapsed() < Duration::from_secs(10), "the log was not opened anew");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(log("access.log.1").contains("/first") && !log("access.log").contains("/first"));
}

/// A master that is asked to end: killed, it would leave its workers behind.
struct Asked(Child);

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn systemd_knows_every_time_that_is_taken() {
    let taken = [
        "daily",
        "weekly UTC",
        "Mon..Fri 02:00",
        "Sat,Sun",
        "*-*-01 04:30:00",
        "03:15",
        "*:0/15",
        "01-01",
        "Mon *-1..6-* 0,12:00:30 Europe/Berlin",
        "*-*-* *:*:00",
        "2027-*-1/2",
        "Mon..Wed,Sun *-*-* 0/2:00",
    ];
    for text in taken {
        assert!(text.parse::<stackctl::base::calendar::Calendar>().is_ok(), "{text}");
    }
    let output = Command::new("systemd-analyze").arg("calendar").args(taken).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    for wrong in ["0 2 * * *", "*/2:00", "24:61", "every day"] {
        let output = Command::new("systemd-analyze").args(["calendar", wrong]).output().unwrap();
        assert!(!output.status.success() && wrong.parse::<stackctl::base::calendar::Calendar>().is_err(), "{wrong}");
    }
}

#[test]
fn jobs_of_containers_have_timers() {
    let folder = tempfile::tempdir().unwrap();
    let mut stack = stack();
    stack.stage = Some("staging".to_owned());
    let files = systemd(&stack, "/usr/local/bin/stackctl", "/srv/sum/stack.toml").unwrap();
    crate::golden::check("systemd-jobs", &files);
    let files: Vec<Artifact> =
        files.into_iter().map(|f| Artifact { path: format!("etc/systemd/system/{}", f.path), ..f }).collect();
    let units = here(folder.path(), &files, &[]);
    assert_eq!(units_in(&units).len(), 3);
    assert_eq!(verify(&units), "");
}

/// The three guides that run on a host: their units, as `stackctl render` writes them.
#[test]
fn the_guides_stacks_run_on_hosts() {
    for (name, program) in [("sum", "gunicorn"), ("research-assistant", "uvicorn"), ("ai-search", "uvicorn")] {
        let folder = tempfile::tempdir().unwrap();
        let native = judges::rendered(&format!("tests/stacks/{name}.toml"), folder.path()).join("native");
        std::fs::create_dir(native.join("bin")).unwrap();
        let units = here(&native, &[], &[program, "python"]);
        assert_eq!(verify(&units), "", "{name}");
        let unit = units.join(format!("{name}-app.service"));
        let text = std::fs::read_to_string(&unit).unwrap();
        assert!(text.contains(&format!("/bin/{program} ")), "{text}");
        assert!(exposure(&unit) <= 2.0, "{name}");
    }
}
