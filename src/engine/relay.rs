//! Reaching containers of an engine that is neither on this host nor behind a login: a helper container in the network
//! of the engine's host runs a tiny program of ours for each connection. No image has to have any tool for it.

use std::io;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions};
use futures_util::StreamExt as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};

use crate::base::elf::{EM_AARCH64, EM_X86_64, elf};
use crate::base::hash;
use crate::model::container::label;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;

/// Its reference. A new program gets a new tag.
const IMAGE: &str = "stackctl/relay:1";

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(15);

/// Assembled from `relay/x86_64.s`.
#[rustfmt::skip]
const X86_64: &[u8] = &[
    0x48, 0x81, 0xec, 0x00, 0x10, 0x00, 0x00, 0xc7, 0x04, 0x24, 0x02, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x74, 0x24, 0x02, 0xba,
    0x06, 0x00, 0x00, 0x00, 0x31, 0xc0, 0x31, 0xff, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0x0f, 0x8e, 0xb2, 0x00, 0x00, 0x00, 0x48,
    0x01, 0xc6, 0x29, 0xc2, 0x75, 0xea, 0xb8, 0x29, 0x00, 0x00, 0x00, 0xbf, 0x02, 0x00, 0x00, 0x00, 0xbe, 0x01, 0x00, 0x00,
    0x00, 0x0f, 0x05, 0x89, 0xc3, 0xb8, 0x2a, 0x00, 0x00, 0x00, 0x89, 0xdf, 0x48, 0x89, 0xe6, 0xba, 0x10, 0x00, 0x00, 0x00,
    0x48, 0xc7, 0x44, 0x24, 0x08, 0x00, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xf7, 0xd8, 0x88, 0x44, 0x24, 0x40, 0x89, 0xc5, 0xb8,
    0x01, 0x00, 0x00, 0x00, 0xbf, 0x01, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x74, 0x24, 0x40, 0xba, 0x01, 0x00, 0x00, 0x00, 0x0f,
    0x05, 0x85, 0xed, 0x75, 0x5c, 0xb8, 0x39, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0, 0x74, 0x2e, 0x45, 0x31, 0xe4, 0x41,
    0x89, 0xdd, 0xe8, 0x4f, 0x00, 0x00, 0x00, 0xb8, 0x30, 0x00, 0x00, 0x00, 0x89, 0xdf, 0xbe, 0x01, 0x00, 0x00, 0x00, 0x0f,
    0x05, 0xb8, 0x3d, 0x00, 0x00, 0x00, 0xbf, 0xff, 0xff, 0xff, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0x0f, 0x05,
    0xeb, 0x23, 0x41, 0x89, 0xdc, 0x41, 0xbd, 0x01, 0x00, 0x00, 0x00, 0xe8, 0x1e, 0x00, 0x00, 0x00, 0xb8, 0x6e, 0x00, 0x00,
    0x00, 0x0f, 0x05, 0x89, 0xc7, 0xbe, 0x09, 0x00, 0x00, 0x00, 0xb8, 0x3e, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xb8, 0x3c, 0x00,
    0x00, 0x00, 0x31, 0xff, 0x0f, 0x05, 0x31, 0xc0, 0x44, 0x89, 0xe7, 0x48, 0x8d, 0xb4, 0x24, 0x80, 0x00, 0x00, 0x00, 0xba,
    0x00, 0x0c, 0x00, 0x00, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7e, 0x1c, 0x48, 0x89, 0xc2, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x44,
    0x89, 0xef, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7e, 0x0a, 0x48, 0x01, 0xc6, 0x48, 0x29, 0xc2, 0x75, 0xe9, 0xeb, 0xcb, 0xc3,
];

