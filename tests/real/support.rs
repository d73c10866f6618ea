//! A stack in a folder of its own, the binary run on it, and people who keep asking its front door.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

static MACHINE: RwLock<()> = RwLock::new(());

/// The right to use the machine: with others, or alone for those who load it.
#[expect(dead_code, reason = "held, not read")]
pub(crate) enum Turn {
    Beside(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// A turn beside others, as many as the machine has processors: most of a test is waiting.
pub(crate) fn turn() -> Turn {
    Turn::Beside(MACHINE.read().unwrap_or_else(PoisonError::into_inner))
}

/// A turn without others, for what drives the machine to its limits.
pub(crate) fn alone() -> Turn {
    Turn::Alone(MACHINE.write().unwrap_or_else(PoisonError::into_inner))
}

/// The long forms are asked for.
pub(crate) fn soak() -> bool {
    std::env::var("SOAK").is_ok_and(|v| v == "1")
}

/// Seconds the long forms may take together (`SOAK_BUDGET`).
pub(crate) fn budget() -> u64 {
    std::env::var("SOAK_BUDGET").ok().and_then(|s| s.parse().ok()).unwrap_or(2400)
}

/// Another seed every run, printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SOAK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_secs())
    });
    println!("SOAK_SEED={seed}");
    seed
}

/// Numbers that look random (SplitMix64): enough to choose moments and orders.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, usize::try_from(self.below(i as u64 + 1)).unwrap());
        }
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A stack, with its turn on the machine as long as it lives.
pub(crate) struct Site {
    _turn: Option<Turn>,
    dir: TempDir,
    pub(crate) name: String,
    pub(crate) port: u16,
    elsewhere: Option<Elsewhere>,
}

/// An engine that is not the machine's.
pub(crate) struct Elsewhere {
    /// As `DOCKER_HOST` has it.
    pub(crate) socket: String,
    /// What a command is put behind to run in that engine's network.
    pub(crate) within: Vec<String>,
}

/// What a run of the binary said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        let all = format!("{}\n{}", self.out, self.err);
        // Messages are wrapped to the terminal's width.
        let flat = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&all).contains(&flat(words)), "`{words}` is not in:\n{all}");
        self
    }
}

/// The app in three replicas behind plain HTTP: what most tests need.
pub(crate) fn slim(name: &str, port: u16) -> String {
    format!(
        r#"
name = "{name}"

[services.app]
build       = "{app}"
user        = "10001"
port        = 8000
replicas    = 3
healthcheck = {{ path = "/health", start_period = "${{START:-40s}}" }}
memory      = "128M"
metrics     = "/metrics"
read_only   = true
{extra}
[services.app.environment]
APP_VERSION = "${{APP_VERSION:-1}}"
FAULT       = "${{FAULT:-}}"

[proxy]
tls       = "off"
http_port = {port}
address   = "127.0.0.1"

[routes]
"/" = "app"
"#,
        app = root().join("tests/sample-app").display(),
        extra = "#EXTRA"
    )
}

impl Site {
    pub(crate) fn new(toml: &str, name: &str, port: u16) -> Self {
        Self::on(None, Some(turn()), toml, name, port)
    }

    pub(crate) fn on(elsewhere: Option<Elsewhere>, turn: Option<Turn>, toml: &str, name: &str, port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Self { _turn: turn, dir, name: name.to_owned(), port, elsewhere };
        site.write(toml);
        site.clean();
        site
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, toml: &str) {
        std::fs::write(self.dir.path().join("stack.toml"), toml).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let program = env!("CARGO_BIN_EXE_stackctl").to_owned();
        let mut words = self.elsewhere.as_ref().map(|e| e.within.clone()).unwrap_or_default();
        words.push(program);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let mirror = std::env::var("STACKCTL_REGISTRY_MIRROR").unwrap_or_else(|_| "stackctl.test".to_owned());
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("USER", "tester")
            .env("STACKCTL_REGISTRY_MIRROR", mirror)
            .envs(env.iter().copied())
            .current_dir(self.dir.path())
            .args(args)
            .stdin(std::process::Stdio::null());
        if let Some(elsewhere) = &self.elsewhere {
            command.env("DOCKER_HOST", &elsewhere.socket);
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        said(&self.command(args, env).output().unwrap())
    }

    /// `up` without the checks at its end, for a version; it must succeed.
    #[track_caller]
    pub(crate) fn up(&self, version: &str) -> Said {
        self.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", version)]).ends(0)
    }

    #[track_caller]
    pub(crate) fn nothing_to_do(&self, version: &str) {
        let said = self.run(&["plan", "--exit-code"], &[("APP_VERSION", version)]);
        assert_eq!(said.code, 0, "{}", said.out);
    }

    /// One GET of a path over plain HTTP, on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String), String> {
        get(("127.0.0.1", self.port), path)
    }

