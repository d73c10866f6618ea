//! Engines elsewhere: behind ssh, behind TLS. The same commands, the same promises.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::second::{Engine, as_root, mirror, run};
use super::support::{Said, Site, Visitor, get, root, slim, soak, turn};

/// Image of what another host has to offer.
pub(super) const HOST: &str = "stackctl-test/host:1";

pub(super) fn quiet(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn host_image() {
    let argument = format!("STACKCTL_REGISTRY_MIRROR={}/library/", mirror());
    let context = root().join("tests/real/host");
    quiet(Command::new("docker").args(["build", "-q", "-t", HOST, "--build-arg", &argument]).arg(context));
}

/// An sshd on loopback in a container, leading to the machine's engine; keys and configuration of somebody who logs in.
struct Host {
    dir: tempfile::TempDir,
    names: Vec<String>,
}

impl Host {
    fn new() -> Self {
        host_image();
        let dir = tempfile::tempdir().unwrap();
        let host = Self { dir, names: Vec::new() };
        for key in ["host", "user", "other"] {
            quiet(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(host.at(key)));
        }
        let public = fs::read_to_string(host.at("host.pub")).unwrap();
        fs::write(host.at("known"), format!("far {public}")).unwrap();
        // The program that stackctl finds, with the configuration of this person.
        fs::create_dir(host.at("bin")).unwrap();
        let real = Command::new("sh").args(["-c", "command -v ssh"]).output().unwrap().stdout;
        let real = String::from_utf8(real).unwrap().trim().to_owned();
        let script = format!("#!/bin/sh\nexec {real} -F {} \"$@\"\n", host.at("config").display());
        fs::write(host.at("bin/ssh"), script).unwrap();
        fs::set_permissions(host.at("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn sshd(&mut self, port: u16, options: &[&str]) {
        let name = format!("t-sshd-{port}");
        let mut command = Command::new("docker");
        command.args(["run", "-d", "--rm", "--network", "host", "--name", &name]);
        command.args(["-v", "/var/run/docker.sock:/var/run/docker.sock", "-v"]);
        command.arg(format!("{}:/keys:ro", self.dir.path().display())).args([HOST, "-p", &port.to_string()]);
        quiet(command.args(options));
        self.names.push(name);
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "sshd does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `~/.ssh/config` would say.
    fn configure(&self, entries: &[(&str, u16, &str)]) {
        let known = self.at("known").display().to_string();
        let entry = |(name, port, more): &(&str, u16, &str)| {
            format!(
                "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  HostKeyAlias far\n  \
                 IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n  {more}\n",
                self.at("user").display()
            )
        };
        fs::write(self.at("config"), entries.iter().map(entry).collect::<String>()).unwrap();
    }

    fn path(&self) -> String {
        format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("docker").args(["rm", "-f", name]).output();
        }
    }
}

/// Runs on an engine elsewhere.
struct Far<'a> {
    site: &'a Site,
    env: Vec<(String, String)>,
}

impl Far<'_> {
    fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let all: Vec<(&str, &str)> =
            self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(env.iter().copied()).collect();
        self.site.command(args, &all)
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        super::support::said(&self.command(args, env).output().unwrap())
    }

    /// Everything people do, over this way.
    fn everyday(&self, visitor: impl Fn() -> Visitor, rung: &str, vantage: &str) {
        let v = |version| [("APP_VERSION", version)];
        let page = |text: &str| fs::write(self.site.folder().join("page.txt"), text).unwrap();
        page("of release one");
        let said = self.run(&["up", "--yes"], &v("1")).ends(0);
        // On the engine's own host there is nothing to tell.
        if rung != DIRECTLY {
            said.says(&format!("containers were asked {rung}"));
        }
        self.run(&["up", "--yes"], &v("1")).ends(0).says("0 steps");
        let visitor_of_release = visitor();
        page("of release two");
        self.run(&["up", "--yes", "--no-verify"], &v("2")).ends(0);
        visitor_of_release.was_always_served();
        let shown = || self.run(&["exec", "-T", "app", "cat", "/srv/page.txt"], &[]).ends(0).out;
        assert_eq!(shown(), "of release two");
        // Back, with the files of then.
        let visitor_of_return = visitor();
        self.run(&["rollback", "--yes", "--no-verify"], &v("2")).ends(0);
        visitor_of_return.was_always_served();
        assert_eq!(shown(), "of release one");
        let visitor_of_kill = visitor();
        let mut killed = self.command(&["up", "--yes", "--no-verify"], &v("3")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(2500));
        killed.kill().unwrap();
        killed.wait().unwrap();
        self.run(&["up", "--yes", "--no-verify"], &v("3")).ends(0);
        visitor_of_kill.was_always_served();
        assert_eq!(self.run(&["plan", "--exit-code"], &v("3")).code, 0);
        self.run(&["exec", "-T", "app", "sh", "-c", "echo $APP_VERSION; exit 7"], &[]).ends(7).says("3");
        let sent = "x".repeat(200_000);
        let mut cat = self.command(&["run", "--rm", "-T", "app", "cat"], &[]);
        let mut cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = cat.stdin.take().unwrap();
        let bytes = sent.clone();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, bytes.as_bytes()).unwrap());
        let output = cat.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.stdout == sent.as_bytes(), "{} bytes came back", output.stdout.len());
        self.run(&["logs", "app", "--tail", "5"], &[]).ends(0).says("app-2 |");
        self.run(&["verify", "--quick"], &v("3")).ends(0).says(vantage);
        // What fails is explained, and the release before serves on.
        let failing = visitor();
        self.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "4"), ("FAULT", "exit"), ("START", "6s")])
            .ends(1)
            .says("still serves");
        failing.was_always_served();
        self.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    }
}

