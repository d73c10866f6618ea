//! A value that must not be seen.

use std::fmt;

use serde::{Serialize, Serializer};

/// A secret text. It prints and serialises as `[secret]`; [`Secret::expose`] is the only way to its value, so every
/// place that sees one can be found by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Callers write it to a file of its user or compare it; they never print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2-hunter2");
        let everywhere = format!("{secret} {secret:?} {:#?} {}", Some(&secret), serde_json::json!(secret));
        assert!(!everywhere.contains("hunter2"), "{everywhere}");
    }
}
