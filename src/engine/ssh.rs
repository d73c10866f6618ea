//! Engines on other hosts by the user's own `ssh`: its agent, keys, known hosts and jump hosts are used as they are
//! configured. One connection is made and shared; what goes through it are streams to the engine and to containers.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddrV4;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::base::env::Env;
use crate::base::hash;

use super::address::SshAddress;
use super::error::{EngineError, ErrorKind};

/// How long a login may take: somebody may have to type a passphrase.
const LOGIN: Duration = Duration::from_secs(120);

/// How long a login of its own may take, to see whether the host forwards.
const FORWARDS: Duration = Duration::from_secs(20);

/// Options of every call. A host that is gone is noticed within a minute; what a user forwards for himself is not
/// forwarded by us, and nothing of his goes to that host.
const OPTIONS: &[&str] = &[
    "-T",
    "-a",
    "-x",
    "-oClearAllForwardings=yes",
    "-oRemoteCommand=none",
    "-oRequestTTY=no",
    "-oConnectTimeout=15",
    "-oServerAliveInterval=15",
    "-oServerAliveCountMax=3",
    "-oControlPersist=no",
];

/// A login that is open.
#[derive(Debug)]
pub(super) struct Ssh {
    address: SshAddress,
    /// A folder of our own that only we can read: the control socket is the key to the connection.
    folder: PathBuf,
    /// Ends with us.
    master: Mutex<Child>,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.master.get_mut().unwrap_or_else(PoisonError::into_inner).start_kill();
        // Other ssh processes of the same login may be taking their own sockets away right now.
        for _ in 0..5 {
            match std::fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                _ => break,
            }
        }
    }
}

impl Ssh {
    /// Logs in: without questions first, and then with them where somebody can answer.
    pub(super) async fn open(address: SshAddress, env: &Env, doing: &str) -> Result<Self, EngineError> {
        match Self::log_in(&address, env, false, doing).await {
            Err(error) if error.kind == ErrorKind::Permission && std::fs::File::open("/dev/tty").is_ok() => {
                Self::log_in(&address, env, true, doing).await
            }
            other => other,
        }
    }

