//! What is to be built, and what a build may say, whoever builds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::secret::Secret;
use crate::model::service::Build;

/// How long a build step may say nothing before it counts as stuck.
pub(super) const SILENCE: Duration = Duration::from_secs(1800);

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// How.
    pub build: &'a Build,
    /// The image's name.
    pub tag: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Values of [`Build::secrets`], by their names in the Dockerfile.
    pub secrets: &'a BTreeMap<String, Secret>,
}

/// News of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildNews {
    /// A step began, or was found done in the cache: worth a line that stays.
    Step(String),
    /// A line it printed, or how far it is.
    Line(String),
}

/// Whether a value is worth hiding in what a build prints: shorter ones are in every other line.
const WORTH_HIDING: usize = 4;

/// A line of a build without the secrets that the build was given.
pub(super) fn masked(line: &str, secrets: &BTreeMap<String, Secret>) -> String {
    let mut out = line.to_owned();
    // A value of several lines is printed in as many.
    for part in secrets.values().flat_map(|s| s.expose().lines()).map(str::trim).filter(|p| p.len() >= WORTH_HIDING) {
        if out.contains(part) {
            out = out.replace(part, "[secret]");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_s_secrets_are_not_in_its_lines() {
        let secrets = BTreeMap::from([
            ("a".to_owned(), Secret::new("hunter2-hunter2\nsecond line")),
            ("b".to_owned(), Secret::new("x")),
        ]);
        assert_eq!(masked("x hunter2-hunter2!", &secrets), "x [secret]!");
        assert_eq!(masked("the second line", &secrets), "the [secret]");
    }
}
