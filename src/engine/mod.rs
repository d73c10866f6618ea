//! L3: everything that talks to the container engine. Each call does one thing and decides nothing; what to do is
//! the plan's business. Nothing is kept on this side: the engine's labels, its state volume and its lock are the truth.

pub mod build;
pub mod connect;
pub mod container;
mod context;
pub mod error;
pub mod events;
pub mod holder;
pub mod image;
pub mod inspect;
pub mod lock;
pub mod logs;
pub mod network;
pub mod observe;
pub mod pull;
mod registry;
mod spec;
pub mod state;
mod tarball;
pub mod volume;

pub use connect::Engine;
pub use error::{EngineError, ErrorKind};
pub use lock::LockError;