/// Assembled from `relay/aarch64.s`.
#[rustfmt::skip]
const AARCH64: &[u8] = &[
    0xff, 0x07, 0x40, 0xd1, 0x49, 0x00, 0x80, 0xd2, 0xe9, 0x03, 0x00, 0xf9, 0xff, 0x07, 0x00, 0xf9, 0xe1, 0x0b, 0x00, 0x91,
    0xc2, 0x00, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0xe8, 0x07, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x1f, 0x00, 0x00, 0xf1,
    0x8d, 0x06, 0x00, 0x54, 0x21, 0x00, 0x00, 0x8b, 0x42, 0x00, 0x00, 0xeb, 0x21, 0xff, 0xff, 0x54, 0x40, 0x00, 0x80, 0xd2,
    0x21, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0xc8, 0x18, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xf3, 0x03, 0x00, 0xaa,
    0xe1, 0x03, 0x00, 0x91, 0x02, 0x02, 0x80, 0xd2, 0x68, 0x19, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xf4, 0x03, 0x00, 0xcb,
    0xf4, 0x03, 0x01, 0x39, 0x20, 0x00, 0x80, 0xd2, 0xe1, 0x03, 0x01, 0x91, 0x22, 0x00, 0x80, 0xd2, 0x08, 0x08, 0x80, 0xd2,
    0x01, 0x00, 0x00, 0xd4, 0xf4, 0x03, 0x00, 0xb5, 0x20, 0x02, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2,
    0x03, 0x00, 0x80, 0xd2, 0x04, 0x00, 0x80, 0xd2, 0x88, 0x1b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xe0, 0x01, 0x00, 0xb4,
    0x15, 0x00, 0x80, 0xd2, 0xf6, 0x03, 0x13, 0xaa, 0x17, 0x00, 0x00, 0x94, 0xe0, 0x03, 0x13, 0xaa, 0x21, 0x00, 0x80, 0xd2,
    0x48, 0x1a, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x80, 0x92, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2,
    0x03, 0x00, 0x80, 0xd2, 0x88, 0x20, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x09, 0x00, 0x00, 0x14, 0xf5, 0x03, 0x13, 0xaa,
    0x36, 0x00, 0x80, 0xd2, 0x09, 0x00, 0x00, 0x94, 0xa8, 0x15, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x21, 0x01, 0x80, 0xd2,
    0x28, 0x10, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
    0xe0, 0x03, 0x15, 0xaa, 0xe1, 0x03, 0x02, 0x91, 0x02, 0x80, 0x81, 0xd2, 0xe8, 0x07, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
    0x1f, 0x00, 0x00, 0xf1, 0x6d, 0x01, 0x00, 0x54, 0xe2, 0x03, 0x00, 0xaa, 0xe0, 0x03, 0x16, 0xaa, 0x08, 0x08, 0x80, 0xd2,
    0x01, 0x00, 0x00, 0xd4, 0x1f, 0x00, 0x00, 0xf1, 0xad, 0x00, 0x00, 0x54, 0x21, 0x00, 0x00, 0x8b, 0x42, 0x00, 0x00, 0xeb,
    0x21, 0xff, 0xff, 0x54, 0xf0, 0xff, 0xff, 0x17, 0xc0, 0x03, 0x5f, 0xd6,
];

/// The helper. It ends when it is dropped, or when we end in whatever way: its input does then.
pub(super) struct Relay {
    engine: Engine,
    container: String,
    /// In a mutex for the sake of threads: nobody locks it.
    _input: Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("container", &self.container).finish_non_exhaustive()
    }
}