    async fn log_in(address: &SshAddress, env: &Env, ask: bool, doing: &str) -> Result<Self, EngineError> {
        let folder = private_folder(env).map_err(|error| {
            EngineError::new(ErrorKind::Other, doing, format!("there is no place for ssh's control socket: {error}"))
        })?;
        let control = folder.join("c");
        let mut command = command(address, &control);
        command.args(["-oLogLevel=ERROR", "-N", "-oControlMaster=yes"]).stdin(Stdio::null()).stdout(Stdio::null());
        if ask {
            // A program that asks has to be in the foreground: then Ctrl-C ends it, and the connection, with us.
            command.process_group(rustix::process::getpgrp().as_raw_nonzero().get());
        } else {
            command.arg("-oBatchMode=yes");
        }
        command.arg("--").arg(&address.host);
        let mut child = command.spawn().map_err(|error| {
            let _ = std::fs::remove_dir_all(&folder);
            EngineError::new(ErrorKind::NotReachable, doing, format!("ssh does not start: {error}"))
                .with_hint("stackctl runs the `ssh` program: is it installed?")
        })?;
        let talk = listen(&mut child);
        let mut ssh = Self { address: address.clone(), folder, master: Mutex::new(child) };
        let began = Instant::now();
        loop {
            if control.exists() {
                return Ok(ssh);
            }
            let ended = ssh.master.get_mut().unwrap_or_else(PoisonError::into_inner).try_wait();
            if ended.is_ok_and(|status| status.is_some()) {
                // All it says has been said.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return Err(explained(&talk.text(), address, doing));
            }
            if began.elapsed() > LOGIN {
                let message = format!("the login took longer than {} s", LOGIN.as_secs());
                return Err(EngineError::new(ErrorKind::Timeout, doing, message));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A stream to the engine.
    pub(super) fn dial_engine(&self) -> io::Result<Stream> {
        let mut command = self.through();
        command.arg("--").arg(&self.address.host);
        match &self.address.socket {
            Some(path) => command.args(["docker", "--host", &quoted(&format!("unix://{path}"))]),
            None => command.arg("docker"),
        };
        command.args(["system", "dial-stdio"]);
        Stream::spawn(command)
    }

    /// Why the engine did not answer through it.
    pub(super) fn explain(&self, error: &EngineError, doing: &str) -> EngineError {
        explained(&error.message, &self.address, doing)
    }

    /// A stream to an address that host reaches.
    pub(super) fn dial(&self, to: SocketAddrV4) -> io::Result<Stream> {
        let mut command = self.through();
        command.args(["-W", &to.to_string(), "--", &self.address.host]);
        Stream::spawn(command)
    }

    /// Whether the host forwards at all (`AllowTcpForwarding no` forbids it). A shared login does not tell that from an
    /// address where nobody listens; one of its own does.
    pub(super) async fn forwards(&self) -> bool {
        let mut command = command(&self.address, Path::new("none"));
        // At its usual level ssh says why; below, only that.
        command.args(["-oLogLevel=INFO", "-oControlMaster=no", "-oBatchMode=yes"]);
        command.args(["-W", "127.0.0.1:1", "--", &self.address.host]).stdin(Stdio::null());
        let output = tokio::time::timeout(FORWARDS, command.output()).await;
        !output.is_ok_and(|o| o.is_ok_and(|o| String::from_utf8_lossy(&o.stderr).contains("prohibited")))
    }

    /// Name or address of the host as ssh itself resolves it, aliases of its configuration included.
    pub(super) async fn host(&self) -> Option<String> {
        let mut command = self.through();
        command.arg("-G").arg("--").arg(&self.address.host).stdin(Stdio::null());
        let output = command.output().await.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find_map(|line| line.strip_prefix("hostname ").map(str::to_owned))
    }

    fn through(&self) -> Command {
        let mut command = command(&self.address, &self.folder.join("c"));
        // Where the host allows no more streams on one connection, ssh makes another: without questions.
        command.args(["-oLogLevel=ERROR", "-oControlMaster=no", "-oBatchMode=yes"]);
        command
    }
}

fn command(address: &SshAddress, control: &Path) -> Command {
    let mut command = Command::new("ssh");
    command.args(OPTIONS).arg("-S").arg(control);
    if let Some(user) = &address.user {
        command.args(["-l", user]);
    }
    if let Some(port) = address.port {
        command.args(["-p", &port.to_string()]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C is for us: it must not end the connection under a deploy that undoes what it began.
    command.process_group(0);
    command
}

/// A folder with an unpredictable name, closed to others. Short: names of unix sockets are at most 107 bytes.
fn private_folder(env: &Env) -> io::Result<PathBuf> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("this system gives no random numbers"))?;
    let base = env.var("XDG_RUNTIME_DIR").filter(|path| path.len() < 40 && Path::new(path).is_dir()).unwrap_or("/tmp");
    let folder = Path::new(base).join(format!("stackctl-{}", hash::hex(&bytes)));
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

/// What a program says on its standard error, its last 4 KiB.
#[derive(Debug, Clone, Default)]
struct Talk(Arc<Mutex<Vec<u8>>>);

impl Talk {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

fn listen(child: &mut Child) -> Talk {
    let talk = Talk::default();
    if let Some(mut stderr) = child.stderr.take() {
        let heard = talk.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
                let mut all = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend_from_slice(&buffer[..length]);
                let excess = all.len().saturating_sub(4096);
                all.drain(..excess);
            }
        });
    }
    talk
}

/// A word for the shell of another host.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Standard input and output of an `ssh` that passes bytes on.
pub(super) struct Stream {
    input: Option<ChildStdin>,
    output: ChildStdout,
    child: Arc<tokio::sync::Mutex<Child>>,
    talk: Talk,
    heard: bool,
    end: Option<BoxFuture<'static, io::Result<()>>>,
}

impl Stream {
    fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let talk = listen(&mut child);
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("ssh has no streams"));
        };
        let child = Arc::new(tokio::sync::Mutex::new(child));
        Ok(Self { input: Some(input), output, child, talk, heard: false, end: None })
    }

    /// Fails if the other end turns out not to be there within this time.
    pub(super) async fn stays(&mut self, time: Duration) -> io::Result<()> {
        let ended = async { self.child.lock().await.wait().await };
        match tokio::time::timeout(time, ended).await {
            Err(_) => Ok(()),
            Ok(_) => Err(reason(&self.talk)),
        }
    }
}

