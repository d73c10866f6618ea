//! One question to a name server (RFC 1035): addresses, and who may issue certificates (CAA, RFC 8659). The system's
//! resolver answers only the first, and cannot tell "there is no such name" from "nobody answers".

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::super::text;
use super::client::within;
use super::error::ProbeError;

/// Time for one answer; asked twice.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) enum Kind {
    A = 1,
    Aaaa = 28,
    Caa = 257,
}

/// What a name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) enum Answer {
    /// Addresses; none if the name has none of this kind.
    Addresses(BTreeSet<IpAddr>),
    /// Certificate authorities: tag (`issue`, `issuewild`, `iodef`) and value.
    Authorities(Vec<(String, String)>),
    /// There is no such name.
    NoName,
}

/// Asks one name server.
pub(in crate::probe) async fn ask(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer, ProbeError> {
    match once(server, name, kind).await {
        Err(_) => once(server, name, kind).await,
        answer => answer,
    }
}

async fn once(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer, ProbeError> {
    let id = u16::from_be_bytes(text::random::<2>());
    let question = query(id, name, kind).ok_or_else(|| ProbeError::Unaskable(text::clean(name)))?;
    within(PATIENCE, async {
        let any: SocketAddr =
            if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        socket.send(&question).await?;
        let mut answer = [0; 4096];
        loop {
            let length = socket.recv(&mut answer).await?;
            // Somebody else's answer is not ours.
            if answer.get(..2) == Some(&id.to_be_bytes()) {
                return parse(&answer[..length], kind).map_err(ProbeError::Io);
            }
        }
    })
    .await
}

/// The name servers of a `resolv.conf`.
pub fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .collect()
}

fn query(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = id.to_be_bytes().to_vec();
    // Recursion desired, one question, and one additional record that says how much we take (EDNS, RFC 6891).
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
        out.push(length);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend((kind as u16).to_be_bytes());
    out.extend([0, 1]);
    out.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    Some(out)
}

fn parse(message: &[u8], kind: Kind) -> Result<Answer, String> {
    let short = || "the name server's answer breaks off".to_owned();
    let pair = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let flags = pair(2).ok_or_else(short)?;
    match flags & 0xf {
        0 => {}
        3 => return Ok(Answer::NoName),
        2 => return Err("the name server failed (SERVFAIL)".to_owned()),
        5 => return Err("the name server refuses us (REFUSED)".to_owned()),
        other => return Err(format!("the name server answered with error {other}")),
    }
    if flags & 0x0200 != 0 {
        return Err("the answer is too long for UDP".to_owned());
    }
    let (questions, answers) = (pair(4).ok_or_else(short)?, pair(6).ok_or_else(short)?);
    let mut at = 12;
    for _ in 0..questions {
        at = skip_name(message, at).ok_or_else(short)? + 4;
    }
    let mut addresses = BTreeSet::new();
    let mut authorities = Vec::new();
    for _ in 0..answers {
        at = skip_name(message, at).ok_or_else(short)?;
        let (found, length) = (pair(at).ok_or_else(short)?, usize::from(pair(at + 8).ok_or_else(short)?));
        let data = message.get(at + 10..at + 10 + length).ok_or_else(short)?;
        at += 10 + length;
        if found != kind as u16 {
            continue; // a CNAME on the way
        }
        match kind {
            Kind::A => addresses.extend(<[u8; 4]>::try_from(data).map(IpAddr::from)),
            Kind::Aaaa => addresses.extend(<[u8; 16]>::try_from(data).map(IpAddr::from)),
            Kind::Caa => authorities.extend(authority(data)),
        }
    }
    Ok(if kind == Kind::Caa { Answer::Authorities(authorities) } else { Answer::Addresses(addresses) })
}

/// Flags, length of the tag, tag, value (RFC 8659 §4.1).
fn authority(data: &[u8]) -> Option<(String, String)> {
    let length = usize::from(*data.get(1)?);
    let (tag, value) = data.get(2..)?.split_at_checked(length)?;
    Some((text::clean(tag).to_ascii_lowercase(), text::clean(value)))
}

/// The place after a name, which may end in a pointer (RFC 1035 §4.1.4).
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += usize::from(length) + 1,
            0xc0..=0xff => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn answer(flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = vec![0, 7];
        out.extend(flags.to_be_bytes());
        out.extend([0, 1]);
        out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
        out.extend([0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1]);
        for (kind, data) in records {
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(*data);
        }
        out
    }

    #[test]
    fn answers_are_taken_apart() {
        let both = answer(0x8180, &[(5, &[1, b'b', 0]), (1, &[192, 0, 2, 1])]);
        let one = Answer::Addresses([IpAddr::from([192, 0, 2, 1])].into());
        assert_eq!(parse(&both, Kind::A), Ok(one));
        assert_eq!(parse(&both, Kind::Aaaa), Ok(Answer::Addresses(BTreeSet::new())));
        let caa = answer(0x8180, &[(257, b"\0\x05issueletsencrypt.org")]);
        assert_eq!(parse(&caa, Kind::Caa), Ok(Answer::Authorities(vec![("issue".into(), "letsencrypt.org".into())])));
        assert_eq!(parse(&answer(0x8183, &[]), Kind::A), Ok(Answer::NoName));
        for flags in [0x8182, 0x8185, 0x8380] {
            assert!(parse(&answer(flags, &[]), Kind::A).is_err());
        }
        for cut in 0..both.len() {
            assert!(parse(&both[..cut], Kind::A).is_err(), "{cut}");
        }
    }

    #[test]
    fn questions_are_made_of_labels() {
        let bytes = query(7, "a.example.com.", Kind::Caa).unwrap();
        assert_eq!(&bytes[12..27], b"\x01a\x07example\x03com\0");
        assert_eq!(&bytes[27..31], [1, 1, 0, 1]);
        assert_eq!(query(7, "", Kind::A), None);
        assert_eq!(query(7, &"a".repeat(64), Kind::A), None);
        let found = servers("# x\nnameserver 192.0.2.53\nsearch x\nnameserver fd00::1\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], "192.0.2.53:53".parse().unwrap());
    }
}
