//! Limits: one bucket, or one count, per client for all routes under the same declaration.

use serde::Serialize;

use crate::base::hash;
use crate::base::units::{Quota, RateUnit};
use crate::model::limit::{Allows, Bucket, Enforcer, Limit};
use crate::model::proxy::{Connections, Proxy};
use crate::render::RenderError;

/// Bytes that one admitted request takes in a dictionary: node, key and slab overhead, rounded up.
const BYTES_PER_REQUEST: u64 = 200;
/// Clients that may use their quota up before the oldest requests are forgotten.
const CLIENTS: u64 = 1000;
/// Bounds of a dictionary.
const TABLE: (u64, u64) = (1 << 20, 64 << 20);

/// What stands in the `http` block.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Limits {
    buckets: Vec<BucketZone>,
    quotas: Vec<Table>,
    client_keys: Vec<Key>,
    /// `zone=…` of `limit_conn_zone`.
    connections: Vec<String>,
}

/// A `limit_req_zone`.
#[derive(Debug, Clone, Serialize)]
struct BucketZone {
    key: String,
    zone: String,
    rate: String,
}

/// A dictionary that workers share.
#[derive(Debug, Clone, Serialize)]
struct Table {
    zone: String,
    timeout: String,
}

/// A variable with the key of clients that a header tells apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Key {
    variable: String,
    header: String,
}

/// What stands in a location.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Limiting {
    /// `limit_req`
    Bucket {
        /// `zone=…`
        zone: String,
        /// `burst=…`
        burst: Option<String>,
        /// `nodelay` or `delay=…`
        mode: Option<String>,
        /// Seconds until one more is admitted.
        wait: u64,
    },
    /// Dictionary, number of requests, milliseconds, variable with the key: what `quota.js` reads.
    Quota {
        /// The four, with blanks between.
        of: String,
    },
}

impl Limits {
    /// Of all routes, in the order of the file. A header that cannot be part of a variable's name is refused.
    pub(super) fn of(proxy: &Proxy) -> Result<Self, RenderError> {
        let mut limits: Vec<&Limit> = Vec::new();
        for limit in proxy.routes.iter().filter_map(|route| route.limit.as_ref()) {
            if limit.by == Enforcer::Proxy && !limits.contains(&limit) {
                limits.push(limit);
            }
        }
        limits.sort_by_key(|limit| limit.line);
        let mut out = Self::default();
        for limit in limits {
            if let Some(header) = &limit.key {
                if header.is_empty() || !header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                    let why = "the header that tells clients apart is letters, digits and `-`";
                    return Err(RenderError::Value { format: "nginx", value: header.clone(), why });
                }
                let key = Key { variable: key(limit), header: variable_of(header) };
                if !out.client_keys.contains(&key) {
                    out.client_keys.push(key);
                }
            }
            match &limit.allows {
                Allows::Bucket(bucket) => out.buckets.push(BucketZone {
                    key: key(limit),
                    zone: format!("zone={}:10m", name(limit)),
                    rate: format!("rate={}r/{}", bucket.rate.requests, unit(bucket)),
                }),
                Allows::Quota(quota) => out.quotas.push(Table {
                    zone: format!("zone={}:{}M", name(limit), size(*quota) >> 20),
                    timeout: format!("timeout={}", super::time(quota.window)),
                }),
            }
        }
        Ok(out)
    }

    /// With the zones in which requests under way are counted.
    pub(super) fn with_connections(mut self, proxy: &Proxy) -> Self {
        for connections in proxy.routes.iter().filter_map(|route| route.connections.as_ref()) {
            let zone = format!("zone={}:10m", connection_zone(connections));
            if !self.connections.contains(&zone) {
                self.connections.push(zone);
            }
        }
        self.connections.sort();
        self
    }

    /// Whether anything is counted in JavaScript.
    pub(super) fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
    }
}

/// What a location says to be limited, if Nginx is to limit it.
pub(super) fn limiting(limit: &Limit) -> Option<Limiting> {
    if limit.by == Enforcer::App {
        return None;
    }
    Some(match &limit.allows {
        Allows::Bucket(bucket) => Limiting::Bucket {
            zone: format!("zone={}", name(limit)),
            burst: (bucket.burst > 0).then(|| format!("burst={}", bucket.burst)),
            mode: match bucket.delay {
                _ if bucket.burst == 0 => None,
                None => Some("nodelay".to_owned()),
                Some(0) => None,
                Some(delay) if delay >= bucket.burst => Some("nodelay".to_owned()),
                Some(delay) => Some(format!("delay={delay}")),
            },
            wait: bucket.rate.retry_after(),
        },
        Allows::Quota(quota) => Limiting::Quota {
            of: format!("{} {} {} {}", name(limit), quota.requests, quota.window.0.as_millis(), key(limit)),
        },
    })
}

/// The zone of a limit. By what is counted, not by its place among others: a reload keeps what a zone of the same name
/// holds, and refuses one that has got another key.
fn name(limit: &Limit) -> String {
    let (kind, more) = match &limit.allows {
        Allows::Bucket(_) => ("rate", String::new()),
        Allows::Quota(quota) => ("quota", quota.to_string()),
    };
    let parts = [limit.declared.as_bytes(), key(limit).as_bytes(), more.as_bytes()].map(<[u8]>::to_vec);
    let hash = hash::sha256_parts(parts.iter().map(Vec::as_slice));
    format!("{kind}_{}", hash.get(..8).unwrap_or_default())
}

/// The zone of a number of requests under way.
pub(super) fn connection_zone(connections: &Connections) -> String {
    let hash = hash::sha256(connections.declared.as_bytes());
    format!("connections_{}", hash.get(..8).unwrap_or_default())
}

/// The variable with a client's key.
fn key(limit: &Limit) -> String {
    limit
        .key
        .as_ref()
        .map_or_else(|| "stackctl_client".to_owned(), |name| format!("stackctl_key_{}", variable_of(name)))
}

/// A header's name as it stands in Nginx's variables.
fn variable_of(header: &str) -> String {
    header.to_ascii_lowercase().replace('-', "_")
}

fn unit(bucket: &Bucket) -> &'static str {
    match bucket.rate.per {
        RateUnit::Second => "s",
        RateUnit::Minute => "m",
    }
}

fn size(quota: Quota) -> u64 {
    (u64::from(quota.requests) * CLIENTS * BYTES_PER_REQUEST).clamp(TABLE.0, TABLE.1).next_multiple_of(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(declared: &str, quota: &str, key: Option<&str>) -> Limit {
        let quota: Quota = quota.parse().unwrap_or_else(|error| unreachable!("{error}"));
        let key = key.map(str::to_owned);
        Limit { line: 1, declared: declared.to_owned(), allows: Allows::Quota(quota), key, by: Enforcer::Proxy }
    }

    #[test]
    fn zones_are_named_by_what_they_count() {
        let one = limit("/login", "5/hour", None);
        assert_eq!(name(&one), name(&Limit { line: 99, ..one.clone() }), "lines move");
        for other in
            [limit("/", "5/hour", None), limit("/login", "6/hour", None), limit("/login", "5/hour", Some("X-Key"))]
        {
            assert_ne!(name(&one), name(&other), "{other}");
        }
    }

    #[test]
    fn tables_have_room_within_bounds() {
        for (quota, megabytes) in [("1/hour", 1), ("5/hour", 1), ("100/hour", 20), ("100000/day", 64)] {
            let quota = quota.parse::<Quota>().map(|q| size(q) >> 20);
            assert_eq!(quota, Ok(megabytes));
        }
    }
}