/// The rung of the engine's own host.
const DIRECTLY: &str = "directly";

fn stack(name: &str, port: u16) -> String {
    let files = "files       = [\"page.txt:/srv/page.txt\"]";
    slim(name, port).replace("replicas    = 3", "replicas    = 2").replace("#EXTRA", files).replace(
        &format!("build       = \"{}\"", root().join("tests/sample-app").display()),
        "image       = \"t-remote:1\"",
    )
}

/// The sample app's image, under a name that the mirror's prefix leads to.
fn app_image() -> String {
    let mirror = mirror();
    let name = format!("{mirror}/library/t-remote:1");
    let argument = format!("STACKCTL_REGISTRY_MIRROR={mirror}/library/");
    let context = root().join("tests/sample-app");
    quiet(Command::new("docker").args(["build", "-q", "-t", &name, "--build-arg", &argument]).arg(context));
    "t-remote:1".to_owned()
}

/// Somebody's port that leads to the front door, as long as it is kept.
struct Forwarded(Child);

impl Drop for Forwarded {
    fn drop(&mut self) {
        // Asked to end, it takes its connection's socket away.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn an_engine_behind_a_socket() {
    if !soak() {
        println!("only with SOAK=1: what differs from the machine's own engine is met behind TLS and ssh, too");
        return;
    }
    let turn = turn();
    app_image();
    let site = Site::on(None, Some(turn), &stack("t-unix", 18165), "t-unix", 18165);
    everyday_at(&site, "unix:///var/run/docker.sock", || Visitor::at("127.0.0.1", 18165));
}

/// Everything people do, on an engine of this machine.
fn everyday_at(site: &Site, socket: &str, visitor: impl Fn() -> Visitor) {
    let there = Far { site, env: vec![("STACKCTL_HOST".into(), socket.into())] };
    fs::write(site.folder().join("page.txt"), "of release zero").unwrap();
    there.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "0")]).ends(0);
    there.everyday(visitor, DIRECTLY, "host");
}

#[test]
fn an_engine_behind_ssh() {
    let turn = turn();
    app_image();
    // Where ssh's control sockets are: the path of one is limited, so not below a folder of the project.
    let sockets = tempfile::Builder::new().prefix("s").tempdir_in("/tmp").unwrap();
    let mut host = Host::new();
    host.sshd(22091, &[]);
    host.sshd(22092, &["-o", "AllowTcpForwarding=no"]);
    host.configure(&[("box", 22091, ""), ("closed", 22092, ""), ("slow", 22093, "")]);
    let site = Site::on(None, Some(turn), &stack("t-ssh", 18161), "t-ssh", 18161);
    fs::write(site.folder().join("page.txt"), "of release zero").unwrap();
    let far = |address: &str| Far {
        site: &site,
        env: vec![
            ("STACKCTL_HOST".into(), address.into()),
            ("PATH".into(), host.path()),
            ("XDG_RUNTIME_DIR".into(), sockets.path().display().to_string()),
        ],
    };
    what_ssh_refuses_is_explained(&host, &far);

    let there = far("ssh://box");
    there.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "0")]).ends(0);
    let forward = there.command(&["forward", "proxy:80", "--port", "18162"], &[]).stdout(Stdio::null()).spawn();
    let forward = Forwarded(forward.unwrap());
    until_served(18162);
    there.everyday(|| Visitor::at("127.0.0.1", 18162), "through ssh", "through ssh");
    drop(forward);

    // A host that forbids forwarding has another rung.
    let closed = far("ssh://closed");
    closed.run(&["up", "--yes"], &[("APP_VERSION", "1")]).ends(0).says("were asked through a helper container");
    closed.run(&["verify", "--quick"], &[("APP_VERSION", "1")]).ends(0).says("through a helper container");
    assert_eq!(helpers(), "", "the helper is gone");

    a_slow_line_changes_nothing(&far("ssh://slow"), 22093, "127.0.0.1:22091");
    far("ssh://box").run(&["down", "--volumes", "--yes"], &[]).ends(0);
    no_login_is_left(sockets.path());
}

