//! A service behind the front door, on the host.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Method and path of every request whose head has arrived, whatever became of its body.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many requests began like this, such as `POST /upload`.
pub(crate) fn seen(start: &str) -> usize {
    SEEN.lock().unwrap().iter().filter(|request| request.starts_with(start)).count()
}

/// Starts it; the port. It echoes what it was asked, sends headers that the front door must not let through, answers
/// `/status/N` with N, `/drip` in two parts a second apart, `/deaf` after it has listened to nothing for a while, `/abort…` not at all, `/sleep/N` after N seconds, redirects to `/there`, and upgrades
/// `WebSockets`: it says "hello", and three seconds later, or N under `/silent/N`, "goodbye".
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
        SEEN.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
        if head.contains(" /deaf ") {
            thread::sleep(Duration::from_secs(4));
        }
        let received = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        let path = head.split(' ').nth(1).unwrap_or("/");
        if head.to_lowercase().contains("\r\nupgrade: websocket") {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).ok()?;
            let silent = path.strip_prefix("/silent/").and_then(|n| n.parse().ok()).unwrap_or(3);
            thread::sleep(Duration::from_secs(silent));
            stream.write_all(b"goodbye").ok()?;
            return None;
        }
        if path.starts_with("/drip") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst ").ok()?;
            thread::sleep(Duration::from_secs(1));
            stream.write_all(b"later").ok()?;
            continue;
        }
        if path.starts_with("/abort") {
            return None;
        }
        if let Some(seconds) = path.strip_prefix("/sleep/").and_then(|n| n.parse().ok()) {
            thread::sleep(Duration::from_secs(seconds));
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
