//! Arguments and environment become settings: the flag wins over the variable, the variable over the file, the file
//! over the default.

use std::path::PathBuf;

use crate::base::env::Env;
use crate::base::suggest::one_of;
use crate::model::stack::Stack;
use crate::ui::error::Failure;
use crate::ui::output::Manner;
use crate::ui::paint::ColourChoice;

use super::args::Global;

/// Variables that stand for global flags, with the flag each stands for.
pub const VARIABLES: &[(&str, &str)] = &[
    ("STACKCTL_FILE", "--file"),
    ("STACKCTL_STAGE", "--stage"),
    ("STACKCTL_HOST", "--host"),
    ("STACKCTL_JSON", "--json"),
    ("STACKCTL_QUIET", "--quiet"),
    ("STACKCTL_VERBOSE", "--verbose"),
    ("STACKCTL_COLOR", "--color"),
];

/// What holds for every command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The stack file as the user named it: for messages.
    pub file: PathBuf,
    /// The stack file, absolute.
    pub path: PathBuf,
    /// Stage asked for; `None` is the default one.
    pub stage: Option<String>,
    /// Engine asked for by flag or variable.
    pub host: Option<String>,
    /// How much is said, and how.
    pub manner: Manner,
}

/// Which engine, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Address; `None` leaves it to the current Docker context.
    pub address: Option<String>,
    /// In words, for messages: `--host`, `stack.toml` …
    pub from: &'static str,
}

impl Settings {
    /// Settings out of arguments and environment.
    pub fn resolve(global: &Global, env: &Env) -> Result<Self, Failure> {
        let text = |flag: Option<&String>, name: &str| flag.cloned().or_else(|| env.var(name).map(str::to_owned));
        let file = global
            .file
            .clone()
            .or_else(|| env.var("STACKCTL_FILE").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("stack.toml"));
        Ok(Self {
            path: env.cwd.join(&file),
            file,
            stage: text(global.stage.as_ref(), "STACKCTL_STAGE"),
            host: text(global.host.as_ref(), "STACKCTL_HOST"),
            manner: Manner {
                colour: colour(global, env)?,
                quiet: switch(global.quiet, "STACKCTL_QUIET", env)?,
                // A flag that asks for silence wins over a variable that asks for the opposite, and the other way.
                verbose: !global.quiet && switch(global.verbose, "STACKCTL_VERBOSE", env)?,
                json: switch(global.json, "STACKCTL_JSON", env)?,
            },
        })
    }

    /// The engine a stack is on.
    pub fn engine(&self, stack: Option<&Stack>, env: &Env) -> Engine {
        let named = |address: &str, from| Engine { address: Some(address.to_owned()), from };
        if let Some(host) = &self.host {
            return named(host, "--host");
        }
        if let Some(host) = stack.and_then(|s| s.host.as_ref()) {
            return named(host, "stack.toml");
        }
        match env.var("DOCKER_HOST") {
            Some(host) => named(host, "DOCKER_HOST"),
            None => Engine { address: None, from: "the current Docker context" },
        }
    }
}

fn switch(flag: bool, name: &str, env: &Env) -> Result<bool, Failure> {
    if flag {
        return Ok(true);
    }
    match env.var(name).map(str::to_ascii_lowercase).as_deref() {
        None | Some("0" | "false" | "no" | "off") => Ok(false),
        Some("1" | "true" | "yes" | "on") => Ok(true),
        Some(other) => {
            Err(Failure::usage(format!("{name} is `{other}`")).hint(format!("write `{name}=1`, or leave it away")))
        }
    }
}

fn colour(global: &Global, env: &Env) -> Result<ColourChoice, Failure> {
    if let Some(choice) = global.color {
        return Ok(choice.into());
    }
    match env.var("STACKCTL_COLOR") {
        None | Some("auto") => Ok(ColourChoice::Auto),
        Some("always") => Ok(ColourChoice::Always),
        Some("never") => Ok(ColourChoice::Never),
        Some(other) => Err(Failure::usage(format!("STACKCTL_COLOR is `{other}`"))
            .hint(format!("write {}", one_of(["auto", "always", "never"])))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        let vars = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Env { vars, cwd: "/srv".into(), ..Env::default() }
    }

    #[test]
    fn the_flag_wins_over_the_variable_over_the_default() {
        let flag = Global { file: Some("a.toml".into()), ..Global::default() };
        let variable = env(&[("STACKCTL_FILE", "b.toml"), ("STACKCTL_STAGE", "staging"), ("STACKCTL_JSON", "yes")]);
        let file = |g: &Global, e: &Env| Settings::resolve(g, e).map(|s| s.file).unwrap_or_default();
        assert_eq!(file(&flag, &variable), PathBuf::from("a.toml"));
        assert_eq!(file(&Global::default(), &variable), PathBuf::from("b.toml"));
        assert_eq!(file(&Global::default(), &env(&[])), PathBuf::from("stack.toml"));
        let settings = Settings::resolve(&Global::default(), &variable).ok();
        assert!(settings.is_some_and(|s| s.manner.json
            && s.stage.as_deref() == Some("staging")
            && s.path.as_os_str() == "/srv/b.toml"));
    }

    #[test]
    fn wrong_variables_are_refused() {
        for pair in [("STACKCTL_JSON", "maybe"), ("STACKCTL_COLOR", "green")] {
            assert!(Settings::resolve(&Global::default(), &env(&[pair])).is_err(), "{pair:?}");
        }
    }

    #[test]
    fn the_engine_is_the_nearest_that_was_named() {
        let docker = env(&[("DOCKER_HOST", "tcp://d")]);
        let settings = |host: Option<&str>| Settings {
            file: PathBuf::new(),
            path: PathBuf::new(),
            stage: None,
            host: host.map(str::to_owned),
            manner: Manner::default(),
        };
        assert_eq!(settings(Some("unix:///x")).engine(None, &docker).from, "--host");
        assert_eq!(settings(None).engine(None, &docker).from, "DOCKER_HOST");
        assert_eq!(settings(None).engine(None, &env(&[])).address, None);
    }
}
