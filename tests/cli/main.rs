//! The binary as a user meets it: exit code, stdout and stderr, to the letter. `UPDATE_SNAPSHOTS=1` rewrites what is
//! expected, `UPDATE_DOCS=1` the documents that are made from the code.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]
#![expect(unreachable_pub, reason = "a test binary has no public interface")]

mod bad_files;
mod complete;
mod docs;
mod explain;
mod fuzz;
mod harness;
mod identity;
mod init;
mod lock;
mod outside;
mod readme;
mod reports;
mod schema;
mod secrets;
mod stacks;
mod usage;
mod wrong;
