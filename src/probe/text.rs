//! What was observed, made safe to show.

/// Longest text of a foreign server that goes into a finding, in characters.
const MAX: usize = 200;

/// The text without what could steer a terminal or fool a reader: control characters (C0, C1, DEL) and the invisible
/// Unicode ones that reorder or hide text. Bytes that are not UTF-8 become `�`; the rest is cut at 200 characters.
pub(super) fn clean(bytes: impl AsRef<[u8]>) -> String {
    let text = String::from_utf8_lossy(bytes.as_ref());
    let mut shown = text.chars().filter(|c| !c.is_control() && !invisible(*c));
    let mut out: String = shown.by_ref().take(MAX).collect();
    if shown.next().is_some() {
        out.push('…');
    }
    out
}

/// Zero-width, direction and line/paragraph characters.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Standard base64 with padding (RFC 4648 §4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
            out.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Random bytes from the system; zeroes where it has none, which only makes a probe's path predictable.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    bytes
}

/// A path segment nobody else asks for.
pub(super) fn nonce() -> String {
    format!("stackctl-{}", crate::base::hash::hex(&random::<6>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_raw_gets_through() {
        assert_eq!(clean("a\x1b[31mb\r\n\u{9b}2J\u{202e}c"), "a[31mb2Jc");
        assert_eq!(clean([b'x', 0xff, b'y']), "x\u{fffd}y");
        assert_eq!(clean("x".repeat(500)).chars().count(), MAX + 1);
    }

    #[test]
    fn base64_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
