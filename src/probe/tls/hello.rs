//! A `ClientHello` written by hand, and the first words of the answer (RFC 8446 §4.1, RFC 5246 §7.4, RFC 6101).

use super::super::text;
use super::suites::TLS13;

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::probe) enum Version {
    Ssl3,
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    /// All, oldest first.
    pub(in crate::probe) const ALL: [Self; 5] = [Self::Ssl3, Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// As people say it.
    pub(in crate::probe) fn name(self) -> &'static str {
        match self {
            Self::Ssl3 => "SSL 3.0",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::Ssl3 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) enum Answer {
    /// A `ServerHello`: the version and suite it chose, and with TLS 1.3 the group, if it named one.
    Hello { version: u16, suite: u16, group: Option<u16> },
    /// A clear refusal: an alert, with its description (RFC 8446 §6).
    Alert(u8),
    /// No clear word: a reset, a timeout, another protocol.
    Unclear(String),
}

impl Answer {
    /// Whether the server agreed to exactly this version.
    pub(in crate::probe) fn accepts(&self, version: Version) -> bool {
        matches!(self, Self::Hello { version: chosen, .. } if *chosen == version.number())
    }
}

fn put(out: &mut Vec<u8>, number: usize, bytes: usize) {
    out.extend(&number.to_be_bytes()[size_of::<usize>() - bytes..]);
}

fn extension(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend(kind.to_be_bytes());
    put(out, body.len(), 2);
    out.extend(body);
}

/// A list of numbers with its length in front.
fn numbers(list: &[u16], length_bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, list.len() * 2, length_bytes);
    out.extend(list.iter().flat_map(|n| n.to_be_bytes()));
    out
}

/// An offer of exactly one version and these suites, for a host name. With TLS 1.3 the suites are always its own.
pub(in crate::probe) fn client_hello(version: Version, suites: &[u16], name: &str) -> Vec<u8> {
    let suites = if version == Version::Tls13 { TLS13 } else { suites };
    offer(version, suites, &extensions(version, name, Groups::Usual))
}

/// An offer of TLS 1.3 with these suites and groups, and no key yet: the server picks one of each and asks for the key
/// (`HelloRetryRequest`, RFC 8446 §4.1.4).
pub(in crate::probe) fn client_hello_13(suites: &[u16], groups: &[u16], name: &str) -> Vec<u8> {
    offer(Version::Tls13, suites, &extensions(Version::Tls13, name, Groups::Only(groups)))
}

/// Which key exchange groups are offered.
#[derive(Debug, Clone, Copy)]
enum Groups<'a> {
    /// x25519, P-256, P-384, P-521, with a key for the first.
    Usual,
    /// These, without a key.
    Only(&'a [u16]),
}

fn offer(version: Version, suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut hello = Vec::new();
    hello.extend(version.number().min(0x0303).to_be_bytes());
    hello.extend(text::random::<32>());
    if version == Version::Tls13 {
        // Middleboxes expect a session ID (RFC 8446 §D.4).
        hello.push(32);
        hello.extend(text::random::<32>());
    } else {
        hello.push(0);
    }
    let mut offered = suites.to_vec();
    if version != Version::Tls13 {
        offered.push(0x00ff); // TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746)
    }
    hello.extend(numbers(&offered, 2));
    hello.extend([1, 0]); // compression: none
    if version != Version::Ssl3 {
        put(&mut hello, extensions.len(), 2);
        hello.extend(extensions);
    }
    let mut record = vec![22];
    record.extend(if version == Version::Ssl3 { [3, 0] } else { [3, 1] });
    put(&mut record, hello.len() + 4, 2);
    record.push(1);
    put(&mut record, hello.len(), 3);
    record.extend(hello);
    record
}

fn extensions(version: Version, name: &str, groups: Groups<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut server_name = vec![0];
    put(&mut server_name, name.len(), 2);
    server_name.extend(name.as_bytes());
    let mut list = Vec::new();
    put(&mut list, server_name.len(), 2);
    list.extend(server_name);
    extension(&mut out, 0, &list);
    let offered = match groups {
        Groups::Usual => &[0x001d, 0x0017, 0x0018, 0x0019],
        Groups::Only(groups) => groups,
    };
    extension(&mut out, 10, &numbers(offered, 2));
    extension(&mut out, 11, &[1, 0]);
    if version >= Version::Tls12 {
        // ECDSA, PSS, Ed25519, PKCS#1, and SHA-1 last, for what still needs it.
        let schemes = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201];
        extension(&mut out, 13, &numbers(&schemes, 2));
    }
    if version == Version::Tls13 {
        extension(&mut out, 43, &numbers(&[0x0304], 1));
        let mut share = vec![0, 0];
        if let Groups::Usual = groups {
            // Any 32 bytes are a point of x25519; the handshake never gets far enough to need the key.
            share = vec![0, 36, 0, 0x1d, 0, 32];
            share.extend(text::random::<32>());
        }
        extension(&mut out, 51, &share);
    }
    out
}

