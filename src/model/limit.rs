//! Limits per client.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::units::{Quota, Rate};

/// A limit per client, as declared: routes that inherit one share it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Line of stack.toml, from 1.
    pub line: u32,
    /// Where it stands: the path of a route, or `proxy`. Lines move, this does not.
    pub declared: String,
    /// What is admitted.
    pub allows: Allows,
    /// Header that tells clients apart; `None`: their address.
    pub key: Option<String>,
    /// Who refuses what is too much.
    pub by: Enforcer,
}

/// What a limit admits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allows {
    /// A rate with a burst.
    Bucket(Bucket),
    /// So many in any window.
    Quota(Quota),
}

/// A leaky bucket as Nginx's `limit_req` implements it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Sustained rate.
    pub rate: Rate,
    /// Requests above the rate that are still admitted.
    pub burst: u32,
    /// How many of the burst are admitted without waiting; `None`: all of them (`nodelay`).
    pub delay: Option<u32>,
}

/// Who enforces a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcer {
    /// Nginx.
    Proxy,
    /// The service itself.
    App,
}

impl Limit {
    /// The bucket, of a rate.
    pub fn bucket(&self) -> Option<&Bucket> {
        match &self.allows {
            Allows::Bucket(bucket) => Some(bucket),
            Allows::Quota(_) => None,
        }
    }

    /// The quota, if it is one.
    pub fn quota(&self) -> Option<Quota> {
        match &self.allows {
            Allows::Bucket(_) => None,
            Allows::Quota(quota) => Some(*quota),
        }
    }

    /// Whether Nginx counts in JavaScript for it.
    pub fn needs_njs(&self) -> bool {
        self.by == Enforcer::Proxy && self.quota().is_some()
    }
}

impl fmt::Display for Limit {
    /// `10/s, burst 20` or `5/hour`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.allows {
            Allows::Bucket(bucket) if bucket.burst > 0 => write!(f, "{}, burst {}", bucket.rate, bucket.burst),
            Allows::Bucket(bucket) => bucket.rate.fmt(f),
            Allows::Quota(quota) => quota.fmt(f),
        }
    }
}
