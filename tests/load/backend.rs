//! `load serve`: a backend to put behind the front door.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{OnTerm, Serve};

/// Serves until SIGTERM.
pub(crate) async fn serve(args: Serve) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    let mut term = signal(SignalKind::terminate())?;
    let name: Rc<str> = args.name.into();
    let delay = Duration::from_millis(args.delay_ms);
    let (over, _) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, _) = accepted?;
                let _ = socket.set_nodelay(true);
                let (name, over) = (Rc::clone(&name), over.subscribe());
                tasks.spawn_local(async move {
                    let _ = connection(socket, &name, delay, over).await;
                });
                while tasks.try_join_next().is_some() {}
            }
            _ = term.recv() => break,
        }
    }
    if args.on_term == OnTerm::Drain {
        drop(listener);
        over.send_replace(true);
        while tasks.join_next().await.is_some() {}
    }
    Ok(())
}

/// Answers one connection's requests until it ends or the backend drains.
async fn connection(
    mut socket: TcpStream,
    name: &str,
    delay: Duration,
    mut over: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            tokio::select! {
                read = socket.read_buf(&mut buffer) => if read? == 0 { return Ok(()) },
                _ = over.wait_for(|over| *over), if buffer.is_empty() => return Ok(()),
            }
        };
        let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).to_ascii_lowercase();
        buffer.drain(..end);
        let header = |name: &str| {
            head.lines().filter_map(|l| l.split_once(':')).find(|(n, _)| *n == name).map(|(_, v)| v.trim())
        };
        let length = header("content-length").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
        while buffer.len() < length {
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..length);
        let close = match header("connection") {
            Some(v) if v.contains("close") => true,
            Some(v) if v.contains("keep-alive") => false,
            _ => head.lines().next().is_some_and(|l| l.ends_with("http/1.0")),
        } || *over.borrow();
        tokio::time::sleep(delay).await;
        let connection = if close { "close" } else { "keep-alive" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Backend: {name}\r\nConnection: {connection}\r\n\r\n{name}\n",
            name.len() + 1
        );
        socket.write_all(answer.as_bytes()).await?;
        if close {
            return socket.shutdown().await;
        }
    }
}
