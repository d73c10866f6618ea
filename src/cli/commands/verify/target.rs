//! Where the front door is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use crate::cli::session;
use crate::engine::Engine;
use crate::engine::forward::Rung;
use crate::model::proxy::Proxy;
use crate::probe::Target;

/// How long another host's published port may take to answer, before it is asked from that host itself.
const OUTSIDE: Duration = Duration::from_secs(4);

/// Where the front door is: its published ports, on this host, on the engine's, or forwarded from there.
pub(in crate::cli::commands) async fn target(engine: &Engine, proxy: Option<&Proxy>) -> anyhow::Result<Target> {
    let at = |proxy: &Proxy, port| {
        let address = if proxy.address.is_unspecified() { Ipv4Addr::LOCALHOST } else { proxy.address };
        SocketAddrV4::new(address, port)
    };
    let mut target = Target {
        http: proxy.map(|p| at(p, p.http_port).into()),
        https: proxy.filter(|p| p.https()).map(|p| at(p, p.https_port).into()),
        vantage: "host",
        http_port: proxy.map_or(80, |p| p.http_port),
        https_port: proxy.map_or(443, |p| p.https_port),
    };
    let (Some(proxy), rung) = (proxy, engine.rung().await) else { return Ok(target) };
    if rung == Rung::Direct {
        return Ok(target);
    }
    // As its users do, if the engine's host answers there: that proves most.
    if let Some(address) = outside(engine, proxy).await {
        target.http = Some((address, proxy.http_port).into());
        target.https = target.https.map(|_| (address, proxy.https_port).into());
        target.vantage = "outside";
        return Ok(target);
    }
    for place in [&mut target.http, &mut target.https] {
        if let Some(SocketAddr::V4(there)) = *place {
            *place = Some(engine.reach(there).await.map_err(|e| session::failure(&e.into()))?.into());
        }
    }
    // The ladder may have gone down a rung when it was tried.
    target.vantage =
        if engine.rung().await == Rung::Ssh { "host, through ssh" } else { "host, through a helper container" };
    Ok(target)
}

/// The address of the engine's host, if its front door answers there.
async fn outside(engine: &Engine, proxy: &Proxy) -> Option<IpAddr> {
    if !proxy.address.is_unspecified() {
        return None;
    }
    let host = engine.host_name().await?;
    let port = if proxy.https() { proxy.https_port } else { proxy.http_port };
    let connect = async {
        let address = tokio::net::lookup_host((host, port)).await.ok()?.find(SocketAddr::is_ipv4)?;
        // This host's own loopback is not the engine's.
        if address.ip().is_loopback() {
            return None;
        }
        tokio::net::TcpStream::connect(address).await.ok().map(|_| address.ip())
    };
    tokio::time::timeout(OUTSIDE, connect).await.ok().flatten()
}
