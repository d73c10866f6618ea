//! `prune`

use serde_json::json;

use crate::cli::args::PruneArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session};
use crate::engine::EngineError;
use crate::plan::prune::prune;
use crate::ui;
use crate::ui::text::count;

/// Removes what is left over of the stack: one-off containers that ended, and images that no release holds.
pub async fn run(args: &PruneArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::quietly(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let failed = |e: EngineError| session::failure(&e.into());
    let project = &source.stack.project;
    let observed = engine.observe(project, &[]).await.map_err(failed)?;
    let (images, in_use, helpers) =
        tokio::try_join!(engine.built_images(project), engine.images_in_use(), engine.stray_helpers())
            .map_err(failed)?;
    let releases = observed.state.as_ref().map_or(&[][..], |s| &s.releases);
    let found = prune(project, &observed.containers, &images, &in_use, releases);
    let bytes: u64 = found.images.iter().map(|(_, size)| size).sum();
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "schema": "stackctl.prune/1", "containers": found.containers, "images": found.images, "bytes": bytes,
        }))?;
    } else {
        for name in &found.containers {
            ctx.out.line(format!("- container {name}"))?;
        }
        for (tag, size) in &found.images {
            ctx.out.line(format!("- image {tag} ({} MB)", size >> 20))?;
        }
    }
    if found.containers.is_empty() && found.images.is_empty() && helpers.is_empty() {
        ctx.out.say(format!("nothing of {project} is left over"));
        return Ok(ExitStatus::Done);
    }
    if args.dry_run {
        return Ok(ExitStatus::Done);
    }
    ui::prompt::consent(ctx.out, "this removes them", args.yes, "--yes")?;
    for name in found.containers.iter().chain(&helpers) {
        engine.remove_with_volumes(name).await.map_err(failed)?;
    }
    let mut removed = 0;
    for (tag, _) in &found.images {
        if engine.remove_image(tag).await.map_err(failed)? {
            removed += 1;
        } else {
            ctx.out.say(format!("{tag} stays: something needs it"));
        }
    }
    ctx.out.say(format!(
        "removed {} and {} (layers shared with other images stay)",
        count(found.containers.len(), "container"),
        count(removed, "image")
    ));
    Ok(ExitStatus::Done)
}
