//! `secrets import` and `secrets pull`: between a `.env` file and the engine.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::apply::secrets::too_weak;
use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::cli::args::{ImportArgs, PullArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::config::dotenv;
use crate::files;
use crate::files::private::read_private;
use crate::model::artifact::{Artifact, Content};
use crate::model::secrets::SecretSource;
use crate::ui::error::Failure;
use crate::ui::text::count;

/// Takes over what a file of variables has for the secrets of the stack.
pub(super) async fn import(args: &ImportArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let text = read_private(&ctx.env.cwd.join(&args.path)).map_err(Failure::usage)?;
    let shown = args.path.display().to_string();
    let mut variables = dotenv::variables(text.expose())
        .map_err(|message| Failure::usage(message.replace(".env", &format!("`{shown}`"))))?;
    let (mut stored, mut sealed) = (BTreeMap::new(), BTreeMap::new());
    for (name, spec) in &source.stack.secrets {
        let variable = match &spec.source {
            SecretSource::Env(variable) => variable.clone(),
            SecretSource::Stored | SecretSource::Age(_) => name.as_str().to_uppercase().replace(['-', '.'], "_"),
            _ => continue,
        };
        let Some(value) = variables.remove(&variable).filter(|v| !v.is_empty()).map(Secret::new) else { continue };
        if let Some(why) = too_weak(&source.stack, spec, &value) {
            return Err(Failure::refused(format!("`{name}` ({variable}): {why}")).hint("nothing was changed").into());
        }
        if let SecretSource::Age(path) = &spec.source {
            sealed.entry(path).or_insert_with(BTreeMap::new).insert(name.clone(), value);
        } else {
            stored.insert(name.clone(), value);
        }
    }
    if stored.is_empty() && sealed.is_empty() {
        return Err(Failure::usage(format!("`{shown}` has nothing for the secrets of this stack"))
            .hint("name a variable in stack.toml: `[secrets]`, `smtp = { env = \"SMTP_PASSWORD\" }`")
            .into());
    }
    for (path, values) in sealed {
        let path = source.folder.join(path);
        let number = values.len();
        super::encrypted::change(&path, ctx, |entries| entries.extend(values))?;
        ctx.out.say(format!("{} written into {}", count(number, "value"), path.display()));
    }
    if !stored.is_empty() {
        let engine = session::connect(ctx, source).await?;
        super::keep_on_engine(&stored, source, &engine, ctx).await?;
    }
    if variables.is_empty() {
        ctx.out.say(format!("`{shown}` is not needed any more: `rm {shown}`"));
    } else {
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        ctx.out.say(format!("not a secret of this stack: {}", names.join(", ")));
    }
    Ok(ExitStatus::Done)
}

/// Writes what the engine keeps for variables into a file, for work on one's own machine.
pub(super) async fn pull(args: &PullArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let path = ctx.env.cwd.join(&args.path);
    let shown = args.path.display();
    if path.symlink_metadata().is_ok() {
        return Err(Failure::refused(format!("`{shown}` exists"))
            .hint("name another file, or move this one away")
            .into());
    }
    let engine = session::connect(ctx, source).await?;
    let state = super::state(&engine, &source.stack).await?.unwrap_or_default();
    let kept = |name: &SecretName| state.secrets.get(name);
    let mut text = String::new();
    let mut number = 0;
    for (name, spec) in &source.stack.secrets {
        let (SecretSource::Env(variable), Some(value)) = (&spec.source, kept(name)) else { continue };
        let Some(quoted) = quoted(value) else {
            ctx.out.warn(format!("`{variable}` has more than one line and cannot be written to a .env file"));
            continue;
        };
        let _ = writeln!(text, "{variable}={quoted}");
        number += 1;
    }
    if number == 0 {
        return Err(Failure::failed("the engine keeps no value of a secret that has a variable (`env = …`)").into());
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let file = Artifact { path: name, content: Content::Secret(Secret::new(text)), mode: 0o600, uid: 0 };
    let folder = path.parent().unwrap_or(std::path::Path::new("/"));
    files::write_all(folder, &[file]).map_err(|e| Failure::failed(e.to_string()))?;
    ctx.out
        .say(format!("{} written to {shown}, for you alone; keep it out of version control", count(number, "value")));
    Ok(ExitStatus::Done)
}

/// In the quotes that `.env` needs around it; `None` if there is no way to write it.
fn quoted(value: &Secret) -> Option<String> {
    let text = value.expose();
    if text.contains(['\n', '\r']) {
        return None;
    }
    [format!("'{text}'"), format!("\"{text}\""), text.to_owned()].into_iter().find(|written| {
        dotenv::variables(&format!("A={written}")).is_ok_and(|read| read.get("A").is_some_and(|value| value == text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pulled_is_read_back() {
        for text in ["plain", "with ' quote", "with # and \" both", "a=b", " blanks "] {
            let written = quoted(&Secret::new(text)).unwrap_or_default();
            let read = dotenv::variables(&format!("A={written}")).unwrap_or_default();
            assert_eq!(read.get("A").map(String::as_str), Some(text), "{written}");
        }
        assert_eq!(quoted(&Secret::new("two\nlines")), None);
    }
}
