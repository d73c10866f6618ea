//! What answers on the addresses of running containers: a database, a cache, programs that are well, a front door that
//! says by which files it serves and passes on what a candidate is asked.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::World;
use super::wire::Shared;

/// Listeners by address.
#[derive(Default)]
pub(super) struct Town(HashMap<SocketAddrV4, JoinHandle<()>>);

fn ports(service: &str) -> &'static [u16] {
    match service {
        "app" => &[8000],
        "api" => &[9000],
        "db" => &[5432],
        "cache" => &[6379],
        "prometheus" => &[9090],
        "proxy" => &[80, 8081],
        _ => &[],
    }
}

impl Town {
    /// Lets those answer that run, and no others.
    pub(super) fn follow(&mut self, world: &World, shared: &Arc<Shared>) {
        let mut wanted: HashMap<SocketAddrV4, String> = HashMap::new();
        for container in world.containers.iter().filter(|c| c.running()) {
            for address in container.networks.values().flatten() {
                for port in ports(container.service()) {
                    wanted.insert(SocketAddrV4::new(*address, *port), container.service().to_owned());
                }
            }
        }
        self.0.retain(|address, task| {
            let stays = wanted.contains_key(address);
            if !stays {
                task.abort();
            }
            stays
        });
        for (address, service) in wanted {
            let shared = Arc::clone(shared);
            self.0.entry(address).or_insert_with(|| tokio::spawn(listen(address, service, shared)));
        }
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

async fn listen(address: SocketAddrV4, service: String, shared: Arc<Shared>) {
    // Who had the address before may need a moment to go.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    while let Ok((stream, _)) = listener.accept().await {
        shared.stir();
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let _ = talk(stream, &service, &shared).await;
            shared.stir();
        });
    }
}

async fn talk(mut stream: TcpStream, service: &str, shared: &Shared) -> io::Result<()> {
    let mut asked = vec![0; 4096];
    let length = stream.read(&mut asked).await?;
    let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
    match service {
        "db" => stream.write_all(b"R\0\0\0\x08\0\0\0\0").await,
        "cache" => stream.write_all(b"+PONG\r\n").await,
        _ => {
            let (status, body) = answer(service, &asked, shared);
            let text =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await
        }
    }
}

fn answer(service: &str, asked: &str, shared: &Shared) -> (u16, String) {
    if service != "proxy" {
        return (200, "ok".to_owned());
    }
    let world = shared.world.lock().unwrap();
    let door = world.containers.iter().find(|c| c.service() == "proxy" && c.running());
    if asked.starts_with("GET /stackctl/release ") {
        return (200, door.and_then(|d| d.loaded.as_ref()).map_or_else(String::new, |loaded| loaded.hash.clone()));
    }
    let candidate =
        asked.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("x-stackctl-candidate: ").map(str::to_owned));
    let address: Option<Ipv4Addr> = candidate.and_then(|c| c.split(':').next()?.parse().ok());
    let runs =
        world.containers.iter().any(|c| c.running() && address.is_some() && c.networks.values().any(|a| *a == address));
    (if runs { 200 } else { 502 }, String::new())
}