fn reason(talk: &Talk) -> io::Error {
    let text = talk.text();
    // The last line says most: `channel 0: open failed: connect failed: Connection refused`, then less.
    let line = text.lines().find(|l| l.contains("open failed")).or(text.lines().last()).unwrap_or("ssh ended");
    let line = line.rsplit("open failed: ").next().unwrap_or(line);
    let kind = if line.contains("refused") { io::ErrorKind::ConnectionRefused } else { io::ErrorKind::Other };
    io::Error::new(kind, line.to_owned())
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &mut self.end {
            let end = std::task::ready!(end.as_mut().poll(cx));
            (self.end, self.heard) = (None, true);
            return Poll::Ready(end);
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard = true;
            return Poll::Ready(Ok(()));
        }
        if self.heard {
            return Poll::Ready(Ok(()));
        }
        // The end before the first byte: whatever ssh or the other side said is the reason.
        let (child, talk) = (Arc::clone(&self.child), self.talk.clone());
        self.end = Some(Box::pin(async move {
            let ended = async { child.lock().await.wait().await };
            let status = tokio::time::timeout(Duration::from_secs(2), ended).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            match status {
                Ok(Ok(status)) if status.success() => Ok(()),
                _ => Err(io::Error::other(Said(talk.text()))),
            }
        }));
        self.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end of its input is what `ssh` passes on as the end of ours.
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

/// What ssh said when a stream ended before it began.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Said(pub(super) String);

/// What ssh says, what it means, what to do. The first that matches wins.
const REASONS: &[(&str, ErrorKind, &str)] = &[
    (
        "remote host identification has changed",
        ErrorKind::Permission,
        "the host has another key than last time: if it was set up anew, remove the old key with `ssh-keygen -R HOST`; \
         if not, somebody may be in between",
    ),
    (
        "host key verification failed",
        ErrorKind::Permission,
        "log in once by hand (`ssh HOST`), compare the key it shows with the host's, and say yes",
    ),
    (
        "too many authentication failures",
        ErrorKind::Permission,
        "name the right key for the host in ~/.ssh/config (`IdentityFile`, `IdentitiesOnly yes`)",
    ),
    (
        "permission denied while trying to connect to the docker",
        ErrorKind::Permission,
        "that user may not use Docker there: `sudo usermod -aG docker USER` on the host, then log in again",
    ),
    (
        "connect: permission denied",
        ErrorKind::Permission,
        "that user may not use Docker there: `sudo usermod -aG docker USER` on the host, then log in again",
    ),
    (
        "permission denied (",
        ErrorKind::Permission,
        "the host does not take your key: `ssh-copy-id HOST` installs it, `ssh-add` unlocks it; is the user right?",
    ),
    (
        "could not resolve hostname",
        ErrorKind::NotReachable,
        "check the host's name in `host`, and in ~/.ssh/config if it is an alias",
    ),
    ("connection refused", ErrorKind::NotReachable, "nothing answers there: is the port right, and does sshd run?"),
    ("timed out", ErrorKind::NotReachable, "the host does not answer: is it up, and does a firewall let ssh through?"),
    (
        "no route to host",
        ErrorKind::NotReachable,
        "there is no way to that address from here: a VPN, or a wrong address?",
    ),
    ("network is unreachable", ErrorKind::NotReachable, "this machine has no network to that address"),
    (
        "cannot connect to the docker daemon",
        ErrorKind::NotReachable,
        "the host is there, but no engine runs on it: `systemctl status docker` there",
    ),
    (
        "failed to open the raw stream connection",
        ErrorKind::NotReachable,
        "the host is there, but no engine answers on its socket: `systemctl status docker` there",
    ),
    (
        "is not a docker command",
        ErrorKind::Other,
        "the Docker client on that host is too old; 18.09 or newer has `docker system dial-stdio`",
    ),
    ("docker: command not found", ErrorKind::NotReachable, NO_DOCKER),
    ("docker: not found", ErrorKind::NotReachable, NO_DOCKER),
    ("docker: no such file", ErrorKind::NotReachable, NO_DOCKER),
];

const NO_DOCKER: &str = "the host has no `docker` program that a login without terminal finds: install Docker there, \
                         or add its folder to PATH in that user's shell start-up file";

/// What ssh said as an error with a next step.
pub(super) fn explained(text: &str, address: &SshAddress, doing: &str) -> EngineError {
    let lower = text.to_lowercase();
    let found = REASONS.iter().find(|(part, _, _)| lower.contains(part));
    // The line that matched is the one that matters; warnings and banners come before it.
    let line = found
        .and_then(|(part, _, _)| text.lines().find(|l| l.to_lowercase().contains(part)))
        .or_else(|| text.lines().rev().find(|l| !l.trim().is_empty()))
        .unwrap_or("ssh ended without a word");
    let line = line.trim().trim_matches('@').trim().trim_end_matches('.');
    let login = address.user.as_ref().map_or_else(|| address.host.clone(), |u| format!("{u}@{}", address.host));
    match found {
        Some((_, kind, hint)) => EngineError::new(*kind, doing, line).with_hint(hint.replace("HOST", &login)),
        None => EngineError::new(ErrorKind::NotReachable, doing, line)
            .with_hint(format!("`ssh {login} docker version` shows whether the way is open")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_explained() {
        let address = SshAddress { user: Some("deploy".into()), host: "h".into(), ..SshAddress::default() };
        for (text, message, hint) in [
            (
                "deploy@h: Permission denied (publickey).",
                "deploy@h: Permission denied (publickey)",
                "ssh-copy-id deploy@h",
            ),
            (
                "ssh: connect to host h port 22: Connection refused\r",
                "ssh: connect to host h port 22: Connection refused",
                "sshd",
            ),
            (
                "No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.",
                "Host key verification failed",
                "log in once by hand (`ssh deploy@h`)",
            ),
            (
                "@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@\nHost key verification failed.",
                "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!",
                "ssh-keygen -R deploy@h",
            ),
            ("sh: 1: docker: not found", "sh: 1: docker: not found", "install Docker there"),
            (
                "error during connect: Permission denied while trying to connect to the Docker daemon socket at unix:///x",
                "error during connect: Permission denied while trying to connect to the Docker daemon socket at unix:///x",
                "usermod",
            ),
            ("something else", "something else", "ssh deploy@h docker version"),
            ("", "ssh ended without a word", "docker version"),
        ] {
            let error = explained(text, &address, "connect");
            assert_eq!(error.message, message);
            assert!(error.hint().is_some_and(|h| h.contains(hint)), "{text}: {:?}", error.hint());
        }
    }

    #[test]
    fn the_control_socket_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = private_folder(&Env::default()).unwrap_or_default();
        let mode = std::fs::metadata(&folder).map(|m| m.permissions().mode() & 0o777).ok();
        assert_eq!(mode, Some(0o700));
        assert!(folder.as_os_str().len() < 80);
        assert!(std::fs::remove_dir(&folder).is_ok());
    }
}
