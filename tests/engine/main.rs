//! The engine layer against a fake engine with every fault, and against the real one; the whole program against an
//! engine in memory that fails at every call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where and stop"
)]

mod builders;
mod causes;
mod fake;
mod faults;
mod model;
mod real;
mod run;
mod support;
mod sweep;
