//! The prober against servers with known defects: each must be found, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that panics has failed, and what it prints is shown only then; nothing here is hot"
)]

mod burning;
mod engine;
mod hostile;
mod limits;
mod old;
mod quotas;
mod ready;
mod support;
mod testssl;
mod tls;
mod traffic;
mod websocket;
