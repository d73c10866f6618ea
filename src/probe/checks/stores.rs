//! Where databases of the stack are asked, and for how long.

use std::net::SocketAddrV4;
use std::time::Duration;

use crate::model::service::Service;

use super::super::check::Judged;
use super::super::context::Context;
use super::health::{address, containers_of};

use Judged::{Skip, Unsure};

/// Time for one exchange with a database.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Where a service's first running container answers.
pub(super) fn socket(context: &Context<'_>, service: &Service) -> Result<SocketAddrV4, Judged> {
    let Some(observed) = context.observed else {
        return Err(Skip("not visible from here: it needs the engine".to_owned()));
    };
    if !observed.engine.local {
        return Err(Skip("not visible from here: the containers' addresses cannot be reached".to_owned()));
    }
    let container = containers_of(observed, service.name.as_str()).find(|c| c.running());
    match (container.map(address), service.port) {
        (Some(Some(address)), Some(port)) => Ok(SocketAddrV4::new(address, port)),
        (None, _) => Err(Unsure("no container of it runs".to_owned())),
        _ => Err(Unsure("it has no address".to_owned())),
    }
}
