//! Images from a registry that wants a login, one that has not got them, one that goes away.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::remote::{HOST, host_image, quiet};
use super::second::mirror;
use super::support::{Site, Visitor, slim, soak};

/// A registry on loopback with one user.
struct Registry {
    dir: tempfile::TempDir,
    port: u16,
    name: String,
}

impl Registry {
    fn start(port: u16) -> Self {
        host_image();
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "version: 0.1\nstorage:\n  inmemory: {{}}\nhttp:\n  addr: 127.0.0.1:{port}\n\
             auth:\n  htpasswd:\n    realm: test\n    path: /registry/htpasswd\n"
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let run = ["run", "--rm", "--entrypoint", "htpasswd", HOST, "-nbB", "ada", "pass:wörd/+="];
        let output = Command::new("docker").args(run).output().unwrap();
        assert!(output.status.success());
        fs::write(dir.path().join("htpasswd"), output.stdout).unwrap();
        let folder = format!("{}:/registry:ro", dir.path().display());
        let name = format!("t-registry-{port}");
        quiet(
            Command::new("docker")
                .args(["run", "-d", "--rm", "--network", "host", "--name", &name, "-v", &folder])
                .args(["--entrypoint", "docker-registry", HOST, "serve", "/registry/config.yml"]),
        );
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "the registry does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { dir, port, name }
    }

    fn stop(&self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.name]).output();
    }

    /// A folder for `DOCKER_CONFIG` with a login in it.
    fn login(&self) -> String {
        self.login_at(self.port)
    }

    /// The same by the port of a line that leads to it.
    fn login_at(&self, port: u16) -> String {
        let given = self.config("given", "{}");
        let mut login = Command::new("docker");
        login.args(["--config", &given, "login", "-u", "ada", "--password-stdin", &format!("127.0.0.1:{port}")]);
        let mut login = login.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut login.stdin.take().unwrap(), "pass:wörd/+=".as_bytes()).unwrap();
        assert!(login.wait().unwrap().success());
        given
    }

    /// A folder for `DOCKER_CONFIG`.
    fn config(&self, name: &str, json: &str) -> String {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), json).unwrap();
        folder.display().to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A line to the registry that can be slow, and that breaks.
#[derive(Default)]
struct Line {
    /// Bytes a second; 0 for as many as there are.
    speed: AtomicU64,
    /// After so many bytes of an answer the connection is cut; 0 for never.
    cut: AtomicU64,
    /// How often it is.
    cuts: AtomicU64,
}

impl Line {
    fn open(listen: u16, to: u16) -> Arc<Self> {
        let line = Arc::new(Self::default());
        let listener = TcpListener::bind(("127.0.0.1", listen)).unwrap();
        let shared = Arc::clone(&line);
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (mut up, mut down) = (here.try_clone().unwrap(), there.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut down);
                    let _ = down.shutdown(Shutdown::Write);
                });
                let line = Arc::clone(&shared);
                std::thread::spawn(move || line.answers(there, here));
            }
        });
        line
    }

    fn answers(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        let mut passed = 0;
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let speed = self.speed.load(Ordering::Relaxed);
            if speed > 0 {
                std::thread::sleep(Duration::from_secs_f64(
                    f64::from(u32::try_from(length).unwrap()) / f64::from(u32::try_from(speed).unwrap()),
                ));
            }
            passed += length as u64;
            let cut = self.cut.load(Ordering::Relaxed);
            let often = cut > 0
                && passed > cut
                && self.cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
            if often || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }
}

