//! The socket: requests in, the world's answers out, with one fault where a test wants it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::World;
use super::calls::{Answer, Call};
use super::town::Town;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// It is refused with these words, and nothing is done.
    Refused(u16, &'static str),
    /// The connection ends; nothing was done.
    Cut,
    /// It is done; the connection ends in the middle of the headers.
    CutHead,
    /// It is done; the connection ends in the middle of the body, or without an answer where there is none.
    CutBody,
    /// It is done, and answered with something else.
    Garbage(&'static [u8]),
    /// Nothing is done and nothing is said.
    Stall,
    /// It is done; half of the answer comes.
    StallBody,
}

/// All calls of a kind are refused: the kind, a part of the path's or query's text, status, words.
pub(crate) type Refusal = (&'static str, &'static str, u16, &'static str);

/// A call as it came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    /// Without names: `POST /containers/{}/start`.
    pub(crate) call: String,
    /// The whole path.
    pub(crate) path: String,
}

pub(super) struct Shared {
    pub(super) world: Mutex<World>,
    town: Mutex<Town>,
    changed: watch::Sender<u64>,
    activity: AtomicU64,
    seen: Mutex<Vec<Seen>>,
    fault: Option<(usize, Fault)>,
    refusal: Option<Refusal>,
    /// The world before and after each call, where somebody wants to know.
    moments: Option<Mutex<Vec<World>>>,
    /// Calls after which visitors got no answer.
    outages: Mutex<Vec<String>>,
    /// Nobody is served before the first deploy.
    watched: bool,
}

impl Shared {
    /// Something happened: time stands still a little longer.
    pub(super) fn stir(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}

/// An engine on a socket, as long as its runtime lives.
pub(crate) struct Wire {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl Wire {
    pub(crate) fn start(world: World, fault: Option<(usize, Fault)>, refusal: Option<Refusal>, remember: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let watched = world.unserved().is_empty();
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            town: Mutex::default(),
            changed: watch::Sender::new(0),
            activity: AtomicU64::new(0),
            seen: Mutex::default(),
            fault,
            refusal,
            moments: remember.then(Mutex::default),
            outages: Mutex::default(),
            watched,
        });
        settle(&shared, "");
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                served.stir();
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self { folder, shared }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    pub(crate) fn activity(&self) -> u64 {
        self.shared.activity.load(Ordering::Relaxed)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn world(&self) -> World {
        self.shared.world.lock().unwrap().clone()
    }

    pub(crate) fn moments(&self) -> Vec<World> {
        self.shared.moments.as_ref().map(|m| m.lock().unwrap().clone()).unwrap_or_default()
    }

    pub(crate) fn outages(&self) -> Vec<String> {
        self.shared.outages.lock().unwrap().clone()
    }
}

/// After a change: who answers, who waits, who is served.
fn settle(shared: &Arc<Shared>, after: &str) {
    let world = shared.world.lock().unwrap();
    shared.town.lock().unwrap().follow(&world, shared);
    shared.changed.send_modify(|n| *n += 1);
    if shared.watched && !after.is_empty() {
        let unserved = world.unserved();
        if !unserved.is_empty() {
            shared.outages.lock().unwrap().push(format!("after {after}: {unserved:?}"));
        }
    }
}

async fn serve(mut stream: UnixStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some(call) = read(&mut stream, &mut buffer).await {
        shared.stir();
        let path = call.path.clone();
        let line = format!("{} {}", call.method, shape(&path));
        let fault = {
            let mut seen = shared.seen.lock().unwrap();
            seen.push(Seen { call: line.clone(), path: format!("{} {path}", call.method) });
            shared.fault.filter(|(at, _)| *at + 1 == seen.len()).map(|(_, fault)| fault)
        };
        let refused = shared.refusal.filter(|(kind, part, ..)| {
            *kind == line && (path.contains(part) || call.query.values().any(|value| value.contains(part)))
        });
        let fault = fault.or(refused.map(|(.., status, text)| Fault::Refused(status, text)));
        remember(&shared);
        match fault {
            Some(Fault::Cut) => return,
            Some(Fault::Stall) => return silent(&mut stream).await,
            Some(Fault::Refused(status, text)) => {
                let body = serde_json::json!({ "message": text });
                if write(&mut stream, &whole(status, "application/json", body.to_string().as_bytes())).await.is_none() {
                    return;
                }
                continue;
            }
            _ => {}
        }
        let answer = shared.world.lock().unwrap().answer(&call);
        settle(&shared, &format!("{} {path}", call.method));
        remember(&shared);
        let bytes = match answer {
            Answer::Json(status, value) => whole(status, "application/json", value.to_string().as_bytes()),
            Answer::Empty(status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes(),
            Answer::Tar(tar) => whole(200, "application/x-tar", &tar),
            Answer::Lines(lines) => chunked(&lines),
            Answer::Wait(id) if fault.is_none() => {
                until_ended(&shared, &id).await;
                whole(200, "application/json", br#"{"StatusCode":0}"#)
            }
            Answer::Wait(_) => whole(200, "application/json", br#"{"StatusCode":0}"#),
            Answer::Attach(id) if fault.is_none() => return attached(stream, &shared, &id).await,
            Answer::Exec(output) if fault.is_none() => return executed(stream, &output).await,
            Answer::Events if fault.is_none() => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = write(&mut stream, head).await;
                return silent(&mut stream).await;
            }
            Answer::Attach(_) | Answer::Exec(_) | Answer::Events => UPGRADED.to_vec(),
        };
        let half = if bytes.ends_with(b"\r\n\r\n") { 0 } else { bytes.len() - 2 };
        let sent = match fault {
            None => write(&mut stream, &bytes).await,
            Some(Fault::CutHead) => return ended(write(&mut stream, &bytes[..bytes.len().min(20)]).await),
            Some(Fault::CutBody) => return ended(write(&mut stream, &bytes[..half]).await),
            Some(Fault::Garbage(garbage)) if garbage.starts_with(b"!") => {
                return ended(write(&mut stream, garbage).await);
            }
            Some(Fault::Garbage(garbage)) => write(&mut stream, &whole(200, "application/json", garbage)).await,
            Some(_) => {
                let _ = write(&mut stream, &bytes[..half]).await;
                return silent(&mut stream).await;
            }
        };
        if sent.is_none() {
            return;
        }
    }
}

/// The other side may have gone meanwhile.
fn ended(_: Option<()>) {}

const UPGRADED: &[u8] =
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

fn remember(shared: &Shared) {
    if let Some(moments) = &shared.moments {
        moments.lock().unwrap().push(shared.world.lock().unwrap().clone());
    }
}

async fn write(stream: &mut UnixStream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// Says nothing until the other side has gone.
async fn silent(stream: &mut UnixStream) {
    let mut buffer = [0; 256];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

fn whole(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(lines: &[Value]) -> Vec<u8> {
    let mut out =
        String::from("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for line in lines {
        let line = format!("{line}\r\n");
        let _ = write!(out, "{:x}\r\n{line}\r\n", line.len());
    }
    out += "0\r\n\r\n";
    out.into_bytes()
}

async fn until_ended(shared: &Shared, id: &str) {
    let mut changed = shared.changed.subscribe();
    while shared.world.lock().unwrap().find(id).is_some_and(|c| c.state != "exited") {
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// A container whose input we hold: it ends with it.
async fn attached(mut stream: UnixStream, shared: &Arc<Shared>, id: &str) {
    if write(&mut stream, UPGRADED).await.is_none() {
        return;
    }
    let mut buffer = [0; 256];
    tokio::select! {
        () = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} } => {}
        () = until_ended(shared, id) => return,
    }
    shared.stir();
    let removed = {
        let mut world = shared.world.lock().unwrap();
        let before = world.containers.len();
        world.containers.retain(|c| c.id != id || !c.running());
        before != world.containers.len()
    };
    if removed {
        settle(shared, "its client hung up");
    }
}

async fn executed(mut stream: UnixStream, output: &str) {
    let mut bytes = UPGRADED.to_vec();
    if !output.is_empty() {
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(u32::try_from(output.len()).unwrap().to_be_bytes());
        bytes.extend(output.bytes());
    }
    let _ = write(&mut stream, &bytes).await;
    let _ = stream.shutdown().await;
}

/// The next request; `None` when there is none.
async fn read(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<Call> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let header = |name: &str| {
        let value = |line: &str| line.to_ascii_lowercase().strip_prefix(name).map(|v| v.trim().to_owned());
        head.lines().find_map(value)
    };
    let body = if header("transfer-encoding:").is_some_and(|v| v.contains("chunked")) {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = buffer.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                more(stream, buffer).await?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&buffer[..line]).ok()?, 16).ok()?;
            while buffer.len() < line + 2 + size + 2 {
                more(stream, buffer).await?;
            }
            body.extend_from_slice(&buffer[line + 2..line + 2 + size]);
            buffer.drain(..line + size + 4);
            if size == 0 {
                break body;
            }
        }
    } else {
        let length: usize = header("content-length:").and_then(|n| n.parse().ok()).unwrap_or(0);
        while buffer.len() < length {
            more(stream, buffer).await?;
        }
        buffer.drain(..length).collect()
    };
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Without the version.
    let path =
        path.strip_prefix("/v1.").and_then(|p| p.split_once('/')).map_or(path.to_owned(), |(_, p)| format!("/{p}"));
    let query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), decoded(v)));
    Some(Call { method, path: decoded(&path), query: query.collect::<BTreeMap<_, _>>(), body })
}

async fn more(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<()> {
    matches!(stream.read_buf(buffer).await, Ok(1..)).then_some(())
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A path without names.
fn shape(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["images" | "containers", "create" | "json"] | ["volumes" | "networks", "create"] => path.to_owned(),
        ["images", .., "json"] => "/images/{}/json".to_owned(),
        ["images", .., "tag"] => "/images/{}/tag".to_owned(),
        ["images", ..] => "/images/{}".to_owned(),
        [kind, _, rest @ ..] => format!("/{}", [&[*kind, "{}"], rest].concat().join("/")),
        _ => path.to_owned(),
    }
}
