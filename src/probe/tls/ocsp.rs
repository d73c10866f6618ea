//! A stapled answer of a certificate's responder (RFC 6960), as far as a visitor's browser looks at it.

/// What is stapled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) enum Stapled {
    /// Not revoked; good until this moment, if it says so (`YYYYMMDDHHMMSSZ`).
    Good(Option<String>),
    /// Revoked.
    Revoked,
    /// The responder does not know the certificate.
    Unknown,
    /// The responder could not answer (RFC 6960 §4.2.1).
    Failed(u8),
}

/// One DER element: tag, content, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |n, d| n << 8 | usize::from(*d)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The content of the next element, which must have this tag.
fn inner(der: &[u8], tag: u8) -> Option<&[u8]> {
    element(der).filter(|(found, ..)| *found == tag).map(|(_, content, _)| content)
}

/// Reads an answer; `None` if it is none.
pub(in crate::probe) fn read(der: &[u8]) -> Option<Stapled> {
    let (tag, status, rest) = element(inner(der, 0x30)?)?;
    if tag != 0x0a {
        return None;
    }
    match status {
        [0] => {}
        [code] => return Some(Stapled::Failed(*code)),
        _ => return None,
    }
    // [0] { SEQUENCE { type, OCTET STRING { BasicOCSPResponse } } }
    let bytes = inner(inner(rest, 0xa0)?, 0x30)?;
    let (_, _, basic) = element(bytes)?;
    let data = inner(inner(inner(basic, 0x04)?, 0x30)?, 0x30)?;
    // Version and responder are tagged; then come the time it was made, and the answers.
    let mut rest = data;
    let answers = loop {
        let (tag, content, after) = element(rest)?;
        match tag {
            0x30 => break content,
            _ => rest = after,
        }
    };
    let (_, _, single) = element(inner(answers, 0x30)?)?;
    let (status, _, after) = element(single)?;
    let until = || {
        let (_, _, rest) = element(after)?;
        let time = inner(inner(rest, 0xa0)?, 0x18)?;
        String::from_utf8(time.to_vec()).ok()
    };
    match status {
        0x80 => Some(Stapled::Good(until())),
        0xa1 => Some(Stapled::Revoked),
        0x82 => Some(Stapled::Unknown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        if let Ok(length @ ..0x80) = u8::try_from(content.len()) {
            out.push(length);
        } else {
            out.push(0x82);
            out.extend(u16::try_from(content.len()).unwrap_or(0).to_be_bytes());
        }
        out.extend(content);
        out
    }

    fn answer(status: &[u8]) -> Vec<u8> {
        let time = wrap(0x18, b"20261120120000Z");
        let until = wrap(0xa0, &wrap(0x18, b"20261127120000Z"));
        let single = wrap(0x30, &[wrap(0x30, &[1; 200]), status.to_vec(), time.clone(), until].concat());
        let data = wrap(0x30, &[wrap(0xa2, b"who"), time, wrap(0x30, &single)].concat());
        let basic = wrap(0x30, &[data, wrap(0x30, b"algorithm")].concat());
        let bytes = wrap(0x30, &[wrap(0x06, &[1]), wrap(0x04, &basic)].concat());
        wrap(0x30, &[wrap(0x0a, &[0]), wrap(0xa0, &bytes)].concat())
    }

    #[test]
    fn answers() {
        assert_eq!(read(&answer(&[0x80, 0])), Some(Stapled::Good(Some("20261127120000Z".into()))));
        assert_eq!(read(&answer(&wrap(0xa1, &[0]))), Some(Stapled::Revoked));
        assert_eq!(read(&answer(&[0x82, 0])), Some(Stapled::Unknown));
        assert_eq!(read(&wrap(0x30, &wrap(0x0a, &[3]))), Some(Stapled::Failed(3)));
        let whole = answer(&[0x80, 0]);
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), None, "{cut}");
        }
    }
}
