//! The plan, tried on an engine in memory: every order a plan allows, a kill or a failure after every step.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod back;
mod capacity;
mod causes;
mod converge;
mod data;
mod drift;
mod golden;
mod hooks;
mod jobs;
mod kill;
mod model;
mod ports;
mod seal;
mod stacks;
mod undo;
mod walk;
mod wish;
