//! Turns a stack into the files of the programs that run it. Pure: same input, same bytes.
//!
//! Every format has one escape function ([`escape`]) that writes the whole token, quotes included; templates print
//! values and never quote them. A value that a format cannot carry is refused, never bent.

use thiserror::Error;

pub mod alertmanager;
pub mod compose;
mod engine;
pub mod escape;
pub mod native;
pub mod nginx;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod systemd;

pub use alertmanager::alertmanager;
pub use compose::compose;
pub use native::{NativeInput, native};
pub use nginx::{Banks, CHALLENGES, LIVE, MAINTENANCE, Place, ProxyInput, Upstream, live_flag, nginx};
pub use postgres::postgres;
pub use prometheus::{Found, ScrapeTarget, prometheus, rules_of};
pub use redis::redis;
pub use systemd::systemd;

/// Why a file cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    /// A value that the format has no way to write.
    #[error("{format} cannot hold {value:?}: {why}")]
    Value {
        /// The format.
        format: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A response header that Nginx or HTTP reserves, or one that is there twice.
    #[error("the response header {name:?} cannot be set: {why}")]
    Header {
        /// Its name as given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// HTTPS is asked for, and there is no certificate.
    #[error("HTTPS needs a certificate and a key, and none were given")]
    Certificate,
    /// A template is broken: ours, or one that replaces it.
    #[error("template: {0}")]
    Template(String),
}
