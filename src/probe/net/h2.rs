//! One request over HTTP/2 (RFC 9113), enough to see whether it is answered: the preface, empty settings, one HEADERS
//! frame without compression; back come frames, of which only those of our stream count.

use super::super::text::clean;
use super::client::{AGENT, Connection, Door, within};
use super::error::ProbeError;
use super::http::PATIENCE;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Most bytes read until the answer; settings and windows are small.
const MOST: usize = 64 << 10;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) enum Reply {
    /// Response headers, with the status where it is in HPACK's own table.
    Headers(Option<u16>),
    /// The stream or the connection was refused, with an error code (RFC 9113 §7).
    Refused(u32),
}

/// Asks for a path. The door must have agreed to `h2`.
pub(in crate::probe) async fn ask(door: &Door, path: &str) -> Result<Reply, ProbeError> {
    if !path.bytes().all(|b| b.is_ascii_graphic()) || !door.host.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ProbeError::Unaskable(clean(path)));
    }
    within(PATIENCE, async {
        let mut connection = door.open().await?;
        let mut hello = PREFACE.to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        // END_STREAM, END_HEADERS
        hello.extend(frame(HEADERS, 5, 1, &request(&door.host, path)));
        connection.send(&hello).await?;
        reply(&mut connection).await
    })
    .await
}

async fn reply(connection: &mut Connection) -> Result<Reply, ProbeError> {
    let mut received = Vec::new();
    loop {
        if let Some(reply) = parse(&received)? {
            return Ok(reply);
        }
        if received.len() > MOST {
            return Err(ProbeError::TooLarge("frames without an answer"));
        }
        let more = connection.more().await?;
        if more.is_empty() {
            return Err(ProbeError::Closed);
        }
        received.extend(more);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// HPACK: `:method GET` and `:scheme https` of the static table; the rest as literals that are not indexed.
fn request(host: &str, path: &str) -> Vec<u8> {
    let mut out = vec![0x82, 0x87];
    for (index, value) in [(1, host), (4, path)] {
        out.push(index);
        literal(&mut out, value);
    }
    out.push(0);
    literal(&mut out, "user-agent");
    literal(&mut out, AGENT);
    out
}

/// A string without Huffman coding; its length is a 7-bit prefix integer (RFC 7541 §5.1).
fn literal(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        out.push(u8::try_from(length).unwrap_or(0));
    } else {
        out.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap_or(0) | 0x80);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap_or(0));
    }
    out.extend(text.as_bytes());
}

/// The first frame that is an answer; `None` if more is needed.
fn parse(received: &[u8]) -> Result<Option<Reply>, ProbeError> {
    let mut rest = received;
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        let (kind, stream) = (rest[3], u32::from_be_bytes([rest[5] & 0x7f, rest[6], rest[7], rest[8]]));
        if length > 1 << 14 {
            return Err(ProbeError::NotHttp(clean(&received[..received.len().min(20)])));
        }
        let Some(payload) = rest.get(9..9 + length) else { return Ok(None) };
        let code = |at: usize| payload.get(at..at + 4).map_or(0, |c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]));
        match (kind, stream) {
            (HEADERS, 1) => return Ok(Some(Reply::Headers(payload.first().and_then(|b| status(*b))))),
            (RST_STREAM, 1) => return Ok(Some(Reply::Refused(code(0)))),
            // Orderly, it still lets our stream end.
            (GOAWAY, 0) if code(4) != 0 => return Ok(Some(Reply::Refused(code(4)))),
            _ => rest = &rest[9 + length..],
        }
    }
    Ok(None)
}

/// Statuses of HPACK's static table (RFC 7541 §A).
fn status(first: u8) -> Option<u16> {
    match first {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8a => Some(206),
        0x8b => Some(304),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_to_the_answer() {
        let mut bytes = frame(SETTINGS, 0, 0, &[0; 6]);
        bytes.extend(frame(8, 0, 0, &[0; 4]));
        assert_eq!(parse(&bytes).unwrap(), None);
        let whole = [bytes.clone(), frame(HEADERS, 4, 1, &[0x88])].concat();
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(parse(&whole).unwrap(), Some(Reply::Headers(Some(200))));
        let reset = [bytes.clone(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 7])].concat();
        assert_eq!(parse(&reset).unwrap(), Some(Reply::Refused(7)));
        let away = [bytes, frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 13])].concat();
        assert_eq!(parse(&away).unwrap(), Some(Reply::Refused(13)));
        assert!(parse(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }

    #[test]
    fn long_texts_have_long_lengths() {
        let mut out = Vec::new();
        literal(&mut out, &"a".repeat(300));
        assert_eq!(&out[..3], [127, 173, 1]);
        assert_eq!(out.len(), 303);
    }
}
