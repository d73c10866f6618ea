//! The programs that read what is rendered, in containers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use stackctl::base::env::Env;
use stackctl::engine::Engine;
use stackctl::model::artifact::Artifact;

/// An image of the tests' mirror. A test that lacks it fails: it was not run.
pub(crate) fn image(name: &str) -> String {
    let mirror = std::env::var("STACKCTL_REGISTRY_MIRROR").unwrap_or_else(|_| "stackctl.test".to_owned());
    format!("{mirror}/{name}")
}

fn run(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).output().expect("docker runs");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

pub(crate) fn docker(arguments: &[&str]) -> String {
    String::from_utf8(run(arguments).stdout).expect("text").trim().to_owned()
}

/// The host as containers on the default bridge see it: its gateway, or the first address where the engine names none.
pub(crate) fn gateway() -> Ipv4Addr {
    let config = docker(&["network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"]);
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    if let Some(gateway) = config["Gateway"].as_str().and_then(|text| text.parse().ok()) {
        return gateway;
    }
    let subnet = config["Subnet"].as_str().and_then(|text| text.split('/').next()).expect("a subnet");
    let base: Ipv4Addr = subnet.parse().expect("an address");
    Ipv4Addr::from_bits(base.to_bits() + 1)
}

/// The files volume in a container, where Nginx has it too.
const VOLUME: &str = "/run/stackctl";

/// `releases/NAME/…`, as a tar stream.
fn archive(release: &str, files: &[Artifact]) -> tar::Builder<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let text = file.content.expose();
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid.into());
        header.set_gid(file.uid.into());
        tar.append_data(&mut header, format!("releases/{release}/{}", file.path), text.as_bytes()).unwrap();
    }
    tar
}

fn link(tar: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, path, target).unwrap();
}

/// A container with a files volume at `/run/stackctl`, as locked down as the real one: only another container, which
/// never runs, can write there.
pub(crate) struct Container {
    name: String,
}

impl Container {
    pub(crate) fn create(image: &str, user: &str, command: &[&str]) -> Self {
        Self::create_with(image, user, &[], command)
    }

    /// The same with more arguments for the engine.
    pub(crate) fn create_with(image: &str, user: &str, more: &[&str], command: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("render-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        docker(&["volume", "create", &name]);
        docker(&["create", "--name", &writer(&name), "-v", &format!("{name}:{VOLUME}"), image]);
        let volume = format!("{name}:{VOLUME}:ro");
        let mut arguments = vec!["create", "--name", &name, "--user", user, "--read-only", "--cap-drop", "ALL"];
        arguments.extend(["--security-opt", "no-new-privileges", "--memory", "256m", "--pids-limit", "100"]);
        arguments.extend(["--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=64m,mode=1777", "-v", &volume]);
        arguments.extend(more);
        arguments.push(image);
        arguments.extend(command);
        docker(&arguments);
        Self { name }
    }

    /// Files that it starts with.
    pub(crate) fn put(&self, release: &str, files: &[Artifact]) {
        let mut tar = archive(release, files);
        link(&mut tar, "current", &format!("releases/{release}"));
        self.extract(&tar.into_inner().unwrap());
    }

    /// Other files while it runs, switched to as `up` does.
    pub(crate) fn switch(&self, release: &str, files: &[Artifact]) {
        self.extract(&archive(release, files).into_inner().unwrap());
        let links = BTreeMap::from([("current".to_owned(), format!("releases/{release}"))]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let switched = runtime.block_on(async {
            let engine = Engine::connect(None, &Env::default()).await?;
            engine.ensure_holder().await?;
            engine.replace_links(&self.name, &links).await
        });
        switched.expect("the link is switched");
    }

    /// Makes `path` in the volume a link.
    pub(crate) fn put_link(&self, path: &str, target: &str) {
        let mut tar = tar::Builder::new(Vec::new());
        link(&mut tar, path, target);
        self.extract(&tar.into_inner().unwrap());
    }

    /// Makes `path` in the volume an empty file.
    pub(crate) fn put_file(&self, path: &str) {
        self.put_bytes(path, &[]);
    }

    /// Makes `path` in the volume a file.
    pub(crate) fn put_bytes(&self, path: &str, bytes: &[u8]) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o444);
        tar.append_data(&mut header, path, bytes).unwrap();
        self.extract(&tar.into_inner().unwrap());
    }

    fn extract(&self, tar: &[u8]) {
        let mut child = Command::new("docker")
            .args(["cp", "-", &format!("{}:{VOLUME}", writer(&self.name))])
            .stdin(Stdio::piped())
            .spawn()
            .expect("docker runs");
        child.stdin.take().unwrap().write_all(tar).unwrap();
        assert!(child.wait().unwrap().success(), "docker cp");
    }

    pub(crate) fn start(&self) {
        docker(&["start", &self.name]);
    }

    /// Starts it, waits for its end; exit code and output.
    pub(crate) fn finish(&self) -> (i32, String) {
        self.start();
        let code = docker(&["wait", &self.name]).parse().expect("a code");
        (code, self.logs())
    }

    pub(crate) fn signal(&self, signal: &str) {
        docker(&["kill", "-s", signal, &self.name]);
        sleep(Duration::from_millis(700));
    }

    pub(crate) fn address(&self) -> String {
        docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &self.name])
    }

    /// Numbers of its processes.
    pub(crate) fn processes(&self) -> String {
        docker(&["top", &self.name, "-o", "pid"])
    }

    pub(crate) fn logs(&self) -> String {
        let output = run(&["logs", &self.name]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

fn writer(name: &str) -> String {
    format!("{name}-writer")
}

impl Drop for Container {
    fn drop(&mut self) {
        for arguments in [["rm", "-f", &self.name], ["rm", "-f", &writer(&self.name)], ["volume", "rm", &self.name]] {
            let _ = Command::new("docker").args(arguments).output();
        }
    }
}