/// Neither a socket nor an ssh of any run, the killed one's included.
fn no_login_is_left(folder: &Path) {
    let left = || {
        let sockets =
            fs::read_dir(folder.join("stackctl")).unwrap().flatten().map(|entry| entry.path().display().to_string());
        let pgrep = Command::new("pgrep").arg("-af").arg(folder).output().unwrap();
        let processes = String::from_utf8(pgrep.stdout).unwrap();
        sockets.chain(processes.lines().filter(|line| line.contains("ssh ")).map(str::to_owned)).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !left().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left(), Vec::<String>::new());
}

fn helpers() -> String {
    std::thread::sleep(Duration::from_millis(700));
    let list = ["ps", "-a", "--filter", "label=stackctl.role=relay", "--format", "{{.Names}}"];
    String::from_utf8(Command::new("docker").args(list).output().unwrap().stdout).unwrap()
}

#[track_caller]
fn until_served(port: u16) {
    let begin = Instant::now();
    while !matches!(get(("127.0.0.1", port), "/health"), Ok((200, _))) {
        assert!(begin.elapsed() < Duration::from_secs(15), "nobody answers on {port}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn what_ssh_refuses_is_explained<'a>(host: &Host, far: &dyn Fn(&str) -> Far<'a>) {
    let fails = |address: &str, what: &str, hint: &str| {
        let begin = Instant::now();
        far(address).run(&["status"], &[]).ends(1).says(what).says(hint);
        assert!(begin.elapsed() < Duration::from_secs(20), "{address}: {:?}", begin.elapsed());
    };
    fails("ssh://nobody.invalid", "Could not resolve hostname", "check the host's name");
    fails("ssh://127.0.0.1:1", "Connection refused", "does sshd run");
    fails("ssh://somebody@box", "Permission denied", "ssh-copy-id somebody@box");
    fails("ssh://nodocker@box", "permission denied", "usermod -aG docker");
    fails("ssh://box/run/nobody.sock", "/run/nobody.sock", "no engine answers on its socket");
    let known = fs::read_to_string(host.at("known")).unwrap();
    let other = fs::read_to_string(host.at("other.pub")).unwrap();
    fs::write(host.at("known"), format!("far {other}")).unwrap();
    fails("ssh://box", "REMOTE HOST IDENTIFICATION HAS CHANGED", "ssh-keygen -R");
    fs::write(host.at("known"), "").unwrap();
    fails("ssh://box", "Host key verification failed", "log in once by hand");
    fs::write(host.at("known"), known).unwrap();
}

/// Fifty milliseconds there and back cost a run that has nothing to do less than twenty of them: it asks side by side.
fn a_slow_line_changes_nothing(far: &Far<'_>, listen: u16, to: &str) {
    let load = Path::new(env!("CARGO_BIN_EXE_stackctl")).parent().unwrap().join("examples/load");
    let listen = format!("127.0.0.1:{listen}");
    let line = |delay: &str| {
        let relay = ["relay", "--listen", &listen, "--to", to, "--delay-ms", delay];
        let relay = Forwarded(Command::new(&load).args(relay).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(300));
        relay
    };
    // The machine has other things to do: the best of a few says what a run takes.
    let nothing = || {
        let one = |_| {
            let begin = Instant::now();
            far.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]).ends(0).says("0 steps");
            begin.elapsed()
        };
        (0..4).map(one).min().unwrap()
    };
    let slow = line("25");
    far.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]).ends(0);
    let slowly = nothing();
    drop(slow);
    let _fast = line("0");
    let fast = nothing();
    println!("nothing to do: {fast:?}, with 50 ms on the line {slowly:?}");
    assert!(slowly < Duration::from_millis(1500), "{slowly:?}");
    assert!(slowly.saturating_sub(fast) < Duration::from_secs(1), "{fast:?} {slowly:?}");
}

