//! The engine layer against a fake engine with every fault, and against the real one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where and stop"
)]

mod fake;
mod faults;
mod real;
mod support;
