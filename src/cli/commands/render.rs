//! `render`

use std::path::{Component, Path, PathBuf};

use crate::apply::artifacts::{artifacts, makes_secrets};
use crate::cli::args::RenderArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::files;
use crate::model::artifact::{Artifact, Content};
use crate::ui::error::Failure;
use crate::ui::text::count;

/// Where packages install it: for the unit that brings the stack up at boot.
const INSTALLED: &str = "/usr/local/bin/stackctl";

/// Writes everything the stack renders to into a folder.
pub fn run(args: &RenderArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let wanted = session::wanted(ctx, &source);
    let folder = ctx.env.cwd.join(&args.dir);
    let root = relative(&folder, &source.folder);
    let rendered =
        artifacts(&wanted, &root.to_string_lossy(), INSTALLED, args.no_secrets).map_err(|e| session::failure(&e))?;
    files::write_all(&folder, &rendered).map_err(|error| Failure::failed(error.to_string()))?;
    if ctx.out.is_json() {
        let paths: Vec<&str> = rendered.iter().map(|a| a.path.as_str()).collect();
        ctx.out.json(&serde_json::json!({ "schema": "stackctl.render/1", "folder": folder, "files": paths }))?;
        return Ok(ExitStatus::Done);
    }
    for artifact in &rendered {
        ctx.out.line(args.dir.join(&artifact.path).display().to_string())?;
    }
    ctx.out.say(format!("{} written", count(rendered.len(), "file")));
    if !args.no_secrets && rendered.iter().any(is_secret) {
        ctx.out.warn("secrets are among them: keep the folder out of version control");
        if makes_secrets(&wanted) {
            ctx.out.say("generated secrets were made for this folder; a deployed stack keeps its own");
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
