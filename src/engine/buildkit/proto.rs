//! Protocol Buffers on the wire (protobuf.dev, "Encoding"), as far as a session and its trace need them: a handful of
//! messages with a few fields each, which no generated code is worth its size for.

/// A field's value. Groups and fixed-width numbers are in none of our messages, and are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Integers, booleans, enumerations.
    Number(u64),
    /// Texts, bytes, messages.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Its bytes; none of a number.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    /// Its text; what is not UTF-8 is replaced.
    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Its number; 0 of bytes.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) => 0,
        }
    }
}

/// Fields of a message by number, in their order. What is malformed ends it.
pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        loop {
            let tag = varint(&mut message)?;
            let value = match tag & 7 {
                0 => Value::Number(varint(&mut message)?),
                2 => {
                    let length = usize::try_from(varint(&mut message)?).ok()?;
                    Value::Bytes(take(&mut message, length)?)
                }
                1 => {
                    take(&mut message, 8)?;
                    continue;
                }
                5 => {
                    take(&mut message, 4)?;
                    continue;
                }
                _ => return None,
            };
            return Some((tag >> 3, value));
        }
    })
}

/// The first field of this number; empty bytes if it is not there, which is what absence means.
pub(super) fn field(message: &[u8], number: u64) -> Value<'_> {
    fields(message).find(|(n, _)| *n == number).map_or(Value::Bytes(&[]), |(_, value)| value)
}

/// Appends a field of bytes; empty ones are left out, as the format wants it.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(number << 3 | 2);
        put_varint(out, bytes.len() as u64);
        out.extend(bytes);
    }
}

/// Appends a field that is a number.
pub(super) fn put_number(out: &mut Vec<u8>, number: u8, value: u64) {
    if value != 0 {
        out.push(number << 3);
        put_varint(out, value);
    }
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut out = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        out |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0usize, 1, 127, 128, 300, 70_000] {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, &vec![7; length]);
            put_number(&mut message, 2, length as u64);
            assert_eq!(field(&message, 1).bytes().len(), length);
            assert_eq!(field(&message, 2).number(), length as u64);
        }
        let mut big = Vec::new();
        put_number(&mut big, 3, u64::MAX);
        assert_eq!(field(&big, 3).number(), u64::MAX);
    }

    /// The example of protobuf.dev, "A Simple Message" and "More Integer Types"; a fixed64 and a fixed32 between.
    #[test]
    fn the_format_s_own_examples() {
        assert_eq!(fields(&[0x08, 0x96, 0x01]).collect::<Vec<_>>(), [(1, Value::Number(150))]);
        let mixed =
            [0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
        assert_eq!(fields(&mixed).map(|(n, v)| (n, v.text())).collect::<Vec<_>>(), [(2, "testing".to_owned())]);
    }

    #[test]
    fn what_is_malformed_ends_quietly() {
        for message in [&[0x0a, 0x05, 1][..], &[0x80], &[0x0b], &[0xff; 20], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert_eq!(fields(message).count(), 0, "{message:?}");
        }
        // Every prefix of a good message, and every byte of it changed: no panic, no loop.
        let mut good = Vec::new();
        put_bytes(&mut good, 1, b"sha256:ab");
        put_number(&mut good, 2, 5000);
        for end in 0..good.len() {
            assert!(fields(&good[..end]).count() <= 2);
            for flip in 0..=255u8 {
                let mut bad = good.clone();
                bad[end] ^= flip;
                assert!(fields(&bad).count() < 20);
            }
        }
    }
}