    pub(crate) fn docker(&self, args: &[&str]) -> String {
        let mut command = Command::new("docker");
        if let Some(elsewhere) = &self.elsewhere {
            command.env("DOCKER_HOST", &elsewhere.socket);
        }
        let output = command.args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn list(&self, kind: &str) -> Vec<String> {
        let filter = format!("label=stackctl.project={}", self.name);
        let text = match kind {
            "containers" => self.docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]),
            kind => self.docker(&[kind, "ls", "--filter", &filter, "--format", "{{.Name}}"]),
        };
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Everything with the project's label, gone.
    fn clean(&self) {
        let filter = format!("label=stackctl.project={}", self.name);
        let remove = |list: &[&str], remove: &[&str]| {
            let ids = self.docker(list);
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                self.docker(&[remove, &ids].concat());
            }
        };
        remove(&["ps", "-aq", "--filter", &filter], &["rm", "-f", "-v"]);
        remove(&["network", "ls", "-q", "--filter", &filter], &["network", "rm"]);
        remove(&["volume", "ls", "-q", "--filter", &filter], &["volume", "rm", "-f"]);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.clean();
    }
}

pub(crate) fn said(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn get(address: (&str, u16), path: &str) -> Result<(u16, String), String> {
    let socket = address.0.parse::<std::net::IpAddr>().map_err(|e| e.to_string())?;
    let mut stream = TcpStream::connect_timeout(&(socket, address.1).into(), Duration::from_secs(3))
        .map_err(|e| format!("connect: {e}"))?;
    // Longer than the front door tries when nobody is behind it.
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| format!("write: {e}"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|e| format!("read: {e}"))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(|| format!("no answer: {answer:?}"))?;
    Ok((status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())))
}

/// Somebody who asks the front door twenty times a second, and counts.
pub(crate) struct Visitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(u32, Vec<String>)>>,
}

impl Visitor {
    pub(crate) fn of(site: &Site) -> Self {
        Self::at("127.0.0.1", site.port)
    }

    pub(crate) fn at(host: &'static str, port: u16) -> Self {
        Self::of_path(host, port, "/health")
    }

    pub(crate) fn of_path(host: &'static str, port: u16, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut asked, mut failures) = (0, Vec::new());
            let begin = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                asked += 1;
                match get((host, port), path) {
                    Ok((200, _)) => {}
                    other => failures.push(format!("{:.1} s: {other:?}", begin.elapsed().as_secs_f64())),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            (asked, failures)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it: how many requests there were, and what became of those that were not answered with 200.
    pub(crate) fn end(mut self) -> (u32, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }

    /// Ends it: every request was answered with 200.
    #[track_caller]
    pub(crate) fn was_always_served(self) -> u32 {
        let (asked, failures) = self.end();
        assert!(asked > 0);
        assert!(failures.is_empty(), "{} of {asked} failed: {failures:#?}", failures.len());
        asked
    }
}

/// Which replicas answered, by name, over some requests.
pub(crate) fn replicas_answering(site: &Site, path: &str, requests: u32) -> BTreeMap<String, u32> {
    let mut out = BTreeMap::new();
    for _ in 0..requests {
        let (status, body) = site.get(path).unwrap();
        assert_eq!(status, 200, "{body}");
        let facts: serde_json::Value = serde_json::from_str(&body).unwrap();
        *out.entry(facts["replica"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    out
}
