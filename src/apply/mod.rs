//! L4: does what a plan says. All decisions were made before.

pub mod artifacts;
pub mod certificates;
mod drain;
mod edited;
pub mod error;
pub mod event;
pub mod executor;
pub mod explain;
mod github;
mod held;
mod hooks;
pub mod inside;
mod layers;
mod locked;
mod meter;
mod notify;
pub mod past;
pub mod prepare;
mod ready;
mod reason;
mod record;
mod reload;
mod rendered;
pub mod restart;
pub mod rotate;
pub mod secrets;
pub mod steps;
pub mod up;
mod wanted;
mod watch;

pub use error::{ApplyError, Failure};
pub use past::back_to;
pub use prepare::{Prepared, prepare};
pub use up::{Deployed, Terms, up};
pub use wanted::{Past, Wanted};
