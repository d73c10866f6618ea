//! The answers, asked or recognised, and the file they become.

use std::fmt::Write as _;

use crate::base::name::{DomainName, ProjectName, ServiceName};
use crate::cli::args::Users;
use crate::config::print::literal;

use super::look::Found;
use super::size::{self, Role};

/// The answers.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) port: String,
    pub(super) health: String,
    pub(super) domain: String,
    pub(super) users: Users,
    /// The rest, as it was recognised.
    pub(super) found: Found,
}

/// Where the image comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Folder with a Dockerfile.
    Build(String),
    /// Image reference.
    Image(String),
}

impl Draft {
    /// What was recognised, taken at its word.
    pub(super) fn of(found: Found, folder: &str, users: Users) -> Self {
        Self {
            name: fit_name(folder),
            source: match (&found.build, &found.image) {
                (None, Some(image)) => Source::Image(image.clone()),
                (build, _) => Source::Build(build.clone().unwrap_or_else(|| ".".to_owned())),
            },
            port: found.port.unwrap_or(8000).to_string(),
            health: found.health.clone().unwrap_or_else(|| "/".to_owned()),
            domain: "localhost".to_owned(),
            users,
            found,
        }
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let mut out = format!(
            "# `stackctl check` says what is wrong with this file, `stackctl plan` what it\n\
             # would do, `stackctl up` does it.\n\n\
             name = {}\n\n[services.app]\n",
            literal(&self.name)
        );
        let _ = match &self.source {
            Source::Build(folder) => writeln!(out, "# A folder with a Dockerfile.\nbuild       = {}", literal(folder)),
            Source::Image(image) => writeln!(out, "image       = {}", literal(image)),
        };
        if let Some(command) = &self.found.command {
            let _ = writeln!(out, "command     = {}", list(command));
        }
        let _ = write!(
            out,
            "# Where it listens; never published itself.\nport        = {}\n\
             # A path that answers 2xx or 3xx when it is ready.\nhealthcheck = {}\n",
            self.port,
            literal(&self.health)
        );
        if let Some(job) = &self.found.pre_deploy {
            let _ = writeln!(out, "# Once per release, before it gets traffic.\npre_deploy  = {}", list(job));
        }
        self.size(&mut out, Role::Web, 11);
        self.environment(&mut out);
        self.others(&mut out);
        let _ = write!(
            out,
            "\n[proxy]\n# All others redirect to the first.\ndomains = [{}]\n\
             # For trials; for real {{ acme = \"you@example.com\" }}.\ntls     = \"self-signed\"\n\
             # limit = {{ rate = \"20/s\", burst = 40 }} # per client\n\n[routes]\n\"/\" = {}\n",
            literal(&self.domain),
            if self.found.websocket { "{ service = \"app\", websocket = true, timeout = \"1h\" }" } else { "\"app\"" }
        );
        out
    }

    fn size(&self, out: &mut String, role: Role, width: usize) {
        let Some(size) = size::of(role, self.users) else { return };
        if let Some(replicas) = size.replicas.filter(|n| *n > 1 || role == Role::Web) {
            let _ = writeln!(out, "{:<width$} = {replicas}", "replicas");
        }
        let _ = writeln!(out, "{:<width$} = {}\n{:<width$} = \"{}\"", "cpus", size.cpus, "memory", size.memory);
    }

    fn environment(&self, out: &mut String) {
        let found = &self.found;
        let (postgres, redis) = (found.postgres.is_some(), found.redis.is_some());
        if !postgres && !redis {
            return;
        }
        *out += "\n[services.app.environment]\n";
        // A program that was recognised and reads no files would not find its database.
        let file = if found.reads_files || found.reasons.is_empty() {
            *out += "# Names of files that hold the address, password included.\n";
            ("_FILE", ".file")
        } else {
            *out += "# Better out of the environment, if the program reads files:\n\
                     # DATABASE_URL_FILE = \"${postgres.url.file}\"\n";
            ("", "")
        };
        for (wanted, name, service) in [(postgres, "DATABASE_URL", "postgres"), (redis, "REDIS_URL", "redis")] {
            if wanted {
                let _ = writeln!(out, "{name}{} = \"${{{service}.url{}}}\"", file.0, file.1);
            }
        }
    }

