//! One try at a service's own health question.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::model::service::{Ask, Health};

use super::net::client::{Door, Request, within};
use super::net::error::ProbeError;
use super::text::clean;

/// Why a service is not ready (yet), for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

impl From<ProbeError> for NotReady {
    fn from(error: ProbeError) -> Self {
        Self(error.to_string())
    }
}

/// Asks once, for at most `health.timeout`. HTTP: 2xx or 3xx. TCP: a connection. `PostgreSQL`: an answer to the
/// start-up message that is not "starting up" (error 57P03); a request for a password is an answer. Redis: `+PONG` or
/// `-NOAUTH`, not `-LOADING`. A command runs inside the container and cannot be asked from here.
pub async fn ready(health: &Health, address: SocketAddrV4) -> Result<(), NotReady> {
    let answer = within(health.timeout.0, async {
        Ok(match &health.ask {
            Ask::Http(path) => http(path, health.body.as_deref(), address).await,
            Ask::Tcp => TcpStream::connect(address).await.map(drop).map_err(|e| ProbeError::from(e).into()),
            Ask::Postgres { user, database } => postgres(user, database, address).await,
            Ask::Redis => redis(address).await,
            Ask::Command(_) => Err(NotReady("its health check is a command, which only the engine can run".into())),
        })
    });
    answer.await?
}

/// Whether something accepts connections at a name this machine can resolve, within 5 s.
pub async fn reach(host: &str, port: u16) -> Result<(), ProbeError> {
    within(Duration::from_secs(5), async { Ok(TcpStream::connect((host, port)).await.map(drop)?) }).await
}

async fn http(path: &str, body: Option<&str>, address: SocketAddrV4) -> Result<(), NotReady> {
    let response = Door::plain(address.into(), &address.to_string()).get(&Request::path(path)).await?;
    match response.status {
        200..=399 => body_holds(body, &response.body).map_err(|why| NotReady(format!("GET {path}: {why}"))),
        status => Err(NotReady(format!("GET {path} answered {status}"))),
    }
}

/// Whether an answer holds what a health check expects. JSON is compared by value, so that neither blanks nor the
/// order of members count, and only members that are expected; any other text must be in the answer as it is.
pub fn body_holds(expected: Option<&str>, body: &[u8]) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let held = match serde_json::from_str::<Value>(expected) {
        Ok(wanted @ (Value::Object(_) | Value::Array(_))) => {
            serde_json::from_slice::<Value>(body).is_ok_and(|found| holds(&wanted, &found))
        }
        _ => body.windows(expected.len().max(1)).any(|part| part == expected.as_bytes()),
    };
    if held {
        return Ok(());
    }
    Err(format!("the answer does not hold `{expected}`: `{}`", clean(&body[..body.len().min(120)])))
}

fn holds(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| holds(value, found)))
        }
        _ => wanted == found,
    }
}

/// Start-up message of protocol 3.0.
pub(super) fn postgres_hello(user: &str, database: &str) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    for (key, value) in [("user", user), ("database", database)] {
        for text in [key, value] {
            body.extend(text.bytes().filter(|b| *b != 0));
            body.push(0);
        }
    }
    body.push(0);
    let mut message = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// The answer to the start-up message is `R` (authentication) or `E` (error).
async fn postgres(user: &str, database: &str, address: SocketAddrV4) -> Result<(), NotReady> {
    let answer = exchange(address, &postgres_hello(user, database), 2048, postgres_complete).await?;
    match answer.first() {
        Some(b'R') => Ok(()),
        Some(b'E') => {
            let code = error_field(&answer, b'C');
            // Class 28 is "who are you": it is up, and our role is not what was asked about.
            if code.starts_with("28") {
                return Ok(());
            }
            Err(NotReady(format!("PostgreSQL answered {code}: {}", error_field(&answer, b'M'))))
        }
        Some(_) => Err(NotReady(format!("not PostgreSQL: it answered `{}`", clean(&answer[..answer.len().min(20)])))),
        None => Err(ProbeError::Closed.into()),
    }
}

/// One whole message: a type byte and a length that counts itself.
fn postgres_complete(bytes: &[u8]) -> bool {
    match bytes {
        [b'E', a, b, c, d, rest @ ..] => rest.len() + 4 >= u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        [_, ..] => bytes[0] != b'E',
        [] => false,
    }
}

/// A field of an error message: a type byte and a text up to a zero byte.
fn error_field(message: &[u8], field: u8) -> String {
    message
        .get(5..)
        .unwrap_or_default()
        .split(|b| *b == 0)
        .find_map(|part| part.strip_prefix(&[field]))
        .map_or_else(|| "an error".into(), clean)
}

async fn redis(address: SocketAddrV4) -> Result<(), NotReady> {
    let answer = exchange(address, b"PING\r\n", 512, |bytes| bytes.contains(&b'\n')).await?;
    if answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH") {
        return Ok(());
    }
    if answer.is_empty() {
        return Err(ProbeError::Closed.into());
    }
    let line = answer.split(|b| *b == b'\n').next().unwrap_or_default();
    if line.starts_with(b"-") {
        return Err(NotReady(format!("Redis answered {}", clean(&line[1..]))));
    }
    Err(NotReady(format!("not Redis: it answered `{}`", clean(line))))
}

/// Sends, and reads until the answer is complete, the peer closes, or `most` bytes came.
pub(super) async fn exchange(
    address: SocketAddrV4,
    message: &[u8],
    most: usize,
    complete: fn(&[u8]) -> bool,
) -> Result<Vec<u8>, ProbeError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(message).await?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while answer.len() < most && !complete(&answer) {
        match stream.read(&mut chunk).await? {
            0 => break,
            n => answer.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let expected = r#"{"status":"healthy"}"#;
        for (expected, body, held) in [
            (expected, r#"{ "db": 1, "status" : "healthy" }"#, true),
            (expected, r#"{"status":"unhealthy"}"#, false),
            (expected, r#"{"state":"healthy"}"#, false),
            (expected, r#"healthy {"status":"healthy"}"#, false),
            (r#"{"a":{"b":[1]}}"#, r#"{"a":{"b":[1],"c":2}}"#, true),
            ("ok", "all ok\n", true),
            ("ok", "", false),
            ("true", "it is true", true),
        ] {
            assert_eq!(body_holds(Some(expected), body.as_bytes()).is_ok(), held, "{expected} in {body}");
        }
        assert_eq!(body_holds(None, b""), Ok(()));
        let why = body_holds(Some("ok"), b"no\x1b[2J").err().unwrap_or_default();
        assert!(why.contains("does not hold `ok`") && !why.contains('\x1b'), "{why}");
    }

    #[test]
    fn error_fields_of_postgres() {
        let message = b"E\0\0\0\x20SFATAL\0C57P03\0Mthe database system is starting up\0\0";
        assert_eq!(error_field(message, b'C'), "57P03");
        assert_eq!(error_field(message, b'M'), "the database system is starting up");
        assert_eq!(error_field(b"E", b'C'), "an error");
        assert!(!postgres_complete(b"E\0\0\0\xffC"));
        assert!(postgres_complete(b"R"));
    }
}
