//! SCRAM-SHA-256 (RFC 5802, RFC 7677), as PostgreSQL keeps and asks for passwords.

use ring::{digest, hmac, pbkdf2};

/// As often as PostgreSQL itself hashes (`scram_iterations`).
const ITERATIONS: u32 = 4096;

/// What PostgreSQL keeps of a password (PostgreSQL manual, 53.8): who sees it cannot log in with it. The password has
/// to be ASCII, of which `SASLprep` changes nothing.
pub fn verifier(password: &str, salt: &[u8; 16]) -> String {
    let salted = salted(password, salt, ITERATIONS);
    let stored = digest::digest(&digest::SHA256, &sign(&salted, b"Client Key"));
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        encoded(salt),
        encoded(stored.as_ref()),
        encoded(&sign(&salted, b"Server Key"))
    )
}

/// A log-in under way: what the client says first, and what it answers.
#[derive(Debug)]
pub struct Client {
    bare: String,
}

impl Client {
    /// With a text that is used once, of printable ASCII without commas.
    pub fn new(nonce: &str) -> Self {
        Self { bare: format!("n=,r={nonce}") }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The second message, to what the server said first; `None` if that is no answer to ours.
    pub fn last(&self, server: &str, password: &str) -> Option<String> {
        let field = |name: &str| server.split(',').find_map(|f| f.strip_prefix(name));
        let (nonce, salt) = (field("r=")?, crate::base::base64::decoded(field("s=")?)?);
        let ours = self.bare.strip_prefix("n=,r=")?;
        let iterations: u32 = field("i=")?.parse().ok().filter(|n| (1..=1_000_000).contains(n))?;
        if !nonce.starts_with(ours) || nonce.len() == ours.len() {
            return None;
        }
        let salted = salted(password, &salt, iterations);
        let key = sign(&salted, b"Client Key");
        let without = format!("c=biws,r={nonce}");
        let all = format!("{},{server},{without}", self.bare);
        let signature = sign(digest::digest(&digest::SHA256, &key).as_ref(), all.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        Some(format!("{without},p={}", encoded(&proof)))
    }
}

fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut out = [0; 32];
    let iterations = std::num::NonZeroU32::new(iterations).unwrap_or(std::num::NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut out);
    out
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// Standard alphabet, with padding (RFC 4648 §4).
fn encoded(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |acc, b| acc << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sign = char::from(ALPHABET[(group >> (18 - 6 * i)) as usize & 63]);
            out.push(if i <= chunk.len() { sign } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3, but for the user's name, which PostgreSQL does not look at.
    #[test]
    fn the_published_example() {
        let client = Client { bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned() };
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        // `last` looks for our nonce behind the empty name.
        let own = Client::new("rOprNGfwEbeRWgbNEkqO");
        assert_eq!(own.first(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        assert!(own.last(server, "pencil").is_some());
        let salt = crate::base::base64::decoded("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap_or_default();
        let key = sign(&salted("pencil", &salt, 4096), b"Client Key");
        let without = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let all = format!("{},{server},{without}", client.bare);
        let signature = sign(digest::digest(&digest::SHA256, &key).as_ref(), all.as_bytes());
        let proof: Vec<u8> = key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(encoded(&proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    }

    #[test]
    fn another_servers_answer_is_none() {
        let client = Client::new("abc");
        for wrong in ["r=abc,s=QQ==,i=4096", "r=xyzz,s=QQ==,i=4096", "r=abcd,s=QQ==,i=0", "e=other-error", ""] {
            assert_eq!(client.last(wrong, "pw"), None, "{wrong}");
        }
    }
}
