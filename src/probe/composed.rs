//! What somebody runs with Docker Compose, as a stack: its services as the engine has them, and nothing promised that a
//! compose file does not say.

use crate::base::name::{ProjectName, ServiceName};
use crate::base::units::Span;
use crate::model::inspected::Inspected;
use crate::model::service::{Ask, Health, Image, Preset, Service};
use crate::model::stack::Stack;

use super::site::bare;

/// A service as a glance into a compose file shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glanced {
    /// Its name.
    pub name: String,
    /// Line of the file, from 1.
    pub line: u32,
    /// Its image, unless it is built.
    pub image: Option<String>,
    /// It is only started when one of its profiles is asked for, or ends by itself.
    pub optional: bool,
}

/// Databases that are asked whether they let strangers in, by the end of their image's name.
const DATABASES: [(&str, Preset, u16); 4] = [
    ("postgres", Preset::Postgres, 5432),
    ("postgis", Preset::Postgres, 5432),
    ("redis", Preset::Redis, 6379),
    ("valkey", Preset::Redis, 6379),
];

/// The stack that a compose project is judged as. Services of the file come with their line; those that only the engine
/// knows of stand at line 1. A name that no service of ours could have is left out.
pub fn composed(project: ProjectName, file: &[Glanced], seen: &[Inspected]) -> Stack {
    let mut stack = bare(project);
    let of = |name: &str| -> Vec<&Inspected> { seen.iter().filter(|c| c.service == name && c.number > 0).collect() };
    let only_there = seen.iter().filter(|c| c.number > 0).map(|c| c.service.clone());
    let mut all: Vec<Glanced> = file.to_vec();
    for name in only_there {
        if !all.iter().any(|service| service.name == name) {
            all.push(Glanced { name, line: 1, ..Glanced::default() });
        }
    }
    for Glanced { name, line, image, optional } in all {
        let Some(name) = ServiceName::parse(&name) else { continue };
        let own = of(name.as_str());
        let image = image.or_else(|| own.first().map(|c| c.image.clone())).unwrap_or_default();
        let mut service = Service::new(name.clone(), line, Image::Pull(image.clone()));
        // One that ended is missing, unless ending is what it is for: it has a profile, or nobody starts it again.
        let stays = |c: &&&Inspected| c.running || !matches!(c.restart.as_str(), "" | "no");
        let there = u32::try_from(own.iter().filter(stays).count()).unwrap_or(u32::MAX);
        service.replicas = if optional || !own.is_empty() { there } else { 1 };
        let short = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
        if let Some((_, preset, port)) = DATABASES.iter().find(|(name, ..)| *name == short) {
            service.preset = Some(*preset);
            service.port = Some(*port);
            // Whether the role is there does not matter: how a stranger is received is the question.
            let ask = match preset {
                Preset::Redis => Ask::Redis,
                _ => Ask::Postgres { user: "postgres".to_owned(), database: "postgres".to_owned() },
            };
            service.health = Some(Health {
                ask,
                body: None,
                interval: Span::seconds(5),
                timeout: Span::seconds(3),
                retries: 3,
                start_period: Span::seconds(60),
                line,
            });
        }
        stack.services.insert(name, service);
    }
    stack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_those_of_the_file_and_of_the_engine() {
        let container = |service: &str, running, restart: &str, image: &str| Inspected {
            service: service.to_owned(),
            number: 1,
            running,
            restart: restart.to_owned(),
            image: image.to_owned(),
            ..Inspected::default()
        };
        let seen = [
            container("db", true, "no", "docker.io/library/postgres:15"),
            container("web", false, "always", "shop-web"),
            container("migrate", false, "no", "shop-web"),
            container("older", true, "no", "redis:7-alpine"),
        ];
        let glanced =
            |name: &str, line, optional| Glanced { name: name.to_owned(), line, optional, ..Glanced::default() };
        let file = [
            glanced("db", 3, false),
            glanced("web", 9, false),
            glanced("migrate", 12, false),
            glanced("gone", 14, false),
            glanced("tool", 16, true),
            glanced("A b", 18, false),
        ];
        let Some(project) = ProjectName::parse("shop") else { unreachable!() };
        let stack = composed(project, &file, &seen);
        let of = |name: &str| stack.services.values().find(|s| s.name.as_str() == name);
        let of = |name: &&str| of(name).map(|s| (s.line, s.replicas, s.preset));
        let found: Vec<_> = ["db", "web", "migrate", "gone", "tool", "older"].iter().map(of).collect();
        assert_eq!(
            found,
            [
                Some((3, 1, Some(Preset::Postgres))),
                Some((9, 1, None)),
                Some((12, 0, None)),
                Some((14, 1, None)),
                Some((16, 0, None)),
                Some((1, 1, Some(Preset::Redis)))
            ]
        );
        assert_eq!(stack.services.len(), 6, "a name that no service of ours could have");
    }
}
