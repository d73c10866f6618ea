//! Names that reach the engine, Nginx and file systems: parsed once, safe from then on.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $rule:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// What is allowed, in words.
            pub const RULE: &'static str = $rule;

            /// The name, if it follows [`Self::RULE`].
            pub fn parse(text: &str) -> Option<Self> {
                let check: fn(&str) -> bool = $check;
                check(text).then(|| Self(text.to_owned()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no name: {}", $rule)))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn lower_word(text: &str, extra: &[u8], max: usize) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= max
        && bytes.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(b))
}

name_type! {
    /// A project: prefix of everything the stack owns on the engine. Compose's rule, and short enough that
    /// `<project>-<service>-<n>` stays a valid DNS label.
    ProjectName,
    "lower-case letters, digits, `-` and `_`, starting with a letter or digit, at most 32 characters",
    |t| lower_word(t, b"-_", 32)
}

name_type! {
    /// A service; also its DNS name on the stack's networks, hence no underscore (RFC 1123).
    ServiceName,
    "lower-case letters, digits and `-`, starting and ending with a letter or digit, at most 28 characters",
    |t| lower_word(t, b"-", 28)
}

name_type! {
    /// A secret; also a file name below `/run/secrets`.
    SecretName,
    "lower-case letters, digits, `_`, `-` and `.`, starting and ending with a letter or digit, at most 64 characters",
    |t| lower_word(t, b"_-.", 64)
}

name_type! {
    /// A named volume.
    VolumeName,
    "lower-case letters, digits, `_`, `-` and `.`, starting and ending with a letter or digit, at most 64 characters",
    |t| lower_word(t, b"_-.", 64)
}

name_type! {
    /// A host name of the front door (RFC 1123), without wildcard or port.
    DomainName,
    "a host name such as `www.example.com`",
    |t| t.len() <= 253 && t.split('.').all(|label| {
        let b = label.as_bytes();
        !b.is_empty() && b.len() <= 63 && b[0] != b'-' && b[b.len() - 1] != b'-'
            && b.iter().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-')
    })
}

name_type! {
    /// The name of an environment variable (POSIX portable names; lower case is allowed, as programs use it).
    EnvName,
    "letters, digits and `_`, not starting with a digit",
    |t| {
        let b = t.as_bytes();
        b.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_')
            && b.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names() {
        for good in ["app", "a", "sum-app", "0x"] {
            assert!(ServiceName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "App", "a_b", "-a", "a-", "a.b", "a b", "a;b", &"x".repeat(29)] {
            assert!(ServiceName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn domain_names() {
        for good in ["localhost", "example.com", "xn--bcher-kva.example"] {
            assert!(DomainName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a..b", "-a.com", "a-.com", "*.a.com", "a.com;", "A.com", "a.com:80", "a b"] {
            assert!(DomainName::parse(bad).is_none(), "{bad}");
        }
    }
}
