//! What is kept open between this host and containers as long as an engine is used.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::relay::Relay;

/// A rung of the ladder: how containers are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// Their addresses are this host's own.
    Direct,
    /// Through the login behind which the engine is.
    Ssh,
    /// Through a helper container in the network of the engine's host.
    Relay,
}

impl Rung {
    /// In words, behind "asked".
    pub fn words(self) -> &'static str {
        match self {
            Self::Direct => "directly",
            Self::Ssh => "through ssh",
            Self::Relay => "through a helper container",
        }
    }
}

/// What is kept open as long as the engine is used.
#[derive(Debug, Clone, Default)]
pub(super) struct Forwards(pub(super) Arc<Mutex<Kept>>);

/// Ways that were found, and what they hold open.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) forwards: HashMap<SocketAddrV4, Forward>,
    /// The helper, once one was needed.
    pub(super) relay: Option<Arc<Relay>>,
    /// Whether the host forwards; `None` until it was tried.
    pub(super) ssh_forwards: Option<bool>,
}

/// A port of this host that leads to a container, until dropped.
#[derive(Debug)]
pub struct Forward {
    pub(super) address: SocketAddrV4,
    pub(super) task: JoinHandle<()>,
}

impl Forward {
    /// Where it listens.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}
