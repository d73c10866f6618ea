//! What a server agrees to, offer by offer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::net::client::within;
use super::super::net::error::ProbeError;
use super::hello::{Answer, Version, client_hello, client_hello_13, parse};
use super::suites::TLS13;

/// Time for one answer: a `ServerHello` takes one round trip.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most answers read; a server's certificates may follow its hello in the same packets.
const MOST: usize = 64 << 10;

/// Makes one offer; an unclear answer gets a second chance, because one lost packet must not decide.
pub(in crate::probe) async fn offer(address: SocketAddr, version: Version, suites: &[u16], name: &str) -> Answer {
    make(address, &client_hello(version, suites, name)).await
}

async fn make(address: SocketAddr, hello: &[u8]) -> Answer {
    match once(address, hello).await {
        Ok(Answer::Unclear(_)) | Err(_) => {
            once(address, hello).await.unwrap_or_else(|error| Answer::Unclear(error.to_string()))
        }
        Ok(answer) => answer,
    }
}

async fn once(address: SocketAddr, hello: &[u8]) -> Result<Answer, ProbeError> {
    within(PATIENCE, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(hello).await?;
        let mut received = Vec::new();
        loop {
            if let Some(answer) = parse(&received) {
                return Ok(answer);
            }
            if received.len() > MOST {
                return Err(ProbeError::TooLarge("a handshake without end"));
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Err(ProbeError::Closed);
            }
        }
    })
    .await
}

/// What the server picks is taken out of the next offer, until it refuses or `most` are found. `Err` says why it is not
/// known.
async fn picked(
    offered: &[(u16, &str)],
    most: usize,
    offer: impl AsyncFn(&[u16]) -> Answer,
    pick: impl Fn(u16, Option<u16>) -> Option<u16>,
) -> Result<Vec<u16>, String> {
    let mut left: Vec<u16> = offered.iter().map(|(number, _)| *number).collect();
    let mut found = Vec::new();
    while !left.is_empty() && found.len() < most {
        match offer(&left).await {
            Answer::Hello { suite, group, .. } => match pick(suite, group) {
                Some(number) if left.contains(&number) => {
                    left.retain(|n| *n != number);
                    found.push(number);
                }
                Some(number) => return Err(format!("it chose 0x{number:04x}, which was not offered")),
                None => return Err("it does not name its choice".to_owned()),
            },
            Answer::Alert(_) => break,
            Answer::Unclear(why) => return Err(why),
        }
    }
    Ok(found)
}

/// All of these suites that the server accepts with TLS 1.2, at most `most`.
pub(in crate::probe) async fn accepted(
    address: SocketAddr,
    suites: &[(u16, &str)],
    name: &str,
    most: usize,
) -> Result<Vec<u16>, String> {
    let ask = async |left: &[u16]| offer(address, Version::Tls12, left, name).await;
    picked(suites, most, ask, |suite, _| Some(suite)).await
}

/// All suites of TLS 1.3 that the server accepts, out of these.
pub(in crate::probe) async fn suites_13(
    address: SocketAddr,
    suites: &[(u16, &str)],
    groups: &[u16],
    name: &str,
) -> Result<Vec<u16>, String> {
    let ask = async |left: &[u16]| make(address, &client_hello_13(left, groups, name)).await;
    picked(suites, suites.len(), ask, |suite, _| Some(suite)).await
}

/// All key exchange groups that the server accepts with TLS 1.3, out of these.
pub(in crate::probe) async fn groups(
    address: SocketAddr,
    groups: &[(u16, &str)],
    name: &str,
) -> Result<Vec<u16>, String> {
    let ask = async |left: &[u16]| make(address, &client_hello_13(TLS13, left, name)).await;
    picked(groups, groups.len(), ask, |_, group| group).await
}
