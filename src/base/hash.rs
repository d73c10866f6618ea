//! Hashes that name content, and keyed ones that name secrets without giving them away.

use ring::{digest, hmac};

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// SHA-256 of the bytes, 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-256 over several parts; lengths go in too, so that moving a byte between parts changes the result.
pub fn sha256_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

/// Keyed fingerprint of a secret (HMAC-SHA-256, first 16 hexadecimal digits). The key stays with the stack, so a
/// label that holds a fingerprint cannot be used to try out passwords.
pub fn fingerprint(key: &[u8], value: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut text = hex(hmac::sign(&key, value).as_ref());
    text.truncate(16);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(sha256_parts([b"ab".as_slice(), b"c"]), sha256_parts([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn a_fingerprint_depends_on_the_key() {
        assert_ne!(fingerprint(b"k1", b"v"), fingerprint(b"k2", b"v"));
        assert_eq!(fingerprint(b"k1", b"v").len(), 16);
    }

    #[test]
    fn sha256_of_nothing_is_the_published_one() {
        assert!(sha256(b"").starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
    }
}
