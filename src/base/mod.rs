//! L0: words every other layer speaks. Imports nothing from the crate.

pub mod base64;
pub mod calendar;
pub mod date;
pub mod elf;
pub mod env;
pub mod fix;
pub mod hash;
pub mod name;
pub mod net;
pub mod problem;
pub mod scram;
pub mod secret;
pub mod suggest;
pub mod units;
