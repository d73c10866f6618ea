//! What a given Nginx can do.

use serde::{Deserialize, Serialize};

/// Facts about the Nginx of an image. What is not known is taken for the oldest that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxFacts {
    /// Major, minor, patch.
    pub version: (u16, u16, u16),
    /// OpenSSL it runs with: major, minor.
    pub openssl: (u16, u16),
    /// njs with dictionaries that workers share (0.8.0 and later).
    pub njs: bool,
    /// Brotli's filter module.
    pub brotli: bool,
}

/// Images of Nginx's own makers: the name before the tag.
const OFFICIAL: [&str; 5] =
    ["nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx", "nginxinc/nginx-unprivileged"];

impl NginxFacts {
    /// The oldest that is supported, with nothing beside it.
    pub const OLDEST: Self = Self { version: (1, 22, 0), openssl: (3, 0), njs: false, brotli: false };

    /// From an image reference: `nginx:1.30` is 1.30.0, `nginx:1.29.3-alpine` is 1.29.3. Official images have njs,
    /// from 1.26 on one that is new enough, unless they are `-slim`.
    pub fn from_tag(image: &str) -> Self {
        let name = image.split('@').next().unwrap_or(image);
        let Some((name, tag)) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) else {
            return Self::OLDEST;
        };
        let number = tag.split('-').next().unwrap_or(tag);
        let parts: Option<Vec<u16>> = number.split('.').map(|part| part.parse().ok()).collect();
        let version = match parts.as_deref() {
            Some([major, minor]) => (*major, *minor, 0),
            Some([major, minor, patch]) => (*major, *minor, *patch),
            _ => return Self::OLDEST,
        };
        let njs = OFFICIAL.contains(&name) && version >= (1, 26, 0) && !tag.contains("slim");
        Self { version, njs, ..Self::OLDEST }
    }

    /// Whether it is that version or a later one.
    pub fn since(&self, major: u16, minor: u16, patch: u16) -> bool {
        self.version >= (major, minor, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_tags() {
        for (image, version, njs) in [
            ("nginx:1.30", (1, 30, 0), true),
            ("nginx:1.29.3-alpine", (1, 29, 3), true),
            ("nginx:1.30-alpine-slim", (1, 30, 0), false),
            ("docker.io/library/nginx:1.27.4@sha256:0123", (1, 27, 4), true),
            ("nginx:1.22", (1, 22, 0), false),
            ("ghcr.io/acme/nginx:1.30", (1, 30, 0), false),
            ("registry.example:5000/nginx", (1, 22, 0), false),
            ("nginx", (1, 22, 0), false),
            ("nginx:1", (1, 22, 0), false),
            ("nginx:stable-alpine", (1, 22, 0), false),
            ("nginx:1.99999999", (1, 22, 0), false),
        ] {
            let facts = NginxFacts::from_tag(image);
            assert_eq!((facts.version, facts.njs), (version, njs), "{image}");
        }
    }
}