const ENGINE: &str = "10.254.77.2";

#[test]
fn an_engine_behind_tls() {
    let turn = turn();
    let image = app_image();
    let mut engine = Engine::new();
    engine.open_network();
    connect_network(&engine);
    let certs = certificates();
    let at = |name: &str| certs.path().join(name).display().to_string();
    engine.hosts.push(format!("tcp://{ENGINE}:2376"));
    engine.settings = vec![
        ("tlsverify", true.into()),
        ("tlscacert", at("ca.pem").into()),
        ("tlscert", at("server.pem").into()),
        ("tlskey", at("server-key.pem").into()),
    ];
    engine.start();
    engine.load(&[&image, "nginx:1.30"]);
    let toml = stack("t-tls", 18163).replace("127.0.0.1", "0.0.0.0");
    let mut elsewhere = engine.elsewhere();
    elsewhere.within = Vec::new();
    let site = Site::on(Some(elsewhere), Some(turn), &toml, "t-tls", 18163);
    fs::write(site.folder().join("page.txt"), "of release zero").unwrap();
    let far = |address: &str, folder: Option<&str>| {
        let mut env = vec![("STACKCTL_HOST".to_owned(), address.to_owned())];
        env.extend(folder.map(|folder| ("DOCKER_CERT_PATH".to_owned(), folder.to_owned())));
        Far { site: &site, env }
    };
    let address = format!("tcp://{ENGINE}:2376");
    let folder = certs.path().display().to_string();
    let fails = |address: &str, folder: Option<&str>, what: &str, hint: &str| {
        far(address, folder).run(&["status"], &[]).ends(1).says(what).says(hint);
    };
    fails(&address, None, "HTTP request to an HTTPS server", "DOCKER_CERT_PATH");
    fails(&address, Some(&at("stranger")), "", "signed by the authority the engine trusts");
    fails(&address, Some(&at("distrust")), "UnknownIssuer", "`ca.pem` is not the authority");
    fails(&address, Some(&at("nowhere")), "key.pem", "`ca.pem`, `cert.pem` and `key.pem`");
    fails(&format!("tcp://{ENGINE}:1"), Some(&folder), "refused", "does the engine listen on that port");
    fails("tcp://127.0.0.1:18163", Some(&folder), "refused", "listen");

    let there = far(&address, Some(&folder));
    there.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "0")]).ends(0);
    there.everyday(|| Visitor::at(ENGINE, 18163), "through a helper container", "outside");
    a_slow_line_changes_nothing(&far("tcp://127.0.0.1:22094", Some(&folder)), 22094, &format!("{ENGINE}:2376"));
    an_image_comes_without_a_registry(&there, &engine);
    // The same through a Docker context.
    let config = certs.path().join("docker");
    let docker = |args: &[&str]| quiet(Command::new("docker").arg("--config").arg(&config).args(args));
    let endpoint = format!("host={address},ca={},cert={},key={}", at("ca.pem"), at("cert.pem"), at("key.pem"));
    docker(&["context", "create", "far", "--docker", &endpoint]);
    docker(&["context", "use", "far"]);
    let mut status = site.command(&["status"], &[("DOCKER_CONFIG", config.to_str().unwrap())]);
    super::support::said(&status.env_remove("DOCKER_HOST").output().unwrap()).ends(0).says("t-tls is not deployed");
}

