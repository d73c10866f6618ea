//! Against the engine of this machine.

mod containers;
mod locks;
mod stores;
