//! What ssh says, in words that say what to do next.

use crate::engine::address::SshAddress;
use crate::engine::error::{EngineError, ErrorKind};

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
pub(in crate::engine) fn explained(text: &str, address: &SshAddress, doing: &str) -> EngineError {
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
}
