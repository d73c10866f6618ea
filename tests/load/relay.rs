//! `load relay`: a network in between. Passes bytes, and the end of a stream, with a delay each way.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::Relay;

/// Relays until it is killed.
pub(crate) async fn relay(args: Relay) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    let delay = Duration::from_millis(args.delay_ms);
    loop {
        let (client, _) = listener.accept().await?;
        tokio::task::spawn_local(async move {
            let Ok(server) = TcpStream::connect(args.to).await else {
                return;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            tokio::join!(pipe(client_read, server_write, delay), pipe(server_read, client_write, delay));
        });
    }
}

/// One direction: every piece leaves `delay` after it came, and so does the end.
async fn pipe(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let read = async move {
        loop {
            let mut piece = Vec::with_capacity(16 * 1024);
            match from.read_buf(&mut piece).await {
                Ok(n) if n > 0 => {
                    if send.send((Instant::now() + delay, piece)).await.is_err() {
                        return;
                    }
                }
                // The empty piece stands for the end, an error's too.
                _ => {
                    let _ = send.send((Instant::now() + delay, Vec::new())).await;
                    return;
                }
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            if piece.is_empty() {
                let _ = to.shutdown().await;
                return;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
