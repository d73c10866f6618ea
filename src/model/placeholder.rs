//! Values that stand for a secret until somebody puts a real one in, and that are forgotten. One list for what `check`
//! reads in files, for values that come from elsewhere, and for what `verify` finds in use.

/// Fewest characters of a value outside development, where nothing else is said. NIST SP 800-63B asks for eight of
/// the weakest password a system may accept.
pub const SHORTEST: u32 = 8;

/// Whole values, in small letters and without blanks, `-` and `_`.
const WORDS: &[&str] = &[
    "12345678",
    "123456789",
    "1234567890",
    "admin",
    "admin123",
    "administrator",
    "change",
    "changeit",
    "changeme",
    "changethis",
    "default",
    "dummy",
    "example",
    "fixme",
    "foobar",
    "grafana",
    "guest",
    "letmein",
    "minioadmin",
    "none",
    "null",
    "passw0rd",
    "password",
    "password1",
    "password123",
    "placeholder",
    "postgres",
    "qwerty",
    "redis",
    "replaceme",
    "root",
    "secret",
    "secretkey",
    "securepassword",
    "tbd",
    "test",
    "todo",
    "toor",
    "undefined",
    "user",
    "welcome",
];

/// Beginnings, written alike.
const BEGINNINGS: &[&str] = &["changeme", "changethis", "replaceme", "replacewith"];

/// What `your` is followed by where a value is asked for.
const YOURS: &[&str] = &[
    "api", "auth", "db", "jwt", "key", "long", "own", "password", "secret", "secure", "strong", "super", "token",
    "value",
];

/// Whether a value is what documentation prints in a secret's place.
pub fn is_placeholder(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    let enclosed = value.starts_with('<') && value.ends_with('>');
    let bare = value.trim_matches(|c| "<>[]{}()\"'!".contains(c)).replace(['_', ' '], "-");
    let word = bare.replace('-', "");
    let yours = word.strip_prefix("your").is_some_and(|rest| YOURS.iter().any(|next| rest.starts_with(next)));
    enclosed
        || WORDS.contains(&word.as_str())
        || BEGINNINGS.iter().any(|start| word.starts_with(start))
        || word.contains("changeme")
        || yours
        || bare.starts_with("your-")
        // `sk-your-key`
        || bare.contains("-your-")
        || bare.starts_with("insert-")
        || bare.ends_with("-here")
        || (value.len() >= 3 && value.bytes().all(|b| b"x.*".contains(&b)))
        || (value.chars().count() > 1 && value.chars().all(|c| value.starts_with(c)))
        || value == "…"
}

/// What is wrong with a value outside development, in words that do not show it.
pub fn weakness(value: &str, min_length: u32) -> Option<String> {
    if is_placeholder(value) {
        return Some("its value is a placeholder, not a secret".to_owned());
    }
    let length = value.chars().count();
    (length < min_length as usize)
        .then(|| format!("its value has {length} characters, fewer than the {min_length} it needs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_guides_and_real_values() {
        for value in [
            "CHANGE_ME",
            "Password123",
            "xxxxxxxxxxxxxxxx",
            "change-me-in-production-please",
            "change-me-please",
            "changeme",
            "replace-with-real",
            "secret",
            "sk-your-key-here",
            "your-key-here",
            "your-secret-key-here",
            "your_api_key",
            "your_api_key_here",
            "your-secure-password",
            "yourpassword",
            "<generate-with-openssl-rand-hex-32>",
            "<token>",
            "secure_password_here",
            "password",
            "admin",
            "xxxx",
            "...",
            "…",
            "postgres",
            "00000000",
        ] {
            assert!(is_placeholder(value), "{value}");
            assert!(weakness(value, 1).is_some(), "{value}");
        }
        for value in ["", "x7Gq2", "yourt", "hex", "correct horse battery", "3f9a4c", "there", "yourself-not"] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn short_values_are_weak() {
        for bad in ["a", "1234567", "x7Gq2"] {
            assert!(weakness(bad, SHORTEST).is_some(), "{bad}");
        }
        for good in ["sk-proj-48fh38fh38", "correct horse battery", "yourself-not", "https://hooks.example/T0/B1/x9"] {
            assert_eq!(weakness(good, SHORTEST), None, "{good}");
        }
        assert_eq!(
            weakness("0123456789abcdefg", 32).as_deref(),
            Some("its value has 17 characters, fewer than the 32 it needs")
        );
    }
}
