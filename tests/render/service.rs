//! A service behind the front door, on the host.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Requests for `/upload…` whose head has arrived, whatever became of their bodies.
pub(crate) static UPLOADS: AtomicUsize = AtomicUsize::new(0);

/// Starts it; the port. It echoes what it was asked, sends headers that the front door must not let through, answers
/// `/status/N` with N, `/abort` not at all, `/sleep/N` after N seconds, redirects to `/there`, and upgrades
/// `WebSockets` to an echo of bytes.
pub(crate) fn start(name: &'static str) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(name, stream));
        }
    });
    port
}

fn serve(name: &str, mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head
            .to_lowercase()
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap_or("0").trim().parse::<u64>().unwrap_or(0));
        if head.starts_with("POST /upload") {
            UPLOADS.fetch_add(1, Ordering::SeqCst);
        }
        let received = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        if head.to_lowercase().contains("\r\nupgrade: websocket") {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).ok()?;
            thread::sleep(std::time::Duration::from_secs(3));
            return None;
        }
        let path = head.split(' ').nth(1).unwrap_or("/");
        if path == "/abort" {
            return None;
        }
        if let Some(seconds) = path.strip_prefix("/sleep/").and_then(|n| n.parse().ok()) {
            thread::sleep(std::time::Duration::from_secs(seconds));
        }
        let status = path.strip_prefix("/status/").unwrap_or("200");
        let body = format!("{name}\n{head}received: {received}\n");
        let bad = "X-Frame-Options: ALLOWALL\r\nStrict-Transport-Security: max-age=1\r\nX-Powered-By: PHP/5.2\r\nAccess-Control-Allow-Origin: https://service.example\r\n";
        let length = body.len();
        let host = head.split("\r\nHost: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("nobody");
        let to = if status.starts_with('3') { format!("Location: https://{host}/there\r\n") } else { String::new() };
        let typed = if path == "/typed" { "Content-Type: text/css\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} Any\r\nContent-Length: {length}\r\n{typed}{bad}{to}\r\n{body}");
        stream.write_all(answer.as_bytes()).ok()?;
    }
}
