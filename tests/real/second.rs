//! A second engine, in a network namespace of its own: the machine's engine has other people's containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::support::Elsewhere;

pub(crate) fn mirror() -> String {
    std::env::var("STACKCTL_REGISTRY_MIRROR").unwrap_or_else(|_| "stackctl.test".to_owned())
}

/// A containerd and a dockerd, with their data in one folder and their network apart.
pub(crate) struct Engine {
    dir: TempDir,
    network: Option<Child>,
    daemons: Vec<Child>,
    /// What works on this machine's file system.
    storage: String,
    /// Where it listens.
    pub(crate) hosts: Vec<String>,
    /// More of its settings.
    pub(crate) settings: Vec<(&'static str, serde_json::Value)>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let info = Command::new("docker").args(["info", "--format", "{{.Driver}}"]).output().unwrap();
        let storage = String::from_utf8_lossy(&info.stdout).trim().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let hosts = vec![format!("unix://{}", dir.path().join("docker.sock").display())];
        Self { dir, network: None, daemons: Vec::new(), storage, hosts, settings: Vec::new() }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> String {
        format!("unix://{}", self.at("docker.sock").display())
    }

    /// A command that runs in the engine's network.
    pub(crate) fn within(&self) -> Vec<String> {
        let pid = self.network.as_ref().expect("started").id();
        ["nsenter", &format!("--net=/proc/{pid}/ns/net")].map(str::to_owned).to_vec()
    }

    pub(crate) fn elsewhere(&self) -> Elsewhere {
        // The link follows the network, which a power cut makes anew.
        let wrapper = self.at("within");
        let within = vec!["sh".to_owned(), wrapper.display().to_string()];
        Elsewhere { socket: self.socket(), within }
    }

    pub(crate) fn start(&mut self) {
        self.open_network();
        let path = |name: &str| self.at(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n",
            path("containerd"),
            path("run/containerd"),
            path("containerd.sock")
        );
        fs::write(self.at("containerd.toml"), config).unwrap();
        let log = fs::File::options().append(true).create(true).open(self.at("log")).unwrap();
        let containerd = ["containerd".to_owned(), "--config".to_owned(), path("containerd.toml")].to_vec();
        // A file of its own: the machine's may say the same things, and saying them twice is an error.
        let mut settings = serde_json::json!({
            "data-root": path("docker"),
            "exec-root": path("run/docker"),
            "pidfile": path("run/docker.pid"),
            "containerd": path("containerd.sock"),
            "hosts": self.hosts,
            "storage-driver": self.storage,
        });
        for (key, value) in &self.settings {
            settings[key] = value.clone();
        }
        fs::write(self.at("daemon.json"), settings.to_string()).unwrap();
        let dockerd = ["dockerd".to_owned(), "--config-file".to_owned(), path("daemon.json")].to_vec();
        for daemon in [containerd, dockerd] {
            let command = [self.within(), daemon].concat();
            let child = run(&command).stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap()).spawn();
            self.daemons.push(child.unwrap());
        }
        let begin = Instant::now();
        while !self.docker(&["version"]).output().unwrap().status.success() {
            let log = fs::read_to_string(self.at("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(10).collect();
            let ended = self.daemons.iter_mut().any(|d| d.try_wait().unwrap().is_some());
            assert!(!ended && begin.elapsed() < Duration::from_secs(60), "the second engine does not start: {last:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its network, with nothing but loopback.
    pub(crate) fn open_network(&mut self) {
        if self.network.is_none() {
            self.network = Some(as_root("unshare", &["--net", "sleep", "infinity"]).spawn().unwrap());
            // `unshare` has to have become `sleep`.
            std::thread::sleep(Duration::from_millis(200));
            let up = [self.within(), ["ip", "link", "set", "lo", "up"].map(str::to_owned).to_vec()].concat();
            assert!(run(&up).status().unwrap().success());
            fs::write(self.at("within"), format!("exec {} \"$@\"\n", self.within().join(" "))).unwrap();
        }
    }

    /// The process whose network it is.
    pub(crate) fn network_pid(&self) -> u32 {
        self.network.as_ref().expect("a network").id()
    }

    pub(crate) fn docker(&self, args: &[&str]) -> Command {
        let mut docker = as_root("docker", &["--host", &self.socket()]);
        docker.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        docker
    }

    pub(crate) fn load(&self, images: &[&str]) {
        let mirror = mirror();
        let full = |name: &&str| {
            if name.contains('/') { format!("{mirror}/{name}") } else { format!("{mirror}/library/{name}") }
        };
        let mut save = Command::new("docker");
        save.arg("save").args(images.iter().map(full)).stdout(Stdio::piped());
        let mut save = save.spawn().unwrap();
        let load = self.docker(&["load"]).stdin(save.stdout.take().unwrap()).status().unwrap();
        assert!(save.wait().unwrap().success() && load.success());
    }

    /// As `systemctl restart docker`: containers are stopped first.
    pub(crate) fn restart(&mut self) {
        for mut daemon in self.daemons.drain(..).rev() {
            kill("TERM", &[daemon.id()]);
            daemon.wait().unwrap();
        }
        self.start();
    }

    /// Both daemons die; the containers go on until the next engine finds them.
    pub(crate) fn crash(&mut self) {
        self.end_daemons();
        self.start();
    }

    fn end_daemons(&mut self) {
        for mut daemon in self.daemons.drain(..) {
            kill("KILL", &[daemon.id()]);
            daemon.wait().unwrap();
        }
    }

    /// Every process ends at once; what was in memory (mounts, network, /run) is gone.
    pub(crate) fn power_cut(&mut self) {
        self.vanish();
        self.start();
    }

    fn vanish(&mut self) {
        self.end_daemons();
        for _ in 0..50 {
            let left = with_children(self.dir.path());
            if left.is_empty() {
                break;
            }
            kill("KILL", &left);
            std::thread::sleep(Duration::from_millis(100));
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let here = self.dir.path().display().to_string();
        for mount in mounts.lines().rev().filter_map(|l| l.split(' ').nth(1)).filter(|m| m.starts_with(&here)) {
            as_root("umount", &["--lazy", mount]).status().unwrap();
        }
        if let Some(mut network) = self.network.take() {
            kill("KILL", &[network.id()]);
            network.wait().unwrap();
        }
        as_root("rm", &["-rf", &self.at("run").display().to_string()]).status().unwrap();
    }

    pub(crate) fn get(&self, port: u16, path: &str) -> Option<String> {
        let curl = ["curl", "-sf", "-m", "15", &format!("http://localhost:{port}{path}")].map(str::to_owned);
        let output = run(&[self.within(), curl.to_vec()].concat()).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.at("log")).unwrap_or_default();
            for line in log.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev() {
                println!("engine: {line}");
            }
        }
        self.vanish();
        for folder in ["docker", "containerd"] {
            let _ = as_root("rm", &["-rf", &self.at(folder).display().to_string()]).status();
        }
    }
}

/// Processes whose command line names a folder, and all that they started.
fn with_children(folder: &Path) -> Vec<u32> {
    let folder = folder.display().to_string();
    let mut all: Vec<(u32, u32, bool)> = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // "pid (name) state ppid …", and a name may hold anything.
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let parent = after.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
        all.push((pid, parent, String::from_utf8_lossy(&line).contains(&folder)));
    }
    let mut found: Vec<u32> = all.iter().filter(|(_, _, named)| *named).map(|(pid, _, _)| *pid).collect();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = all.iter().filter(|(pid, of, _)| *of == parent && !found.contains(pid)).map(|(pid, _, _)| *pid);
        let children: Vec<u32> = children.collect();
        found.extend(children);
        next += 1;
    }
    found
}

pub(crate) fn kill(signal: &str, pids: &[u32]) {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let _ = as_root("kill", &["-s", signal]).args(pids).stderr(Stdio::null()).status();
}

pub(crate) fn run(words: &[String]) -> Command {
    let (program, args) = words.split_first().expect("a program");
    let mut command = as_root(program, &[]);
    command.args(args);
    command
}

/// Namespaces and daemons are root's.
pub(crate) fn as_root(program: &str, args: &[&str]) -> Command {
    let uid = Command::new("id").arg("-u").output().unwrap().stdout;
    let mut command = if uid.trim_ascii() == b"0" {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", program]);
        sudo
    };
    command.args(args);
    command
}
