//! Rendered files, judged by golden text and by the programs that read them.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

mod admission;
mod alertmanager;
mod banks;
mod breakout;
mod certificate;
mod client;
mod docker;
mod door;
mod files;
mod front;
mod generated;
mod golden;
mod host;
mod judges;
mod native;
mod observatory;
mod passing;
#[path = "../probe/support/nginx.rs"]
mod private;
mod quota;
mod readers;
mod rules;
mod same;
mod sample;
mod service;
mod six;
