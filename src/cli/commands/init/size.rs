//! How large services are for a number of users: rules of thumb to begin with, `stats` and alerts say more later.

use crate::base::units::ByteSize;
use crate::cli::args::Users;
use crate::config::interpolate::Variables;
use crate::config::{self, tree};
use crate::model::service::{Kind, Preset, Service};
use crate::model::stack::Stack;

/// What a service is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Answers requests.
    Web,
    /// Works behind.
    Worker,
    /// PostgreSQL.
    Database,
    /// Redis.
    Cache,
    /// Anything else keeps its size.
    Other,
}

/// A size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    /// Containers; presets run as one.
    pub(super) replicas: Option<u32>,
    /// Cores.
    pub(super) cpus: u32,
    /// Memory limit.
    pub(super) memory: &'static str,
}

/// By the table of the AI Governance guide for 1 000 and 10 000 users (back end 2 cores and 4 GB, then 4 to 8 cores and
/// 8 to 16 GB; database 2 and 4 GB, then 4 and 16 GB; Redis 2 and 4 GB), split into replicas that can be replaced one
/// by one; for development, the least that starts.
pub(super) fn of(role: Role, users: Users) -> Option<Size> {
    let size = |replicas, cpus, memory| Some(Size { replicas, cpus, memory });
    match (role, users) {
        (Role::Web | Role::Worker, Users::Development) => size(Some(1), 1, "512M"),
        (Role::Web, Users::Thousand) => size(Some(2), 1, "2G"),
        (Role::Web, Users::TenThousand) => size(Some(3), 2, "4G"),
        (Role::Worker, Users::Thousand) => size(Some(1), 1, "2G"),
        (Role::Worker, Users::TenThousand) => size(Some(2), 2, "4G"),
        (Role::Database, Users::Development) => size(None, 1, "512M"),
        (Role::Database, Users::Thousand) | (Role::Cache, Users::TenThousand) => size(None, 2, "4G"),
        (Role::Database, Users::TenThousand) => size(None, 4, "16G"),
        (Role::Cache, Users::Development) => size(None, 1, "256M"),
        (Role::Cache, Users::Thousand) => size(None, 1, "1G"),
        (Role::Other, _) => None,
    }
}

/// A whole file in another size: values that are there are replaced, others added below the service's name.
pub(super) fn apply(text: &str, users: Users) -> String {
    let Some(stack) = config::load(text, None, &Variables::new()).stack else { return text.to_owned() };
    let root = tree::parse(text, &mut crate::base::problem::Problems::default());
    let Some(services) = root.get("services") else { return text.to_owned() };
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for service in stack.services.values() {
        let Some(entry) = services.node.get(service.name.as_str()) else { continue };
        let Some(size) = of(role(service, &stack), users) else { continue };
        let values = [
            ("replicas", size.replicas.filter(|_| !only_one(service)).map(|n| n.to_string())),
            ("cpus", Some(size.cpus.to_string())),
            ("memory", Some(format!("\"{}\"", size.memory))),
        ];
        // What is reserved is a part of what is allowed.
        let reserved = |key: &str| entry.node.get("reserve").and_then(|r| r.node.get(key)).map(|e| e.node.span.clone());
        if let Some(place) = reserved("memory") {
            let half = size.memory.parse::<ByteSize>().map_or(ByteSize(256 << 20), |m| ByteSize(m.0 / 2));
            edits.push((place, format!("\"{half}\"")));
        }
        if let Some(place) = reserved("cpus") {
            edits.push((place, (f64::from(size.cpus) / 2.0).to_string()));
        }
        for (key, value) in values {
            let Some(value) = value else { continue };
            if let Some(written) = entry.node.get(key) {
                edits.push((written.node.span.clone(), value));
            } else {
                let end = text[entry.key_span.start..].find('\n').map_or(text.len(), |n| entry.key_span.start + n);
                edits.push((end..end, format!("\n{key} = {value}")));
            }
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    edits.into_iter().fold(text.to_owned(), |mut out, (range, value)| {
        out.replace_range(range, &value);
        out
    })
}

fn role(service: &Service, stack: &Stack) -> Role {
    let routed = stack.proxy.iter().flat_map(|p| &p.routes).any(|r| r.leads_to(&service.name));
    match service.preset {
        Some(Preset::Postgres) => Role::Database,
        Some(Preset::Redis) => Role::Cache,
        // It has the machine for a while, and is gone.
        None if service.kind == Kind::Job => Role::Other,
        None if routed => Role::Web,
        None if service.port.is_none() => Role::Worker,
        _ => Role::Other,
    }
}

/// Schedulers would do everything twice, and a port of the host can be had once.
fn only_one(service: &Service) -> bool {
    !service.publish.is_empty()
        || service.command.iter().flatten().any(|word| word == "beat" || word == "scheduler" || word == "clock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_once_stays_so() {
        let text = "name = \"x\"\n[services.app]\nimage = \"a:1\"\nport = 80\npublish = [\"127.0.0.1:9000:80\"]\n\
            [services.load]\nimage = \"a:1\"\nkind = \"job\"\ncommand = [\"load\"]\nmemory = \"64M\"\n";
        for users in [Users::Development, Users::Thousand, Users::TenThousand] {
            let sized = apply(&format!("{text}[routes]\n\"/\" = \"app\"\n"), users);
            let loaded = config::load(&sized, None, &Variables::new());
            assert!(loaded.stack.is_some(), "{sized}\n{:?}", loaded.problems);
            assert!(!sized.contains("replicas") && sized.contains("memory = \"64M\""), "{sized}");
        }
    }

    #[test]
    fn a_file_is_resized() {
        let text = "name = \"x\"\n[services.app]\nimage = \"a:1\"\nport = 80\nmemory = \"1G\" # much\n\
            [services.beat]\nlike = \"app\"\ncommand = [\"celery\", \"beat\"]\n[services.db]\npreset = \"postgres\"\n";
        let sized = apply(text, Users::TenThousand);
        let stack = config::load(&sized, None, &Variables::new()).stack;
        let Some(stack) = stack else { unreachable!("{sized}") };
        let app = &stack.services["app"];
        assert_eq!((app.replicas, app.cpus, app.memory.map(|m| m.0 >> 30)), (3, Some(2.0), Some(4)));
        assert_eq!((stack.services["beat"].replicas, stack.services["db"].cpus), (1, Some(4.0)));
        assert!(sized.contains("memory = \"4G\" # much"), "{sized}");
    }
}