#[test]
fn logins_are_those_of_docker() {
    const PORT: u16 = 22095;
    let name = format!("127.0.0.1:{PORT}/acme/app:1");
    let toml = format!("name = \"t-registry\"\n\n[services.app]\nimage = \"{name}\"\ncommand = [\"sleep\", \"600\"]\n");
    let site = Site::new(&toml, "t-registry", 0);
    let registry = Registry::start(PORT);
    let given = registry.login();
    quiet(Command::new("docker").args(["tag", &format!("{}/library/debian:trixie-slim", mirror()), &name]));
    quiet(Command::new("docker").args(["--config", &given, "push", "-q", &name]));
    let forget = || {
        let _ = Command::new("docker").args(["rmi", &name]).output();
    };

    // A helper that keeps the login, as `docker-credential-…` do.
    let bin = registry.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let helper = bin.join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = 'get 127.0.0.1:{PORT}' ] || {{ echo 'credentials not found in native \
         keychain'; exit 1; }}\nprintf '%s' '{{\"ServerURL\":\"x\",\"Username\":\"ada\",\"Secret\":\"pass:wörd/+=\"}}'\n"
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let kept = registry.config("kept", &format!(r#"{{"credHelpers":{{"127.0.0.1:{PORT}":"test"}}}}"#));
    let store = registry.config("store", r#"{"credsStore":"test"}"#);
    let lost = registry.config("lost", r#"{"credsStore":"nobody-has-this"}"#);
    let nothing = registry.config("nothing", "{}");

    let up = |config: &str| site.run(&["up", "--yes", "--no-verify"], &[("DOCKER_CONFIG", config), ("PATH", &path)]);
    forget();
    let no_login = "the registry does not give the image to us";
    up(&nothing).ends(1).says(no_login).says("`docker login` to its registry on this machine");
    up(&lost).ends(1).says(no_login).says("docker-credential-nobody-has-this");
    for config in [&given, &kept, &store] {
        forget();
        up(config).ends(0);
        site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    }
    site.write(&toml.replace("app:1", "app:2"));
    up(&given).ends(1).says("there is no such image").says("check its name and tag");
    site.write(&toml);
    forget();
    registry.stop();
    up(&given).ends(1).says("the engine does not reach the registry");
}

#[test]
fn a_lock_holds_what_a_tag_meant() {
    const PORT: u16 = 22096;
    let name = format!("127.0.0.1:{PORT}/acme/lock:1");
    let toml = format!("name = \"t-lock\"\n\n[services.app]\nimage = \"{name}\"\ncommand = [\"sleep\", \"600\"]\n");
    let site = Site::new(&toml, "t-lock", 0);
    let registry = Registry::start(PORT);
    let given = registry.login();
    let push = |version: &str| {
        let build = ["build", "-q", "-t", &name, "-"];
        let mut build = Command::new("docker").args(build).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let text = format!("FROM {}/library/debian:trixie-slim\nLABEL version={version}\n", mirror());
        std::io::Write::write_all(&mut build.stdin.take().unwrap(), text.as_bytes()).unwrap();
        assert!(build.wait().unwrap().success());
        quiet(Command::new("docker").args(["--config", &given, "push", "-q", &name]));
        let _ = Command::new("docker").args(["rmi", &name]).output();
    };
    let run = |args: &[&str]| site.run(args, &[("DOCKER_CONFIG", &given)]);
    let runs = || site.docker(&["inspect", "-f", "{{.Config.Labels.version}}", "t-lock-app-1"]).trim().to_owned();
    let locked = || fs::read_to_string(site.folder().join("stack.lock")).unwrap();
    push("one");
    run(&["lock", "--check"]).ends(3).says(&format!("+ {name} sha256:"));
    assert!(!site.folder().join("stack.lock").exists(), "only looked at");
    run(&["lock"]).ends(0).says("wrote stack.lock: 1 image");
    run(&["lock", "--check"]).ends(0).says("stack.lock is complete: 1 image");
    let first = locked();

    // The tag moves, and nobody follows it.
    push("two");
    run(&["up", "--yes", "--no-verify"]).ends(0);
    assert_eq!(runs(), "one");
    run(&["plan", "--exit-code"]).ends(0);
    quiet(Command::new("docker").args(["--config", &given, "pull", "-q", &name]));
    run(&["plan", "--exit-code"]).ends(0);
    run(&["render", "out", "--no-secrets"]).ends(0);
    let digest = first.split('"').nth(3).unwrap();
    let compose = fs::read_to_string(site.folder().join("out/compose.yaml")).unwrap();
    assert!(compose.contains(&format!("{name}@{digest}")), "{compose}");

    run(&["lock"]).ends(0).says("is complete");
    run(&["lock", "--upgrade", "--check"]).ends(3).says("→ sha256:");
    assert_eq!(locked(), first);
    run(&["lock", "--upgrade", "ap"]).ends(2).says("did you mean `app`?");
    run(&["lock", "--upgrade", "app"]).ends(0);
    assert_ne!(locked(), first);
    run(&["plan", "--exit-code"]).ends(3).says("image");
    run(&["up", "--yes", "--no-verify"]).ends(0);
    assert_eq!(runs(), "two");

    // And back, by the file alone: the image is pulled by its digest if it has gone.
    fs::write(site.folder().join("stack.lock"), &first).unwrap();
    run(&["up", "--yes", "--no-verify"]).ends(0);
    assert_eq!(runs(), "one");

    fs::write(site.folder().join("stack.lock"), first.replace("sha256:", "sha512:")).unwrap();
    run(&["plan"]).ends(2).says("--> stack.lock:").says("64 hexadecimal digits");
    fs::write(site.folder().join("stack.lock"), &first).unwrap();
    site.write(&toml.replace("lock:1", "lock:2"));
    run(&["plan"]).ends(0).says("stack.lock says nothing of");
    run(&["lock"]).ends(1).says("the lock stays as it is");
    assert_eq!(locked(), first);
    site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
}

/// A line that is slow, that breaks once, and that breaks again and again: progress is told, what was fetched is kept,
/// and what served before serves on.
#[test]
fn a_bad_line_to_the_registry() {
    const PORT: u16 = 22097;
    const LINE: u16 = 22098;
    if !soak() {
        return;
    }
    let registry = Registry::start(PORT);
    let line = Line::open(LINE, PORT);
    let given = registry.login_at(LINE);
    let name = |version: u32| format!("127.0.0.1:{LINE}/acme/large:{version}");
    // Sixteen megabytes that nothing makes smaller, another sixteen each time.
    let push = |version: u32| {
        let text = format!(
            "FROM t-line-app\nUSER root\nRUN head -c 16777216 /dev/urandom >/srv/large && echo {version}\nUSER 10001\n"
        );
        let mut build = Command::new("docker");
        build
            .args(["build", "-q", "--no-cache", "-t", &name(version), "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut build = build.spawn().unwrap();
        build.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(build.wait().unwrap().success());
        quiet(Command::new("docker").args(["--config", &given, "push", "-q", &name(version)]));
        quiet(Command::new("docker").args(["rmi", &name(version)]));
    };
    let app = super::support::root().join("tests/sample-app");
    let argument = format!("STACKCTL_REGISTRY_MIRROR={}/library/", mirror());
    quiet(Command::new("docker").args(["build", "-q", "-t", "t-line-app", "--build-arg", &argument]).arg(&app));
    let build = format!("build       = \"{}\"", app.display());
    let toml = slim("t-line", 18181).replace("replicas    = 3", "replicas    = 1");
    let toml = |version: u32| toml.replace(&build, &format!("image = \"{}\"", name(version)));
    let site = Site::new(&toml(1), "t-line", 18181);
    let up = |version: &str| {
        site.run(&["up", "--yes", "--no-verify"], &[("DOCKER_CONFIG", &given), ("APP_VERSION", version)])
    };
    push(1);
    up("1").ends(0);

    push(2);
    site.write(&toml(2));
    line.speed.store(1 << 20, Ordering::Relaxed);
    let visitor = Visitor::of(&site);
    let said = up("2").ends(0);
    visitor.was_always_served();
    assert!(
        said.err.contains("3 of 4 layers, ") && said.err.contains(" MB of 16.8 MB"),
        "how far it is, is told: {}",
        said.err
    );

    // The engine asks for the rest of what it has.
    line.speed.store(0, Ordering::Relaxed);
    push(3);
    site.write(&toml(3));
    line.cut.store(8 << 20, Ordering::Relaxed);
    line.cuts.store(1, Ordering::Relaxed);
    let visitor = Visitor::of(&site);
    up("3").ends(0);
    visitor.was_always_served();
    assert_eq!(line.cuts.load(Ordering::Relaxed), 0, "it was cut");

    {
        // An engine tries five times, and waits longer each time.
        push(4);
        site.write(&toml(4));
        line.cut.store(1 << 20, Ordering::Relaxed);
        line.cuts.store(u64::MAX, Ordering::Relaxed);
        let visitor = Visitor::of(&site);
        let said = up("4").ends(1).says("what served before still serves").says("could not pull");
        visitor.was_always_served();
        println!("{}", said.err);
        line.cut.store(0, Ordering::Relaxed);
        up("4").ends(0);
    }
    site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    for version in 1..=4 {
        let _ = Command::new("docker").args(["rmi", &name(version)]).output();
    }
}
