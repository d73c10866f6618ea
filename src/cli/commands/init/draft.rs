//! The answers of the dialogue, and the file they become.

use std::fmt::Write as _;

use crate::base::name::{DomainName, ProjectName};

/// The answers.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) port: String,
    pub(super) health: String,
    pub(super) postgres: bool,
    pub(super) redis: bool,
    pub(super) domain: String,
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
    /// The file.
    pub(super) fn text(&self) -> String {
        let mut out = format!(
            "# `stackctl check` says what is wrong with this file, `stackctl plan` what it\n\
             # would do, `stackctl up` does it.\n\n\
             name = {}\n\n[services.app]\n",
            quoted(&self.name)
        );
        let _ = match &self.source {
            Source::Build(folder) => writeln!(out, "# A folder with a Dockerfile.\nbuild       = {}", quoted(folder)),
            Source::Image(image) => writeln!(out, "image       = {}", quoted(image)),
        };
        let _ = write!(
            out,
            "# Where it listens; never published itself.\nport        = {}\n\
             # A path that answers 2xx or 3xx when it is ready.\nhealthcheck = {}\n\
             # A release replaces them one after the other.\nreplicas    = 2\n",
            self.port,
            quoted(&self.health)
        );
        if self.postgres || self.redis {
            out += "\n[services.app.environment]\n\
                    # Names of files that hold the address, password included.\n";
        }
        if self.postgres {
            out += "DATABASE_URL_FILE = \"${postgres.url.file}\"\n";
        }
        if self.redis {
            out += "REDIS_URL_FILE = \"${redis.url.file}\"\n";
        }
        if self.postgres {
            out += "\n[services.postgres]\n\
                    # User, database, password, volume and tuning come with it.\n\
                    preset = \"postgres:15\"\nmemory = \"512M\"\n";
        }
        if self.redis {
            out += "\n[services.redis]\npreset = \"redis:7\"\n# maxmemory and its policy follow.\nmemory = \"256M\"\n";
        }
        let _ = write!(
            out,
            "\n[proxy]\n# All others redirect to the first.\ndomains = [{}]\n\
             # For trials; later {{ files = {{ cert = \"…\", key = \"…\" }} }}.\ntls     = \"self-signed\"\n\
             # limit = {{ rate = \"20/s\", burst = 40 }} # per client\n\n[routes]\n\"/\" = \"app\"\n",
            quoted(&self.domain)
        );
        out
    }
}

/// A TOML string; `${` would be a reference.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
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
        for (postgres, redis) in [(false, false), (true, false), (false, true), (true, true)] {
            for source in [Source::Build("a \"b\" ${X} \\".into()), Source::Image("ghcr.io/you/app:1.0".into())] {
                let draft = Draft {
                    name: "sum".into(),
                    source,
                    port: "8000".into(),
                    health: "/health".into(),
                    postgres,
                    redis,
                    domain: "www.example.com".into(),
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
