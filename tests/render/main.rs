//! Rendered files, judged by golden text and by the programs that read them.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

mod banks;
mod breakout;
mod client;
mod docker;
mod door;
mod front;
mod golden;
mod quota;
mod readers;
mod sample;
mod service;
