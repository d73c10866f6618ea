//! Data that a server of another major version has written, and that the one that is wanted cannot read.

use crate::model::container::label;
use crate::model::observed::Observed;
use crate::model::service::{Ask, Service};
use crate::model::stack::Stack;

use super::PlanError;

/// Refuses to start a database on data of another major version. What the data itself says counts; where nobody could
/// be asked, what its volume was made for. A volume that says neither is none of our business.
pub fn readable(stack: &Stack, observed: &Observed) -> Result<(), PlanError> {
    let wrong: Vec<Foreign> = stack.services.values().filter_map(|service| foreign(service, stack, observed)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(PlanError::ForeignData(wrong)) }
}

fn foreign(service: &Service, stack: &Stack, observed: &Observed) -> Option<Foreign> {
    let wanted = service.data_version?;
    let mount = service.volumes.iter().find(|mount| !mount.shared)?;
    let volume = stack.volume_name(&mount.volume);
    let there = observed.volumes.iter().find(|v| v.name == volume)?;
    let written = match observed.written_by.get(&service.name) {
        Some(written) => *written,
        None => there.labels.get(label::DATA_VERSION).and_then(|text| text.parse().ok()),
    }?;
    let (user, database) = match service.health.as_ref().map(|h| &h.ask) {
        Some(Ask::Postgres { user, database }) => (user.clone(), database.clone()),
        _ => ("postgres".to_owned(), "postgres".to_owned()),
    };
    let (line, service) = (service.line, service.name.to_string());
    (written != wanted).then_some(Foreign { service, line, volume, written, wanted, user, database })
}

/// A database and the data it cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Service.
    pub service: String,
    /// Line of stack.toml that declares it, from 1.
    pub line: u32,
    /// Volume with the data.
    pub volume: String,
    /// Major version that wrote it.
    pub written: u32,
    /// Major version that is wanted.
    pub wanted: u32,
    /// Role that owns the database.
    pub user: String,
    /// The database.
    pub database: String,
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { service, line, volume, written, wanted, .. } = self;
        write!(
            f,
            "`{service}` (line {line}) is PostgreSQL {wanted} now, and the data in `{volume}` is of PostgreSQL {written}, which {wanted} cannot read"
        )
    }
}

impl Foreign {
    /// The way out, in words.
    pub fn way_out(&self) -> String {
        let Self { service, written, wanted, user, database, .. } = self;
        format!(
            "go back to `postgres:{written}`; or take the data over: save it while {written} runs (`stackctl exec -T {service} pg_dump -U {user} {database} > {database}.sql`), add a service with a name, and so a volume, of its own (`[services.{service}{wanted}]`, with `username = \"{user}\"` and `database = \"{database}\"`), read it in there before anybody writes (`stackctl exec -T {service}{wanted} psql -U {user} {database} < {database}.sql`), and refer to that one"
        )
    }
}