/// Built here, run there: no registry has it, and what the other engine has of it stays here.
fn an_image_comes_without_a_registry(there: &Far<'_>, engine: &Engine) {
    let toml = fs::read_to_string(there.site.folder().join("stack.toml")).unwrap();
    let toml = toml.replace("image       = \"t-remote:1\"", "image = \"t-sent:1\"\npull_policy = \"send\"");
    there.site.write(&toml);
    let name = format!("{}/library/t-sent:1", mirror());
    let build = |text: &str| {
        let base = format!("{}/library/t-remote:1", mirror());
        let file = format!(
            "FROM {base}\nUSER root\nRUN echo {text} >/srv/sent && head -c 3000000 /dev/urandom >/srv/large\nUSER 10001\n"
        );
        let mut build = Command::new("docker")
            .args(["build", "-q", "-t", &name, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut build.stdin.take().unwrap(), file.as_bytes()).unwrap();
        assert!(build.wait().unwrap().success());
    };
    let v = |version| [("APP_VERSION", version)];
    let up = |version| there.run(&["up", "--yes", "--no-verify"], &v(version));
    let _ = Command::new("docker").args(["rmi", "-f", &name]).output();
    up("1").ends(1).says("the engine of this machine does not have it").says("docker build -t");
    build("one");
    there.run(&["plan"], &v("1")).ends(0).says(&format!("send {name} from this machine"));
    let said = there.run(&["up", "--yes", "--no-verify", "--json"], &v("1")).ends(0);
    let news = said.out.lines().find(|l| l.contains(" were there")).unwrap_or_else(|| panic!("{}", said.out));
    println!("{news}");
    // The base image is not sent again: three megabytes of more than a hundred.
    let megabytes: u32 = news.split(" MB sent").next().and_then(|t| t.rsplit(' ').next()).unwrap().parse().unwrap();
    assert!((2..=6).contains(&megabytes), "{news}");
    let sent = || there.run(&["exec", "-T", "app", "cat", "/srv/sent"], &[]).ends(0).out;
    assert_eq!(sent(), "one\n");
    up("1").ends(0).says("0 steps");
    build("two");
    there.run(&["plan"], &v("1")).ends(0).says("this machine has another one by that name");
    let visitor = Visitor::at(ENGINE, 18163);
    up("1").ends(0);
    visitor.was_always_served();
    assert_eq!(sent(), "two\n");
    // What is there stays when this machine has nothing any more.
    quiet(Command::new("docker").args(["rmi", "-f", &name]));
    up("1").ends(0).says("0 steps");
    // All of it, to an engine that has nothing of it.
    there.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    for image in
        [name.clone(), format!("{}/library/t-remote:1", mirror()), format!("{}/library/debian:trixie-slim", mirror())]
    {
        let _ = engine.docker(&["rmi", "-f", &image]).status();
    }
    build("three");
    up("1").ends(0);
    assert_eq!(sent(), "three\n");
    there.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    quiet(Command::new("docker").args(["rmi", "-f", &name]));
}

/// A line between the machine and the second engine's network.
fn connect_network(engine: &Engine) {
    let pid = engine.network_pid().to_string();
    quiet(&mut as_root("ip", &["link", "add", "t-tls-0", "type", "veth", "peer", "name", "t-tls-1", "netns", &pid]));
    quiet(&mut as_root("ip", &["address", "add", "10.254.77.1/30", "dev", "t-tls-0"]));
    quiet(&mut as_root("ip", &["link", "set", "t-tls-0", "up"]));
    for words in [["address", "add", "10.254.77.2/30", "dev", "t-tls-1"].as_slice(), &["link", "set", "t-tls-1", "up"]]
    {
        let words: Vec<String> = std::iter::once("ip").chain(words.iter().copied()).map(str::to_owned).collect();
        quiet(&mut run(&[engine.within(), words].concat()));
    }
}

/// An authority, the engine's certificate, ours; a stranger's; and one who trusts another authority.
fn certificates() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        r#"set -e
        authority() {{ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$1 \
            -keyout $1-key.pem -out $1.pem; }}
        signed() {{ # signed NAME BY FOLDER EXTENSION
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1 -keyout $3-key.pem -out $3.csr
            printf '%s\n' "$4" >$3.ext
            openssl x509 -req -in $3.csr -CA $2.pem -CAkey $2-key.pem -CAcreateserial -days 2 -extfile $3.ext -out $3.pem; }}
        authority ca; authority otherca
        signed engine ca server 'subjectAltName=IP:{ENGINE},IP:127.0.0.1'
        signed me ca cert 'extendedKeyUsage=clientAuth'; mv cert-key.pem key.pem
        mkdir stranger distrust
        signed stranger otherca stranger/cert 'extendedKeyUsage=clientAuth'; mv stranger/cert-key.pem stranger/key.pem
        cp ca.pem stranger/; cp cert.pem key.pem distrust/; cp otherca.pem distrust/ca.pem"#
    );
    quiet(Command::new("bash").args(["-c", &script]).current_dir(dir.path()));
    dir
}
