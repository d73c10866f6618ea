//! stackctl on a real engine, with real Nginx, PostgreSQL, Redis and the sample app: what the README promises.
//!
//! Every test has a stack of its own and takes it away again. They run side by side, but for those that load the
//! machine and measure whether requests survive (`support::alone`). `SOAK=1` runs the long forms.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures are printed for the reader of a soak")]

mod acme;
mod alerts;
mod assets;
mod beside;
mod book;
mod commands;
mod compose;
mod database_tls;
mod diagnosis;
mod disk;
mod drift;
mod everyday;
mod failing;
mod faults;
mod grafana;
mod healthy;
mod hooks;
mod init;
mod interrupt;
mod kill;
mod kinds;
mod launcher;
mod leak;
mod notify;
mod places;
mod ports;
mod pruned;
mod reboot;
mod registry;
mod release;
mod remote;
mod restart;
mod rollback;
mod rotate;
mod second;
mod services;
mod support;
