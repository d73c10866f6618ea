//! L3: everything that talks to the container engine. Each call does one thing and decides nothing; what to do is
//! the plan's business. Nothing is kept on this side: the engine's labels, its state volume and its lock are the truth.

mod address;
pub mod assets;
pub mod build;
mod building;
mod buildkit;
pub mod capability;
pub mod composed;
pub mod connect;
pub mod container;
mod context;
mod disk;
mod dockerfile;
pub mod error;
pub mod events;
mod fields;
pub mod forward;
mod helper;
mod hold;
pub mod holder;
pub mod image;
pub mod inspect;
mod kept;
pub mod lock;
pub mod logs;
pub mod network;
pub mod observe;
mod prune;
mod published;
pub mod pull;
mod raw;
mod registry;
mod relay;
mod replace;
pub mod send;
pub mod session;
mod spec;
mod ssh;
pub mod state;
pub mod stats;
mod tarball;
mod transport;
pub mod volume;

pub use connect::Engine;
pub use error::{EngineError, ErrorKind};
pub use lock::LockError;