impl Relay {
    /// Starts it.
    pub(super) async fn start(engine: &Engine) -> Result<Self, EngineError> {
        let doing = "start a helper that reaches containers";
        let mut bytes = [0; 6];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| EngineError::new(ErrorKind::Other, doing, "this system gives no random numbers"))?;
        let name = format!("stackctl-relay-{}", hash::hex(&bytes));
        let create = || {
            let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
            engine.docker.create_container(Some(options), body())
        };
        let container = match engine.call(doing, create()).await {
            Err(error) if error.kind == ErrorKind::ImageNotFound => {
                let program = match engine.facts().arch.as_str() {
                    "amd64" | "x86_64" => Some(elf(EM_X86_64, X86_64)),
                    "arm64" | "aarch64" => Some(elf(EM_AARCH64, AARCH64)),
                    _ => None,
                };
                engine.import_program(IMAGE, "relay", program).await?;
                engine.call(doing, create()).await?.id
            }
            other => other?.id,
        };
        let options = AttachContainerOptions { stream: true, stdin: true, stdout: true, ..Default::default() };
        let started = async {
            let attach = engine.docker.attach_container(&container, Some(options));
            let AttachContainerResults { input, .. } = engine.call(doing, attach).await?;
            engine.call(doing, engine.docker.start_container(&container, None)).await?;
            Ok(input)
        };
        match started.await {
            Ok(input) => Ok(Self { engine: engine.clone(), container, _input: Mutex::new(input) }),
            Err(error) => {
                let _ = engine.discard(&container).await;
                Err(error)
            }
        }
    }

    /// A connection to an address that the engine's host reaches.
    pub(super) async fn dial(&self, to: SocketAddrV4) -> io::Result<DuplexStream> {
        let docker = &self.engine.docker;
        let failed = |error: bollard::errors::Error| {
            io::Error::other(EngineError::from_bollard(format!("reach {to}"), &error).message)
        };
        let connect = async {
            let options = CreateExecOptions {
                cmd: Some(vec!["/relay".to_owned()]),
                attach_stdin: Some(true),
                attach_stdout: Some(true),
                ..CreateExecOptions::default()
            };
            let exec = docker.create_exec(&self.container, options).await.map_err(failed)?.id;
            let started = docker.start_exec(&exec, None::<StartExecOptions>).await.map_err(failed)?;
            let StartExecResults::Attached { mut output, mut input } = started else {
                return Err(io::Error::other("the engine gave no streams"));
            };
            let mut place = to.port().to_be_bytes().to_vec();
            place.extend(to.ip().octets());
            input.write_all(&place).await?;
            input.flush().await?;
            // Its first byte says how connecting went.
            let mut first = loop {
                match output.next().await {
                    Some(part) => {
                        let bytes = part.map_err(failed)?.into_bytes();
                        if !bytes.is_empty() {
                            break bytes;
                        }
                    }
                    None => return Err(io::Error::other("the helper ended")),
                }
            };
            match first.split_to(1)[0] {
                0 => {}
                error => return Err(io::Error::from_raw_os_error(i32::from(error))),
            }
            let (ours, theirs) = duplex(64 << 10);
            let (mut from_us, mut to_us) = tokio::io::split(theirs);
            tokio::spawn(async move {
                let mut buffer = vec![0; 32 << 10];
                while let Ok(length @ 1..) = from_us.read(&mut buffer).await {
                    if input.write_all(&buffer[..length]).await.is_err() || input.flush().await.is_err() {
                        return;
                    }
                }
                let _ = input.shutdown().await;
            });
            tokio::spawn(async move {
                let mut part = Ok(first);
                loop {
                    let Ok(bytes) = part else { break };
                    if to_us.write_all(&bytes).await.is_err() {
                        return;
                    }
                    match output.next().await {
                        Some(next) => part = next.map(bollard::container::LogOutput::into_bytes),
                        None => break,
                    }
                }
                let _ = to_us.shutdown().await;
            });
            Ok(ours)
        };
        tokio::time::timeout(CONNECT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn body() -> ContainerCreateBody {
    let mut body = holder::body([(label::ROLE.to_owned(), "relay".to_owned())], None);
    body.image = Some(IMAGE.to_owned());
    body.entrypoint = Some(vec!["/relay".to_owned()]);
    body.user = Some("65534:65534".to_owned());
    body.open_stdin = Some(true);
    body.stdin_once = Some(true);
    body.attach_stdin = Some(true);
    body.host_config = Some(HostConfig {
        network_mode: Some("host".to_owned()),
        // An engine that maps users allows the host's network only without.
        userns_mode: Some("host".to_owned()),
        auto_remove: Some(true),
        pids_limit: Some(1024),
        ..body.host_config.unwrap_or_default()
    });
    body
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn the_bytes_are_those_of_the_source() {
        let folder = ok(tempfile::tempdir());
        let (object, binary) = (folder.path().join("o"), folder.path().join("b"));
        // The C compiler that builds this crate brings an assembler for its own machine.
        let (source, code) = match std::env::consts::ARCH {
            "x86_64" => ("x86_64.s", X86_64),
            "aarch64" => ("aarch64.s", AARCH64),
            _ => return,
        };
        let source = format!("{}/src/engine/relay/{source}", env!("CARGO_MANIFEST_DIR"));
        assert!(ok(Command::new("as").arg(source).arg("-o").arg(&object).status()).success());
        let copy = ["-O", "binary", "-j", ".text"];
        assert!(ok(Command::new("objcopy").args(copy).arg(&object).arg(&binary).status()).success());
        assert_eq!(ok(std::fs::read(&binary)), code);
    }

    #[test]
    fn it_passes_bytes_both_ways_and_says_why_not() {
        let (machine, code) = match std::env::consts::ARCH {
            "x86_64" => (EM_X86_64, X86_64),
            "aarch64" => (EM_AARCH64, AARCH64),
            _ => return,
        };
        let folder = ok(tempfile::tempdir());
        let program = folder.path().join("relay");
        ok(std::fs::write(&program, elf(machine, code)));
        ok(std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)));
        let listener = ok(TcpListener::bind("127.0.0.1:0"));
        let port = ok(listener.local_addr()).port();
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = ok(listener.accept());
            let mut all = Vec::new();
            ok(stream.read_to_end(&mut all));
            ok(stream.write_all(&all));
        });
        let run = |port: u16, more: &[u8]| {
            let mut child = ok(Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn());
            let mut input = child.stdin.take().unwrap_or_else(|| unreachable!());
            let bytes = [&port.to_be_bytes(), [127, 0, 0, 1].as_slice(), more].concat();
            std::thread::spawn(move || input.write_all(&bytes));
            ok(child.wait_with_output()).stdout
        };
        let sent: Vec<u8> = (0..500_000u32).map(|n| n.to_le_bytes()[1]).collect();
        assert!(run(port, &sent) == [&[0], sent.as_slice()].concat());
        ok(echo.join().map_err(|_| "the echo failed"));
        assert_eq!(run(port, b""), [111], "connection refused");
    }
}
