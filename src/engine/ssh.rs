//! Engines on other hosts by the user's own `ssh`: its agent, keys, known hosts and jump hosts are used as they are
//! configured. One connection is made and shared; what goes through it are streams to the engine and to containers.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddrV4;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::process::{Child, ChildStdin, Command};

use crate::base::env::Env;
use crate::base::hash;

use super::address::SshAddress;
use super::error::{EngineError, ErrorKind};

mod reason;
mod stream;

use reason::explained;
pub(super) use stream::Stream;

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

/// What the login runs there: it ends when its input does, which is when we end, however that comes about. The login
/// ends with it, and takes its control socket away. `ssh -N` would stay for ever after a run that was killed.
const UNTIL_WE_END: &str = "cat";

/// A login that is open.
#[derive(Debug)]
pub(super) struct Ssh {
    address: SshAddress,
    /// The key to the connection: in a folder that only we can enter.
    control: PathBuf,
    master: Mutex<Child>,
    /// Kept open, never written to.
    _input: Option<ChildStdin>,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.master.get_mut().unwrap_or_else(PoisonError::into_inner).start_kill();
        let _ = std::fs::remove_file(&self.control);
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
        let control = control_socket(env).map_err(|error| {
            EngineError::new(ErrorKind::Other, doing, format!("there is no place for ssh's control socket: {error}"))
        })?;
        let mut command = command(address, &control);
        command.args(["-oLogLevel=ERROR", "-oControlMaster=yes"]).stdout(Stdio::null());
        if ask {
            // A program that asks has to be in the foreground: then Ctrl-C ends it, and the connection, with us.
            command.process_group(rustix::process::getpgrp().as_raw_nonzero().get());
        } else {
            command.arg("-oBatchMode=yes");
        }
        command.arg("--").args([&address.host, UNTIL_WE_END]);
        let mut child = command.spawn().map_err(|error| {
            EngineError::new(ErrorKind::NotReachable, doing, format!("ssh does not start: {error}"))
                .with_hint("stackctl runs the `ssh` program: is it installed?")
        })?;
        let talk = stream::listen(&mut child);
        let input = child.stdin.take();
        let mut ssh = Self { address: address.clone(), control, master: Mutex::new(child), _input: input };
        let began = Instant::now();
        loop {
            if ssh.control.exists() {
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
        let mut command = command(&self.address, &self.control);
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

/// A name for a socket that nobody can foresee, in our own folder. Short: names of unix sockets are at most 107 bytes,
/// of which ssh itself takes 17.
fn control_socket(env: &Env) -> io::Result<PathBuf> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("this system gives no random numbers"))?;
    let user = rustix::process::geteuid().as_raw();
    let folder = match env.var("XDG_RUNTIME_DIR").filter(|path| path.len() < 40 && Path::new(path).is_dir()) {
        Some(base) => Path::new(base).join("stackctl"),
        None => PathBuf::from(format!("/tmp/stackctl-{user}")),
    };
    own_folder(&folder, user)?;
    Ok(folder.join(hash::hex(&bytes)))
}

/// Makes a folder that only this user can enter, or finds it made so. In `/tmp` anybody may have been there before.
fn own_folder(folder: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = std::fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == user && found.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    let text =
        format!("{} is not a folder that you alone can enter: remove it, or set XDG_RUNTIME_DIR", folder.display());
    Err(io::Error::other(text))
}

/// A word for the shell of another host.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_control_socket_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = tempfile::tempdir().unwrap();
        let vars = [("XDG_RUNTIME_DIR".to_owned(), base.path().display().to_string())];
        let env = Env { vars: vars.into(), ..Env::default() };
        let (one, other) = (control_socket(&env).unwrap(), control_socket(&env).unwrap());
        assert_ne!(one, other);
        assert!(one.as_os_str().len() + 17 < 107, "{}", one.display());
        let folder = one.parent().unwrap();
        let mode = |mode| std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        mode(0o750);
        let error = control_socket(&env).unwrap_err().to_string();
        assert!(error.contains("that you alone can enter: remove it"), "{error}");
        std::fs::remove_dir(folder).unwrap();
        std::os::unix::fs::symlink("/", folder).unwrap();
        assert!(control_socket(&env).is_err(), "a link leads elsewhere");
    }
}
