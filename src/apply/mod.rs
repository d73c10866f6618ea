//! L4: does what a plan says. All decisions were made before.

pub mod event;
