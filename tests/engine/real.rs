//! Against the engine of this machine.

mod builds;
mod containers;
mod locks;
mod stores;
