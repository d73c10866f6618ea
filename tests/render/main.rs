//! Rendered files, judged by golden text and by the programs that read them.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

mod docker;
mod door;
mod golden;
mod sample;
mod service;
