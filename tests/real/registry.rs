//! Images from a registry that wants a login, one that has not got them, one that goes away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::remote::{HOST, host_image, quiet};
use super::second::mirror;
use super::support::Site;

const PORT: u16 = 22095;

/// A registry on loopback with one user.
struct Registry {
    dir: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        host_image();
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "version: 0.1\nstorage:\n  inmemory: {{}}\nhttp:\n  addr: 127.0.0.1:{PORT}\n\
             auth:\n  htpasswd:\n    realm: test\n    path: /registry/htpasswd\n"
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        let run = ["run", "--rm", "--entrypoint", "htpasswd", HOST, "-nbB", "ada", "pass:wörd/+="];
        let output = Command::new("docker").args(run).output().unwrap();
        assert!(output.status.success());
        fs::write(dir.path().join("htpasswd"), output.stdout).unwrap();
        let folder = format!("{}:/registry:ro", dir.path().display());
        quiet(
            Command::new("docker")
                .args(["run", "-d", "--rm", "--network", "host", "--name", "t-registry", "-v", &folder])
                .args(["--entrypoint", "docker-registry", HOST, "serve", "/registry/config.yml"]),
        );
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", PORT)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "the registry does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { dir }
    }

    fn stop() {
        let _ = Command::new("docker").args(["rm", "-f", "t-registry"]).output();
    }

    /// A folder for `DOCKER_CONFIG` with a login in it.
    fn login(&self) -> String {
        let given = self.config("given", "{}");
        let mut login = Command::new("docker");
        login.args(["--config", &given, "login", "-u", "ada", "--password-stdin", &format!("127.0.0.1:{PORT}")]);
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
        Self::stop();
    }
}

#[test]
fn logins_are_those_of_docker() {
    let name = format!("127.0.0.1:{PORT}/acme/app:1");
    let toml = format!("name = \"t-registry\"\n\n[services.app]\nimage = \"{name}\"\ncommand = [\"sleep\", \"600\"]\n");
    let site = Site::new(&toml, "t-registry", 0);
    let registry = Registry::start();
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
    Registry::stop();
    up(&given).ends(1).says("the engine does not reach the registry");
}

#[test]
fn a_lock_holds_what_a_tag_meant() {
    let name = format!("127.0.0.1:{PORT}/acme/lock:1");
    let toml = format!("name = \"t-lock\"\n\n[services.app]\nimage = \"{name}\"\ncommand = [\"sleep\", \"600\"]\n");
    let site = Site::new(&toml, "t-lock", 0);
    let registry = Registry::start();
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
