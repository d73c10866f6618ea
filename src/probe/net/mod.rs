//! Connections, and one HTTP/1.1 exchange on each.

pub(super) mod client;
pub(super) mod dns;
pub(super) mod error;
pub(super) mod h2;
pub(super) mod http;
pub(super) mod wire;
