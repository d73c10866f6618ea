//! Reading stack.toml and `.env`, with an answer in words for everything that can be wrong with a file.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::problem::{Problem, Problems, line_column};
use crate::config::interpolate::Variables;
use crate::config::lint::placeholder;
use crate::config::{self, Loaded, dotenv};
use crate::model::lock::Lock;
use crate::model::stack::Stack;
use crate::ui::error::{Failure, Kind, Told};
use crate::ui::problems::{self as ui, Report};
use crate::ui::text::count;

use super::context::Context;

/// Far more than any stack needs; a file larger than this was named by mistake.
const LARGEST: u64 = 1 << 20;

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
    let text = file(&ctx.settings.path, &ctx.settings.file)?;
    let folder = ctx.settings.path.parent().unwrap_or(Path::new("/")).to_owned();
    let env_name = ctx.settings.file.with_file_name(".env").display().to_string();
    let env_text = environment_file(&folder, &env_name)?;
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
    if let Some(stack) = &stack {
        placeholder::check(stack, &text, &dotenv, &variables, &mut problems);
    }
    let stack = stack.filter(|_| !problems.has_errors());
    Ok(Read { stack, folder, text, env_name, env_text, variables, problems: problems.sorted() })
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
    if warn && !read.problems.is_empty() {
        let warnings = count(read.problems.len(), "warning");
        ctx.out.warn(format!("{name} has {warnings}; `stackctl check` shows them"));
    }
    let lock = lock(ctx)?;
    Ok(Source { stack, folder: read.folder, text: read.text, variables: read.variables, lock })
}

/// The lock beside the stack file, if there is one. Problems are shown; the error then says no more.
pub fn lock(ctx: &Context<'_>) -> anyhow::Result<Option<Lock>> {
    let path = ctx.settings.path.with_extension("lock");
    let name = ctx.settings.file.with_extension("lock").display().to_string();
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = crate::files::read_text(&path)
        .map_err(|error| Failure::usage(format!("`{name}` cannot be used")).because(error))?;
    match config::lock::parse(&text) {
        Ok(lock) => Ok(Some(lock)),
        Err(problems) => {
            let report = Report {
                stack: ui::Source { name: name.as_str().into(), text: &text },
                env: ui::Source { name: "".into(), text: "" },
                problems: &problems.sorted(),
            };
            if ctx.out.is_json() {
                ctx.out.json(&json!({
                    "schema": "stackctl.check/1", "file": name, "valid": false, "problems": report.json(),
                }))?;
            } else {
                report.show(ctx.out);
                ctx.out.say("hint: take back what was changed by hand, or remove it and run `stackctl lock`");
            }
            Err(Told(Kind::Usage).into())
        }
    }
}

/// The text of the stack file; `shown` is its name for messages.
pub fn file(path: &Path, shown: &Path) -> Result<String, Failure> {
    let name = shown.display();
    let wrong = |what: String| Failure::usage(format!("`{name}` {what}"));
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(path, shown)),
        Err(error) => return Err(wrong("cannot be read".to_owned()).because(error)),
    };
    if meta.is_dir() {
        let failure = wrong("is a folder".to_owned());
        let inside = shown.join("stack.toml");
        return Err(if path.join("stack.toml").is_file() {
            failure.hint(format!("the stack file in it is `{}`", inside.display()))
        } else {
            failure.hint("name the file itself")
        });
    }
    if meta.len() > LARGEST {
        return Err(wrong(format!("is larger than 1 MiB ({} bytes); it cannot be a stack file", meta.len())));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong("cannot be read".to_owned()).because(error))?;
    // Devices and pipes have no length to look at beforehand.
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("is larger than 1 MiB; it cannot be a stack file".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (line, _) = line_column(&String::from_utf8_lossy(error.as_bytes()), at);
        wrong(format!("is not UTF-8: byte {at} (line {line})")).hint("save it as UTF-8 in your editor")
    })?;
    // Some editors put a byte order mark in front; it means nothing in UTF-8, and would shift every place by one.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    if text.trim().is_empty() {
        return Err(wrong("is empty".to_owned()).hint("`stackctl init` writes a first one; remove this one before"));
    }
    Ok(text)
}

fn missing(path: &Path, shown: &Path) -> Failure {
    let failure = Failure::usage(format!("there is no `{}`", shown.display()));
    let folder = path.parent().unwrap_or(Path::new("/"));
    let above = folder.ancestors().skip(1).map(|f| f.join("stack.toml")).find(|f| f.is_file());
    match above {
        Some(above) => failure.hint(format!("there is one above: pass `--file {}`", above.display())),
        None if !folder.is_dir() => failure.hint(format!("the folder `{}` is not there either", folder.display())),
        None => failure.hint("`stackctl init` writes a first one"),
    }
}

/// The text of `.env` in this folder; empty if there is no such file. Refused where others can read it: it is where
/// people keep passwords.
fn environment_file(folder: &Path, shown: &str) -> Result<String, Failure> {
    let path = folder.join(".env");
    if let Ok(target) = std::fs::read_link(&path) {
        return Err(Failure::usage(format!("`{shown}` is a link to {}", target.display()))
            .hint("who may read it is decided elsewhere then; put the file itself there, with mode 0600"));
    }
    let meta = match std::fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(Failure::usage(format!("`{shown}` cannot be read")).because(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Failure::usage(format!("others can read `{shown}` (its mode is {mode:04o})"))
                .hint(format!("it is a place for secrets: `chmod 600 {}`", quoted(shown))));
        }
    }
    if meta.len() > LARGEST {
        return Err(Failure::usage(format!("`{shown}` is larger than 1 MiB")));
    }
    std::fs::read_to_string(&path).map_err(|error| Failure::usage(format!("`{shown}` cannot be read")).because(error))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    if word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+=:@%".contains(&b)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        assert_eq!(super::quoted("/srv/app/.env"), "/srv/app/.env");
        assert_eq!(super::quoted("/my app/it's"), "'/my app/it'\\''s'");
    }
}