    fn others(&self, out: &mut String) {
        for (name, command) in &self.found.workers {
            if ServiceName::parse(name).is_none()
                || ["app", "proxy", "stackctl", "postgres", "redis"].contains(&name.as_str())
            {
                continue;
            }
            let _ = write!(
                out,
                "\n[services.{name}]\n# Same image and environment.\nlike    = \"app\"\ncommand = {}\n",
                list(command)
            );
            self.size(out, Role::Worker, 7);
        }
        if let Some(tag) = &self.found.postgres {
            let _ = write!(
                out,
                "\n[services.postgres]\n# User, database, password, volume and tuning come with it.\npreset = {}\n",
                literal(&format!("postgres:{tag}"))
            );
            self.size(out, Role::Database, 6);
        }
        if let Some(tag) = &self.found.redis {
            let preset = literal(&format!("redis:{tag}"));
            let _ = write!(out, "\n[services.redis]\n# maxmemory and its policy follow.\npreset = {preset}\n");
            self.size(out, Role::Cache, 6);
        }
    }
}

fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| literal(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A name that is allowed, made of a folder's.
pub(super) fn fit_name(folder: &str) -> String {
    let text: String = folder
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' })
        .take(32)
        .collect();
    let text = text.trim_matches(['-', '_']);
    if ProjectName::parse(text).is_some() { text.to_owned() } else { "my-stack".to_owned() }
}

pub(super) fn check_name(text: &str) -> Result<(), String> {
    ProjectName::parse(text).map(|_| ()).ok_or_else(|| format!("allowed: {}", ProjectName::RULE))
}

pub(super) fn check_port(text: &str) -> Result<(), String> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(()),
        _ => Err("a number from 1 to 65535".to_owned()),
    }
}

pub(super) fn check_path(text: &str) -> Result<(), String> {
    if text.starts_with('/')
        && !text.contains("//")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b))
    {
        Ok(())
    } else {
        Err("a path such as `/` or `/health`".to_owned())
    }
}

pub(super) fn check_domain(text: &str) -> Result<(), String> {
    DomainName::parse(text).map(|_| ()).ok_or_else(|| format!("needed: {}", DomainName::RULE))
}

pub(super) fn check_image(text: &str) -> Result<(), String> {
    let sane = |b: u8| b.is_ascii_alphanumeric() || b"-._/:@".contains(&b);
    if !text.is_empty() && text.bytes().all(sane) {
        Ok(())
    } else {
        Err("an image such as `ghcr.io/you/app:1.0`".to_owned())
    }
}

pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("it cannot be empty".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpolate::Variables;

    #[test]
    fn every_answer_makes_a_valid_file() {
        let some = |wanted: bool, tag: &str| wanted.then(|| tag.to_owned());
        for (postgres, redis) in [(false, false), (true, false), (false, true), (true, true)] {
            for source in [Source::Build("a \"b\" ${X} \\".into()), Source::Image("ghcr.io/you/app:1.0".into())] {
                let draft = Draft {
                    name: "sum".into(),
                    source,
                    port: "8000".into(),
                    health: "/health".into(),
                    domain: "www.example.com".into(),
                    users: Users::Thousand,
                    found: Found {
                        postgres: some(postgres, "15"),
                        redis: some(redis, "7"),
                        workers: vec![("worker".into(), vec!["celery".into(), "a \"b\"".into()])],
                        ..Found::default()
                    },
                };
                let loaded = crate::config::load(&draft.text(), None, &Variables::new());
                assert!(loaded.problems.is_empty(), "{}\n{:?}", draft.text(), loaded.problems);
                assert!(loaded.stack.is_some());
                assert!(draft.text().lines().all(|l| l.chars().count() <= 80));
            }
        }
    }

    #[test]
    fn templates_are_valid() {
        for text in [
            include_str!("../../../../templates/init/minimal.toml"),
            include_str!("../../../../templates/init/python-web.toml"),
        ] {
            for stage in [None, Some("staging")] {
                if stage.is_some() && !text.contains("[stages.staging]") {
                    continue;
                }
                let loaded = crate::config::load(text, stage, &Variables::new());
                assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
            }
        }
    }

    #[test]
    fn a_folder_gives_its_name() {
        assert_eq!(fit_name("My App!"), "my-app");
        assert_eq!(fit_name("---"), "my-stack");
        assert_eq!(fit_name(""), "my-stack");
        assert_eq!(fit_name(&"x".repeat(40)), "x".repeat(32));
    }
}
