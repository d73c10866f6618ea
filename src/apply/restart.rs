//! Restarting one replica, and waiting until it is back: the others serve meanwhile.

use std::net::SocketAddrV4;

use crate::engine::Engine;
use crate::model::observed::ObservedContainer;
use crate::model::stack::Stack;

use super::error::ApplyError;
use super::{ready, reason};

/// Restarts a container with its own signal and grace, and waits until it is ready.
pub async fn one(engine: &Engine, stack: &Stack, container: &ObservedContainer) -> Result<(), ApplyError> {
    let service = stack.services.values().find(|s| s.name.as_str() == container.service());
    let grace = service.map_or(std::time::Duration::from_secs(30), |s| s.stop_grace_period.0);
    engine.restart(&container.name, grace).await?;
    let port = service.and_then(|s| s.port);
    let address = container.addresses().into_values().next().zip(port).map(|(a, p)| SocketAddrV4::new(a, p));
    // A health check that asks at an address, of a container that has none, cannot be answered: it runs, then.
    let health = service.and_then(|s| s.health.as_ref());
    let waited =
        ready::wait(engine, &stack.project, &container.name, health, address, ready::Patience::default(), &|_| {})
            .await;
    let Err(not_ready) = waited else { return Ok(()) };
    let step = format!("restart {}", container.name);
    let mut failure = reason::explained(engine, step, container.service(), &container.name, not_ready).await;
    "replicas after it were not restarted".clone_into(&mut failure.aftermath);
    Err(ApplyError::Step(Box::new(failure)))
}
