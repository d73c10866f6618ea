//! Addresses of engines, as Docker writes them.

use std::path::PathBuf;

use super::error::{EngineError, ErrorKind};

/// Port of an engine over TLS (IANA: `docker-s`), and the one that is usual without.
const TLS_PORT: u16 = 2376;
const PLAIN_PORT: u16 = 2375;

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A unix socket.
    Unix(String),
    /// A host and a port, encrypted with client certificates or not at all.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// With TLS: where the certificates are.
        tls: Option<TlsFiles>,
    },
    /// A host to log in to; the engine is the one its Docker client talks to.
    Ssh(SshAddress),
}

/// PEM files as Docker names them: `ca.pem`, `cert.pem`, `key.pem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Their folder.
    pub(super) folder: PathBuf,
    /// The engine's certificate is not checked: only where a Docker context says so.
    pub(super) unchecked: bool,
}

/// Where to log in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SshAddress {
    /// Login; else what the user's ssh configuration says.
    pub(super) user: Option<String>,
    /// Name, address or alias of the ssh configuration.
    pub(super) host: String,
    /// Port; else what the user's ssh configuration says.
    pub(super) port: Option<u16>,
    /// The engine's socket on that host; else what the Docker client there uses.
    pub(super) socket: Option<String>,
}

/// Reads an address. `tls` is where certificates are, if they are to be used with `tcp://`.
pub(super) fn parse(text: &str, tls: Option<TlsFiles>, doing: &str) -> Result<Address, EngineError> {
    let refuse = |message: String, hint: &str| Err(EngineError::new(ErrorKind::Other, doing, message).with_hint(hint));
    if text.starts_with('/') {
        return Ok(Address::Unix(text.to_owned()));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse(format!("`{text}` is not an address of an engine"), FORMS);
    };
    match scheme {
        "unix" => Ok(Address::Unix(rest.to_owned())),
        "tcp" | "http" | "https" => {
            let tls = if scheme == "http" { None } else { tls };
            if scheme == "https" && tls.is_none() {
                return refuse(
                    "an engine over TLS wants a client certificate".to_owned(),
                    "put `ca.pem`, `cert.pem` and `key.pem` into a folder and name it with DOCKER_CERT_PATH",
                );
            }
            let place = host_and_port(rest.trim_end_matches('/'));
            let Some((host, port)) = place else { return refuse(format!("`{text}` names no host"), FORMS) };
            let port = port.unwrap_or(if tls.is_some() { TLS_PORT } else { PLAIN_PORT });
            Ok(Address::Tcp { host, port, tls })
        }
        "ssh" => {
            let (place, socket) = rest.split_once('/').map_or((rest, None), |(place, path)| (place, Some(path)));
            let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, host)| (Some(user), host));
            let place = host_and_port(place);
            let Some((host, port)) = place else { return refuse(format!("`{text}` names no host"), FORMS) };
            if user.is_some_and(|u| u.contains(':')) {
                return refuse(
                    format!("`{text}` has a password in it"),
                    "ssh uses keys: `ssh-copy-id` installs one, `ssh-add` unlocks it",
                );
            }
            // ssh would take it for an option.
            if host.starts_with('-') || user.is_some_and(|u| u.starts_with('-')) {
                return refuse(format!("`{text}` is not an address of a host"), FORMS);
            }
            Ok(Address::Ssh(SshAddress {
                user: user.filter(|u| !u.is_empty()).map(str::to_owned),
                host,
                port,
                socket: socket.filter(|s| !s.is_empty()).map(|path| format!("/{path}")),
            }))
        }
        _ => refuse(format!("`{scheme}://` is not a way to an engine that stackctl knows"), FORMS),
    }
}

const FORMS: &str =
    "write `unix:///var/run/docker.sock`, `ssh://user@host`, or `tcp://host:2376` with DOCKER_CERT_PATH";

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, rest.strip_prefix(':'))
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        parse(text, None, "connect").map_err(|e| e.hint().unwrap_or_default())
    }

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>, socket: Option<&str>) -> Address {
        let [user, socket] = [user, socket].map(|t| t.map(str::to_owned));
        Address::Ssh(SshAddress { user, host: host.to_owned(), port, socket })
    }

    #[test]
    fn addresses_as_docker_writes_them() {
        let tcp = |host: &str, port| Ok(Address::Tcp { host: host.to_owned(), port, tls: None });
        for (text, address) in [
            ("unix:///a/b", Ok(Address::Unix("/a/b".into()))),
            ("/a/b", Ok(Address::Unix("/a/b".into()))),
            ("tcp://1.2.3.4", tcp("1.2.3.4", 2375)),
            ("tcp://h:99/", tcp("h", 99)),
            ("http://[::1]:5", tcp("::1", 5)),
            ("ssh://h", Ok(ssh(None, "h", None, None))),
            ("ssh://me@h:22", Ok(ssh(Some("me"), "h", Some(22), None))),
            ("ssh://me@[fe80::1]:22/run/d.sock", Ok(ssh(Some("me"), "fe80::1", Some(22), Some("/run/d.sock")))),
        ] {
            assert_eq!(read(text), address, "{text}");
        }
        let files = TlsFiles { folder: "/certs".into(), unchecked: false };
        let address = parse("tcp://h", Some(files.clone()), "x").ok();
        assert_eq!(address, Some(Address::Tcp { host: "h".into(), port: 2376, tls: Some(files) }));
    }

    #[test]
    fn what_is_none_says_what_to_write() {
        for text in ["nonsense", "ftp://h", "tcp://", "tcp://h:x", "ssh://", "ssh://-oProxyCommand=x", "ssh://-x@h"] {
            assert!(read(text).is_err_and(|hint| hint.contains("ssh://user@host")), "{text}");
        }
        assert!(read("https://h").is_err_and(|hint| hint.contains("DOCKER_CERT_PATH")));
        assert!(read("ssh://me:secret@h").is_err_and(|hint| hint.contains("ssh-copy-id")));
    }
}