/// The answer in what was received so far; `None` if more is needed.
pub(in crate::probe) fn parse(received: &[u8]) -> Option<Answer> {
    let other =
        || Answer::Unclear(format!("not TLS: it answered `{}`", text::clean(&received[..received.len().min(20)])));
    // The handshake message may be spread over records.
    let mut rest = received;
    let mut message = Vec::new();
    loop {
        let kind = *rest.first()?;
        if !matches!(kind, 21 | 22) || rest.get(1).is_some_and(|major| *major != 3) {
            return Some(other());
        }
        let length = usize::from(u16::from_be_bytes([*rest.get(3)?, *rest.get(4)?]));
        if length > 1 << 14 {
            return Some(other());
        }
        let body = rest.get(5..5 + length)?;
        if kind == 21 {
            return Some(body.get(1).map_or_else(other, |description| Answer::Alert(*description)));
        }
        message.extend_from_slice(body);
        if message.first().is_some_and(|kind| *kind != 2) {
            return Some(other());
        }
        if let [_, a, b, c, hello @ ..] = message.as_slice() {
            let wanted = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if hello.len() >= wanted {
                return Some(server_hello(&hello[..wanted]).unwrap_or_else(other));
            }
        }
        rest = &rest[5 + length..];
    }
}

fn server_hello(hello: &[u8]) -> Option<Answer> {
    let pair = |at: usize| Some(u16::from_be_bytes([*hello.get(at)?, *hello.get(at + 1)?]));
    let session = usize::from(*hello.get(34)?);
    let mut version = pair(0)?;
    let suite = pair(35 + session)?;
    let mut at = 38 + session;
    let mut group = None;
    if let Some(length) = pair(at) {
        let end = (at + 2 + usize::from(length)).min(hello.len());
        at += 2;
        while at + 4 <= end {
            let (kind, size) = (pair(at)?, usize::from(pair(at + 2)?));
            if kind == 43 && size == 2 {
                version = pair(at + 4)?;
            }
            if kind == 51 && size >= 2 {
                group = pair(at + 4);
            }
            at += 4 + size;
        }
    }
    Some(Answer::Hello { version, suite, group })
}

/// What an alert says (RFC 8446 §6).
pub(in crate::probe) fn alert_name(description: u8) -> String {
    match description {
        40 => "handshake_failure".into(),
        47 => "illegal_parameter".into(),
        70 => "protocol_version".into(),
        71 => "insufficient_security".into(),
        80 => "internal_error".into(),
        112 => "unrecognized_name".into(),
        other => format!("alert {other}"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 3, 3];
        put(&mut out, body.len(), 2);
        out.extend(body);
        out
    }

    fn hello(version: u16, suite: u16, extensions: &[u8]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(0);
        body.extend(suite.to_be_bytes());
        body.push(0);
        if !extensions.is_empty() {
            put(&mut body, extensions.len(), 2);
            body.extend(extensions);
        }
        let mut message = vec![2];
        put(&mut message, body.len(), 3);
        message.extend(body);
        message
    }

    #[test]
    fn the_version_of_the_extension_wins() {
        let plain = record(22, &hello(0x0301, 0xc013, &[]));
        assert_eq!(parse(&plain), Some(Answer::Hello { version: 0x0301, suite: 0xc013, group: None }));
        let new = record(22, &hello(0x0303, 0x1301, &[0, 51, 0, 2, 0, 29, 0, 43, 0, 2, 3, 4]));
        assert!(parse(&new).is_some_and(|a| a.accepts(Version::Tls13)));
        assert!(matches!(parse(&new), Some(Answer::Hello { group: Some(29), .. })));
    }

    #[test]
    fn an_alert_is_a_clear_word_and_rubbish_is_not() {
        assert_eq!(parse(&record(21, &[2, 70])), Some(Answer::Alert(70)));
        assert!(matches!(parse(b"HTTP/1.1 400 Bad Request\r\n"), Some(Answer::Unclear(_))));
        assert!(matches!(parse(&record(22, &[9; 40])), Some(Answer::Unclear(_))));
        assert_eq!(parse(&record(22, &hello(0x0303, 1, &[])[..20])), None);
    }

    #[test]
    fn every_prefix_asks_for_more_and_nothing_panics() {
        let whole = record(22, &hello(0x0303, 0xc02f, &[0, 11, 0, 2, 1, 0]));
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut}");
        }
        // Spread over two records.
        let message = hello(0x0303, 0xc02f, &[]);
        let mut spread = record(22, &message[..10]);
        spread.extend(record(22, &message[10..]));
        assert_eq!(parse(&spread), Some(Answer::Hello { version: 0x0303, suite: 0xc02f, group: None }));
        // Lengths that lie.
        for seed in 0..=255u8 {
            let lie: Vec<u8> = whole.iter().enumerate().map(|(i, b)| if i > 4 { b ^ seed } else { *b }).collect();
            let _ = parse(&lie);
        }
    }

    #[test]
    fn lengths_of_an_offer_add_up() {
        let offers = Version::ALL.map(|version| (version, client_hello(version, &[0xc02f], "example.com")));
        let retried = (Version::Tls13, client_hello_13(&[0x1301], &[0x11ec, 0x0017], "example.com"));
        for (version, offer) in offers.into_iter().chain([retried]) {
            assert_eq!(usize::from(u16::from_be_bytes([offer[3], offer[4]])), offer.len() - 5, "{version:?}");
            assert_eq!(offer[8], u8::try_from(offer.len() - 9).unwrap(), "{version:?}");
        }
    }
}
