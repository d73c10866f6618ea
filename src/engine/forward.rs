//! Connections to containers from here, whatever the way to the engine: directly on its own host, through the login
//! behind which it is, or through a helper container. What was chosen can be told.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::connect::{Engine, Road};
use super::error::{EngineError, ErrorKind};
pub use super::kept::{Forward, Rung};
use super::relay::Relay;
use super::ssh::Ssh;
use super::transport::Duplex;

/// A way to containers.
#[derive(Clone)]
enum Way {
    Direct,
    Ssh(Arc<Ssh>),
    Relay(Arc<Relay>),
}

impl Way {
    async fn dial(&self, to: SocketAddrV4) -> io::Result<Box<dyn Duplex>> {
        Ok(match self {
            Self::Direct => Box::new(TcpStream::connect(to).await?),
            Self::Ssh(ssh) => Box::new(ssh.dial(to)?),
            Self::Relay(relay) => Box::new(relay.dial(to).await?),
        })
    }
}

impl Engine {
    /// How containers are reached.
    pub async fn rung(&self) -> Rung {
        match &self.road {
            Road::Ssh(_) if self.forwards.0.lock().await.ssh_forwards != Some(false) => Rung::Ssh,
            Road::Socket if self.facts().local => Rung::Direct,
            _ => Rung::Relay,
        }
    }

    /// Name or address of the engine's host, where it is another one than this.
    pub async fn host_name(&self) -> Option<String> {
        match &self.road {
            Road::Socket => None,
            Road::Tcp(host) => Some(host.clone()),
            Road::Ssh(ssh) => ssh.host().await,
        }
    }

    /// An address from here that leads to this one of a container, or of the engine's host itself. It stays open as
    /// long as the engine is used.
    pub async fn reach(&self, to: SocketAddrV4) -> Result<SocketAddrV4, EngineError> {
        if self.rung().await == Rung::Direct {
            return Ok(to);
        }
        if let Some(forward) = self.forwards.0.lock().await.forwards.get(&to) {
            return Ok(forward.address);
        }
        let forward = self.forward(to, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).await?;
        let address = forward.address;
        self.forwards.0.lock().await.forwards.insert(to, forward);
        Ok(address)
    }

    /// A port here (`at`; port 0 for any) that leads to an address of a container.
    pub async fn forward(&self, to: SocketAddrV4, at: SocketAddrV4) -> Result<Forward, EngineError> {
        let doing = format!("forward {at} to {to}");
        let way = self.way(to).await?;
        let failed = |error: io::Error| {
            let kind = if error.kind() == io::ErrorKind::AddrInUse { ErrorKind::PortTaken } else { ErrorKind::Other };
            EngineError::new(kind, doing.as_str(), error.to_string())
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let SocketAddr::V4(address) = listener.local_addr().map_err(failed)? else {
            return Err(EngineError::new(ErrorKind::Other, doing, "this host gave no IPv4 address"));
        };
        let task = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let way = way.clone();
                tokio::spawn(async move {
                    // A connection that cannot be made is one that ends at once: whoever asked sees that.
                    if let Ok(mut there) = way.dial(to).await {
                        let _ = here.set_nodelay(true);
                        let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Ok(Forward { address, task })
    }

    /// Whether something accepts connections at an address: for what says nothing by itself.
    pub async fn knock(&self, to: SocketAddrV4) -> Result<(), EngineError> {
        let failed =
            |error: io::Error| EngineError::new(ErrorKind::NotReachable, format!("connect to {to}"), error.to_string());
        match self.way(to).await? {
            Way::Ssh(ssh) => {
                let patience = self.patience().await?;
                ssh.dial(to).map_err(failed)?.stays(patience).await.map_err(failed)
            }
            way => way.dial(to).await.map(drop).map_err(failed),
        }
    }

    /// The way on the highest rung that bears.
    async fn way(&self, to: SocketAddrV4) -> Result<Way, EngineError> {
        let mut kept = self.forwards.0.lock().await;
        match &self.road {
            Road::Socket if self.facts().local => return Ok(Way::Direct),
            Road::Ssh(ssh) => {
                if kept.ssh_forwards.is_none() {
                    let tried = match ssh.dial(to) {
                        Ok(mut stream) => stream.stays(self.patience().await?).await,
                        Err(error) => Err(error),
                    };
                    kept.ssh_forwards = Some(tried.is_ok() || ssh.forwards().await);
                }
                if kept.ssh_forwards == Some(true) {
                    return Ok(Way::Ssh(Arc::clone(ssh)));
                }
            }
            _ => {}
        }
        if let Some(relay) = &kept.relay {
            return Ok(Way::Relay(Arc::clone(relay)));
        }
        let relay = Arc::new(self.start_relay().await?);
        kept.relay = Some(Arc::clone(&relay));
        Ok(Way::Relay(relay))
    }

    /// Time in which a stream through a login that cannot be opened says so: ssh tells only what failed, a round trip
    /// later.
    async fn patience(&self) -> Result<Duration, EngineError> {
        let began = Instant::now();
        self.call("ask the engine", self.docker.ping()).await?;
        Ok(began.elapsed() * 3 + Duration::from_millis(250))
    }
}
