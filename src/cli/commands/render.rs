//! `render`

use std::path::{Component, Path, PathBuf};

use crate::apply::Wanted;
use crate::apply::artifacts::{HIDDEN, artifacts, makes_secrets, written};
use crate::cli::args::RenderArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::files;
use crate::model::artifact::{Artifact, Content};
use crate::model::secrets::SecretValues;
use crate::ui::error::Failure;
use crate::ui::text::count;

/// Where packages install it: for the unit that brings the stack up at boot.
const INSTALLED: &str = "/usr/local/bin/stackctl";

/// Writes everything the stack renders to into a folder. Secrets an earlier run made for it stay.
pub async fn run(args: &RenderArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let wanted = session::wanted(ctx, &source);
    let folder = ctx.env.cwd.join(&args.dir);
    // With `--no-secrets` there are placeholders in it.
    let known = written(&wanted, |path| {
        files::read_text(&folder.join(path)).ok().filter(|text| !args.no_secrets && text != HIDDEN)
    });
    write(args, ctx, &source, &wanted, known).await
}

/// The same with the secrets of the deployed stack.
pub async fn run_deployed(args: &RenderArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let wanted = session::wanted(ctx, &source);
    let engine = session::connect(ctx, &source).await?;
    let state = engine.read_state(&wanted.stack.project).await.map_err(|e| Failure::failed(e.to_string()))?;
    let Some(state) = state else {
        return Err(Failure::failed(format!("`{}` is not deployed there", wanted.stack.project))
            .hint("leave out --deployed to make new secrets")
            .into());
    };
    write(args, ctx, &source, &wanted, state.secrets).await
}

async fn write(
    args: &RenderArgs,
    ctx: &Context<'_>,
    source: &load::Source,
    wanted: &Wanted,
    known: SecretValues,
) -> anyhow::Result<ExitStatus> {
    let folder = ctx.env.cwd.join(&args.dir);
    let root = relative(&folder, &source.folder);
    let made = makes_secrets(wanted, &known);
    let rendered = artifacts(wanted, known, &root.to_string_lossy(), INSTALLED, args.no_secrets).await;
    let (mut rendered, notes) = rendered.map_err(|e| session::failure(&e))?;
    let failed = |error: files::FilesError| Failure::failed(error.to_string());
    let closed = files::closed_folder(&folder).map_err(failed)?;
    if closed {
        // But for those of a host: no container reads them, and they are copied with their modes.
        for artifact in rendered.iter_mut().filter(|artifact| !artifact.path.starts_with("native/")) {
            artifact.mode = 0o444;
        }
    }
    files::write_out(&folder, &rendered).map_err(failed)?;
    if ctx.out.is_json() {
        let paths: Vec<&str> = rendered.iter().map(|a| a.path.as_str()).collect();
        ctx.out.json(&serde_json::json!({ "schema": "stackctl.render/1", "folder": folder, "files": paths }))?;
        return Ok(ExitStatus::Done);
    }
    // In one piece: a pipe's reader wakes up for each.
    let paths: Vec<String> = rendered.iter().map(|a| args.dir.join(&a.path).display().to_string()).collect();
    ctx.out.line(paths.join("\n"))?;
    ctx.out.say(format!("{} written", count(rendered.len(), "file")));
    for note in notes {
        ctx.out.warn(note);
    }
    if !args.no_secrets && rendered.iter().any(is_secret) {
        ctx.out.warn("secrets are among them: keep the folder out of version control");
        if !closed {
            ctx.out.warn(format!(
                "others can enter {0}, so only you may read its secrets, which Compose's containers cannot: run \
                 `chmod 700 {0}`, then this again",
                args.dir.display()
            ));
        }
        if made {
            ctx.out.say("generated secrets were made for this folder; --deployed takes those of the deployed stack");
        }
    }
    Ok(ExitStatus::Done)
}

fn is_secret(artifact: &Artifact) -> bool {
    matches!(artifact.content, Content::Secret(_))
}

/// The way from one absolute folder to another.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let parts = |path: &Path| -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => out.push(name.to_string_lossy().into_owned()),
                Component::ParentDir => drop(out.pop()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        out
    };
    let (from, to) = (parts(from), parts(to));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let way: PathBuf = up.chain(to[shared..].iter().cloned()).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        for (from, to, way) in [
            ("/srv/app", "/srv/app", "."),
            ("/srv/app/out", "/srv/app", ".."),
            ("/tmp/x", "/srv/app", "../../srv/app"),
            ("/srv", "/srv/app", "app"),
            ("/srv/app/./a/../out", "/srv/app", ".."),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), PathBuf::from(way), "{from} to {to}");
        }
    }
}
