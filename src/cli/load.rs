//! From stack.toml, `.env` and stack.lock to a stack, or to all that is wrong with them.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::problem::{Origin, Problem, Problems};
use crate::config::interpolate::Variables;
use crate::config::lint::placeholder;
use crate::config::lock::Locked;
use crate::config::{self, Loaded, dotenv};
use crate::model::lock::Lock;
use crate::model::stack::Stack;
use crate::ui::error::{Failure, Kind, Told};
use crate::ui::problems::{self as ui, Report};
use crate::ui::text::count;

use super::context::Context;
use super::text;

/// A valid stack and what it was read from.
#[derive(Debug)]
pub struct Source {
    /// The stack.
    pub stack: Stack,
    /// Its folder: paths in the file are relative to it.
    pub folder: PathBuf,
    /// The file's text.
    pub text: String,
    /// The environment over `.env`: where secrets with `env` come from.
    pub variables: Variables,
    /// `stack.lock` beside the file; `None` if there is none.
    pub lock: Option<Lock>,
}

/// What was read, right or wrong.
#[derive(Debug)]
pub struct Read {
    /// The stack; only there if no problem is an error.
    pub stack: Option<Stack>,
    /// Its folder.
    pub folder: PathBuf,
    /// The file's text.
    pub text: String,
    /// Name of `.env` as the user would write it.
    env_name: String,
    /// Text of `.env`; empty if there is none.
    env_text: String,
    /// Name of `stack.lock` as the user would write it.
    lock_name: String,
    /// Text of `stack.lock`; empty if there is none.
    lock_text: String,
    /// What `stack.lock` says; `None` if there is none, or a wrong one.
    lock: Option<Lock>,
    /// The environment over `.env`.
    pub variables: Variables,
    /// Everything that is wrong, sorted.
    pub problems: Vec<Problem>,
}

impl Read {
    /// What is to be shown; `name` is the file's as the user wrote it.
    pub fn report<'a>(&'a self, name: &'a str) -> Report<'a> {
        Report {
            stack: ui::Source { name: name.into(), text: &self.text },
            env: ui::Source { name: self.env_name.as_str().into(), text: &self.env_text },
            lock: ui::Source { name: self.lock_name.as_str().into(), text: &self.lock_text },
            problems: &self.problems,
        }
    }

    /// The report for programs.
    pub fn json(&self, name: &str) -> serde_json::Value {
        let mut json = json!({
            "schema": "stackctl.check/1",
            "file": name,
            "valid": self.stack.is_some(),
            "problems": self.report(name).json(),
        });
        if let Some(stack) = &self.stack {
            json["stack"] = json!(stack);
        }
        json
    }
}

/// Reads the stack the settings name, and everything that is wrong with it. An error if there is nothing to read.
pub fn read(ctx: &Context<'_>) -> anyhow::Result<Read> {
    let text = text::stack_file(&ctx.settings.path, &ctx.settings.file)?;
    let folder = ctx.settings.path.parent().unwrap_or(Path::new("/")).to_owned();
    let env_name = ctx.settings.file.with_file_name(".env").display().to_string();
    let env_text = text::environment_file(&folder, &env_name)?;
    let lock_name = ctx.settings.file.with_extension("lock").display().to_string();
    let lock_text = lock_file(&ctx.settings.path.with_extension("lock"), &lock_name)?;
    let mut problems = Problems::default();
    let dotenv = dotenv::parse(&env_text, &mut problems);
    let env_wrong = problems.has_errors();
    let mut variables = dotenv.variables.clone();
    variables.extend(ctx.env.vars.clone());
    let beside = crate::files::Folder(folder.clone());
    let stage = ctx.settings.stage.as_deref();
    let Loaded { stack, problems: mut found } = config::load_beside(&text, stage, &variables, &beside);
    if env_wrong {
        // What is missing may stand on a line that could not be read.
        found.without("unset-variable");
    }
    problems.extend(found);
    let locked = lock_text.as_deref().and_then(|text| config::lock::parse(text, &mut problems));
    if let Some(stack) = &stack {
        placeholder::check(stack, &text, &dotenv, &variables, &mut problems);
        if let Some(locked) = &locked {
            let source = config::Source { text: &text, beside: &beside };
            config::lock::compare(locked, &config::lock::references(source, stack, &variables), &mut problems);
        }
    }
    let stack = stack.filter(|_| !problems.has_errors());
    Ok(Read {
        stack,
        folder,
        text,
        env_name,
        env_text,
        lock_name,
        lock_text: lock_text.unwrap_or_default(),
        lock: locked.map(|Locked { lock, .. }| lock),
        variables,
        problems: problems.sorted(),
    })
}

/// The text of the lock beside the stack file; `None` if there is none.
fn lock_file(path: &Path, shown: &str) -> Result<Option<String>, Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = crate::files::read_text(path);
    text.map(Some).map_err(|error| Failure::usage(format!("`{shown}` cannot be used")).because(error))
}

/// Reads the stack the settings name. Problems are shown; the error that is returned then says no more.
pub fn stack(ctx: &Context<'_>) -> anyhow::Result<Source> {
    load(ctx, true)
}

/// Like [`stack`], without a word on warnings: for commands that are used many times a day, and in pipes.
pub fn quietly(ctx: &Context<'_>) -> anyhow::Result<Source> {
    load(ctx, false)
}

fn load(ctx: &Context<'_>, warn: bool) -> anyhow::Result<Source> {
    let name = ctx.settings.file.display().to_string();
    let read = read(ctx)?;
    let Some(stack) = read.stack else {
        if ctx.out.is_json() {
            ctx.out.json(&read.json(&name))?;
        } else {
            read.report(&name).show(ctx.out);
        }
        return Err(Told(Kind::Usage).into());
    };
    // What the lock lacks is said where it matters: by `plan` and by `lock` itself.
    let warnings = read.problems.iter().filter(|p| p.origin != Origin::Lock).count();
    if warn && warnings > 0 {
        let warnings = count(warnings, "warning");
        ctx.out.warn(format!("{name} has {warnings}; `stackctl check` shows them"));
    }
    Ok(Source { stack, folder: read.folder, text: read.text, variables: read.variables, lock: read.lock })
}
