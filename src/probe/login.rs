//! Whether a database lets somebody in: the whole log-in, as its clients do it.

use std::net::SocketAddr;
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::base::hash;
use crate::base::scram::Client;
use crate::base::secret::Secret;

use super::net::client::within;
use super::net::error::ProbeError;
use super::ready::{exchange, postgres_hello};
use super::text::clean;
use super::tls::session;

/// Longest time for a log-in.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of one message before a session.
const LONGEST: usize = 64 << 10;

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// It lets them in.
    In,
    /// It refuses them, with these words.
    Refused(String),
}

/// Logs in to `PostgreSQL` by SCRAM-SHA-256. `believed` is the authority (PEM) of a server that encrypts.
///
/// # Errors
/// In words, where it said neither yes nor no.
pub async fn postgres_login(
    address: SocketAddr,
    (host, believed): (&str, Option<&str>),
    (role, database): (&str, &str),
    password: &Secret,
) -> Result<Login, String> {
    let asked = within(PATIENCE, async {
        match believed {
            Some(authority) => {
                let stream = session::postgres(address, host, session::believing(authority)?).await?;
                scram(stream, role, database, password).await
            }
            None => scram(TcpStream::connect(address).await?, role, database, password).await,
        }
    });
    asked.await.map_err(|error| error.to_string())
}

async fn scram(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    role: &str,
    database: &str,
    password: &Secret,
) -> Result<Login, ProbeError> {
    let odd = |what: String| ProbeError::Io(format!("the server {what}"));
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ProbeError::Io("there are no random numbers".to_owned()))?;
    let client = Client::new(&hash::hex(&bytes));
    stream.write_all(&postgres_hello(role, database)).await?;
    loop {
        let (kind, body) = message(&mut stream).await?;
        let code = body.get(..4).and_then(|c| <[u8; 4]>::try_from(c).ok()).map_or(u32::MAX, u32::from_be_bytes);
        let rest = String::from_utf8_lossy(body.get(4..).unwrap_or_default()).into_owned();
        match (kind, code) {
            (b'R', 0) => return Ok(Login::In),
            (b'R', 10) => {
                let first = client.first();
                let mut answer = b"SCRAM-SHA-256\0".to_vec();
                answer.extend(u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
                answer.extend(first.as_bytes());
                send(&mut stream, &answer).await?;
            }
            (b'R', 11) => {
                let last =
                    client.last(&rest, password.expose()).ok_or_else(|| odd("answers somebody else".to_owned()))?;
                send(&mut stream, last.as_bytes()).await?;
            }
            (b'R', 12) => {}
            (b'R', other) => return Err(odd(format!("asks for a log-in of kind {other}, not for SCRAM-SHA-256"))),
            (b'E', _) => return Ok(refused(&body)),
            _ => return Err(odd("does not answer like PostgreSQL".to_owned())),
        }
    }
}

/// Class 28 of errors is about who somebody is (PostgreSQL manual, appendix A); others say nothing about that.
fn refused(body: &[u8]) -> Login {
    let field = |name: u8| body.split(|b| *b == 0).find_map(|f| f.strip_prefix(&[name])).map(clean).unwrap_or_default();
    Login::Refused(format!("{} {}", field(b'C'), field(b'M')))
}

async fn message(stream: &mut (impl AsyncRead + Unpin)) -> Result<(u8, Vec<u8>), ProbeError> {
    let kind = stream.read_u8().await?;
    let size = stream.read_u32().await? as usize;
    if !(4..LONGEST).contains(&size) {
        return Err(ProbeError::TooLarge("the server does not answer like PostgreSQL"));
    }
    let mut body = vec![0; size - 4];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> Result<(), ProbeError> {
    let mut out = vec![b'p'];
    out.extend(u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(body);
    Ok(stream.write_all(&out).await?)
}

/// Logs in to Redis.
///
/// # Errors
/// In words, where it said neither yes nor no.
pub async fn redis_login(address: std::net::SocketAddrV4, password: &Secret) -> Result<Login, String> {
    let text = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{}\r\n", password.expose().len(), password.expose());
    let answer = within(PATIENCE, exchange(address, text.as_bytes(), 512, |bytes| bytes.contains(&b'\n'))).await;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.as_slice() {
        [b'+', b'O', b'K', ..] => Ok(Login::In),
        [b'-', words @ ..] => Ok(Login::Refused(clean(words))),
        _ => Err("it does not answer like Redis".to_owned()),
    }
}
