//! What a server agrees to, offer by offer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::net::client::within;
use super::super::net::error::ProbeError;
use super::hello::{Answer, Version, client_hello, parse};

/// Time for one answer: a `ServerHello` takes one round trip.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most answers read; a server's certificates may follow its hello in the same packets.
const MOST: usize = 64 << 10;

/// Makes one offer; an unclear answer gets a second chance, because one lost packet must not decide.
pub(in crate::probe) async fn offer(address: SocketAddr, version: Version, suites: &[u16], name: &str) -> Answer {
    match once(address, version, suites, name).await {
        Ok(Answer::Unclear(_)) | Err(_) => {
            once(address, version, suites, name).await.unwrap_or_else(|error| Answer::Unclear(error.to_string()))
        }
        Ok(answer) => answer,
    }
}

async fn once(address: SocketAddr, version: Version, suites: &[u16], name: &str) -> Result<Answer, ProbeError> {
    within(PATIENCE, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&client_hello(version, suites, name)).await?;
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

/// All of these suites that the server accepts with TLS 1.2: what it picks is taken out of the next offer, until it
/// refuses. At most `most` are looked for. `Err` says why it is not known.
pub(in crate::probe) async fn accepted(
    address: SocketAddr,
    suites: &[(u16, &str)],
    name: &str,
    most: usize,
) -> Result<Vec<u16>, String> {
    let mut left: Vec<u16> = suites.iter().map(|(number, _)| *number).collect();
    let mut found = Vec::new();
    while !left.is_empty() && found.len() < most {
        match offer(address, Version::Tls12, &left, name).await {
            Answer::Hello { suite, .. } if left.contains(&suite) => {
                left.retain(|s| *s != suite);
                found.push(suite);
            }
            Answer::Hello { suite, .. } => return Err(format!("it chose 0x{suite:04x}, which was not offered")),
            Answer::Alert(_) => break,
            Answer::Unclear(why) => return Err(why),
        }
    }
    Ok(found)
}
