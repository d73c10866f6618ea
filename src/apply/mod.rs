//! L4: does what a plan says. All decisions were made before.

pub mod artifacts;
mod drain;
pub mod error;
pub mod event;
pub mod executor;
pub mod explain;
pub mod inside;
pub mod prepare;
mod ready;
mod secrets;
pub mod steps;
pub mod up;

pub use error::{ApplyError, Failure};
pub use prepare::{Prepared, Wanted, prepare};
pub use up::{Deployed, up};
