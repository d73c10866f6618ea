//! Something between us and an authority, which passes everything on and breaks what it is told to.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::authority::Authority;

/// What is done with requests whose path holds `at`, the first `times` of them.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) at: &'static str,
    pub(super) times: usize,
    pub(super) then: Then,
}

#[derive(Debug, Clone)]
pub(super) enum Then {
    /// They are answered here: status, headers, body.
    Answer(&'static str, &'static str, String),
    /// The authority's answer gets another `status` of the order.
    Status(&'static str),
    /// The authority's answer gets another body.
    Body(String),
    /// The authority's answer ends after so many bytes, though more are announced.
    Break(usize),
    /// The authority's answer ends after so many bytes, and says that this is all.
    Shorten(usize),
    /// The connection ends without an answer.
    HangUp,
}

/// A problem of RFC 8555, as a fault.
pub(super) fn problem(at: &'static str, status: &'static str, kind: &str, detail: &str) -> Fault {
    let body = serde_json::json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
    let headers = "Content-Type: application/problem+json\r\n";
    Fault { at, times: usize::MAX, then: Then::Answer(status, headers, body.to_string()) }
}

#[derive(Default)]
struct Shared {
    faults: Mutex<Vec<Fault>>,
    asked: Mutex<Vec<String>>,
    stop: AtomicBool,
}

pub(super) struct Between {
    port: u16,
    shared: Arc<Shared>,
}

impl Between {
    pub(super) fn new(port: u16, authority: &Authority, to: u16) -> Self {
        let shared = Arc::<Shared>::default();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pem = |name: &str| fs::read(authority.path(name)).unwrap();
        let own = CertificateDer::from_pem_slice(&pem("own.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&pem("own.key")).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own], key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem("trust.pem")).unwrap()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (server, client) = (Arc::new(server), Arc::new(client));
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if all.stop.load(Ordering::Relaxed) {
                    return;
                }
                let (server, client, shared) = (Arc::clone(&server), Arc::clone(&client), Arc::clone(&all));
                // A client that does not trust us leaves in the middle, which is no error here.
                std::thread::spawn(move || pass(stream, server, client, to, &shared).ok());
            }
        });
        Self { port, shared }
    }

    pub(super) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// From now on; nothing else is remembered of before.
    pub(super) fn breaks(&self, faults: &[Fault]) {
        *self.shared.faults.lock().unwrap() = faults.to_vec();
        self.shared.asked.lock().unwrap().clear();
    }

    /// How many requests there were since, to paths that hold this.
    pub(super) fn asked(&self, at: &str) -> usize {
        self.shared.asked.lock().unwrap().iter().filter(|path| path.contains(at)).count()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pass(
    stream: TcpStream,
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
    to: u16,
    shared: &Shared,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut near = rustls::StreamOwned::new(rustls::ServerConnection::new(server).unwrap(), stream);
    let (head, body) = message(&mut near)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    shared.asked.lock().unwrap().push(path.clone());
    let fault = {
        let mut faults = shared.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && path.contains(fault.at));
        fault.map(|fault| {
            fault.times -= 1;
            fault.then.clone()
        })
    };
    if let Some(Then::HangUp) = fault {
        return Ok(());
    }
    if let Some(Then::Answer(status, headers, body)) = &fault {
        let head = format!("HTTP/1.1 {status}\r\n{headers}");
        return answer(&mut near, &head, body.as_bytes(), body.len());
    }
    let far = TcpStream::connect(("127.0.0.1", to))?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut far = rustls::StreamOwned::new(rustls::ClientConnection::new(client, name).unwrap(), far);
    // HTTP/1.0: the answer comes whole, and ends with its connection.
    let asked: Vec<&str> =
        head.lines().filter(|line| !starts(line, "connection:") && !starts(line, "accept-enc")).collect();
    let asked = format!("{}\r\n\r\n", asked.join("\r\n").replace(" HTTP/1.1", " HTTP/1.0"));
    far.write_all(asked.as_bytes())?;
    far.write_all(&body)?;
    let mut all = Vec::new();
    far.read_to_end(&mut all)?;
    let split = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(all.len() - 4);
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let lines: Vec<&str> =
        head.lines().filter(|line| !starts(line, "content-length:") && !starts(line, "connection:")).collect();
    let head = format!("{}\r\n", lines.join("\r\n").replacen("HTTP/1.0", "HTTP/1.1", 1));
    let body = &all[split + 4..];
    match fault {
        Some(Then::Status(status)) => {
            let mut body: serde_json::Value = serde_json::from_slice(body)?;
            body["status"] = status.into();
            let body = body.to_string();
            answer(&mut near, &head, body.as_bytes(), body.len())
        }
        Some(Then::Body(body)) => answer(&mut near, &head, body.as_bytes(), body.len()),
        Some(Then::Break(bytes)) => answer(&mut near, &head, &body[..bytes.min(body.len())], body.len()),
        Some(Then::Shorten(bytes)) => {
            let bytes = bytes.min(body.len());
            answer(&mut near, &head, &body[..bytes], bytes)
        }
        // No body belongs to an answer to HEAD.
        _ => answer(&mut near, &head, body, body.len()),
    }
}

fn starts(line: &str, name: &str) -> bool {
    line.to_ascii_lowercase().starts_with(name)
}

fn answer(near: &mut impl Write, head: &str, body: &[u8], announced: usize) -> std::io::Result<()> {
    near.write_all(format!("{head}Content-Length: {announced}\r\nConnection: close\r\n\r\n").as_bytes())?;
    near.write_all(body)?;
    near.flush()
}

/// Head, without the empty line, and body.
fn message(stream: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(split) = all.windows(4).position(|w: &[u8]| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..split]).into_owned();
            let length = head.lines().find(|line| starts(line, "content-length:")).and_then(|l| l.split(':').nth(1));
            let length: usize = length.and_then(|l| l.trim().parse().ok()).unwrap_or_default();
            if all.len() >= split + 4 + length {
                return Ok((head, all.split_off(split + 4)));
            }
        }
        match stream.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => all.extend_from_slice(&piece[..n]),
        }
    }
}
