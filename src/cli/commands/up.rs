//! `up`

use std::time::Duration;

use crate::apply::{self, ApplyError, Deployed, Terms, Wanted};
use crate::cli::args::UpArgs;
use crate::cli::context::{Context, interrupted};
use crate::cli::exit::ExitStatus;
use crate::cli::load::{self, Source};
use crate::cli::sealed;
use crate::cli::session;
use crate::engine::Engine;
use crate::engine::forward::Rung;
use crate::probe::Options;
use crate::ui;
use crate::ui::progress::Progress;
use crate::ui::text::count;

use super::{cert, verify};

/// Longest time for the checks at the end of a deploy.
const GATE: Duration = Duration::from_secs(30);

/// Plan, consent, apply, gate checks.
pub async fn run(args: &UpArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    Box::pin(bring_up(&load::stack(ctx)?, args, ctx)).await
}

/// Like [`run`], of a stack that was read.
pub async fn bring_up(source: &Source, args: &UpArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let engine = session::connect(ctx, source).await?;
    let mut wanted = session::wanted(ctx, source);
    let mut hooks = Vec::new();
    let seal = args.plan.as_deref().map(sealed::read).transpose()?;
    wanted.look_into_files = args.drift || seal.as_ref().is_some_and(|s| s.files);
    let prepared = Box::pin(apply::prepare(&engine, &wanted)).await.map_err(|e| session::failure(&e))?;
    // Before anything is asked; under the lock it is looked at again.
    let different = seal.as_ref().map(|s| s.broken_by(&prepared.seal(&wanted))).unwrap_or_default();
    if !different.is_empty() {
        return Err(session::failure(&ApplyError::Stale(different)).into());
    }
    if prepared.plan.is_empty() {
        ctx.out.say(format!("{} is as {} says: 0 steps", wanted.stack.project, ctx.settings.file.display()));
    } else {
        for note in &prepared.plan.notes {
            ctx.out.warn(note);
        }
        // A sealed plan has been looked at, interruptions and all.
        let yes = args.yes || seal.is_some();
        if prepared.plan.needs_consent() {
            if !yes {
                let (paint, width) = (ctx.out.talk_paint(), ctx.out.width());
                ctx.out.say(ui::plan::human(&prepared.plan, paint, width, false));
            }
            ui::prompt::consent(ctx.out, "the plan interrupts service", yes, "--yes")?;
        }
        wanted.commit = session::commit(&wanted.folder);
        let consent = prepared.plan.needs_consent() || yes;
        let terms = Terms { consent, seal: seal.as_ref(), keep_failed: args.keep_failed };
        let deployed = Box::pin(deploy(&engine, &wanted, terms, ctx)).await?;
        let rung = engine.rung().await;
        if rung != Rung::Direct {
            ctx.out.say(format!("containers were asked {}", rung.words()));
        }
        say_deployed(&deployed, ctx);
        hooks = deployed.hooks;
    }
    Box::pin(cert::after_up(&engine, &wanted, ctx)).await?;
    let status = say_hooks(&hooks, ctx);
    if args.no_verify {
        return Ok(status);
    }
    let options = Options { gate: true, deadline: GATE, ..Options::default() };
    let verified = Box::pin(verify::report(&engine, &wanted, &options, &verify::Shown::Problems, ctx)).await?;
    Ok(ExitStatus::worst([verified, status]))
}

/// Hooks that did not end well. The release is out, and stays; whoever called wants to know.
fn say_hooks(hooks: &[apply::Failure], ctx: &Context<'_>) -> ExitStatus {
    for hook in hooks {
        for line in &hook.log {
            ctx.out.say(format!("  | {}", ui::text::clean(line)));
        }
        ctx.out.warn(format!("{}; the release stays, and the next `stackctl up` runs it again", hook.cause));
    }
    if hooks.is_empty() { ExitStatus::Done } else { ExitStatus::Failed }
}

/// The last lines of a deploy: what was done, and what visitors met of it.
pub(super) fn say_deployed(deployed: &Deployed, ctx: &Context<'_>) {
    let Some(release) = deployed.release else { return };
    ctx.out.say(format!("release {release}: {}", count(deployed.steps, "step")));
    if let Some(served) = &deployed.served {
        let text = format!("visitors meanwhile: {served} ({})", served.path);
        let paint = ctx.out.talk_paint();
        ctx.out.say(if served.failed == 0 { paint.green(text) } else { paint.yellow(text) });
        if let Some(first) = &served.first_failure {
            ctx.out.say(format!("  the first failure: {first}"));
        }
    }
}

pub(super) async fn deploy(
    engine: &Engine,
    wanted: &Wanted,
    terms: Terms<'_>,
    ctx: &Context<'_>,
) -> anyhow::Result<Deployed> {
    let mut progress = Progress::new(ctx.out);
    let result = apply::up(engine, wanted, terms, session::now, interrupted(), &mut progress).await;
    drop(progress);
    Ok(result.map_err(|e| session::failure(&e))?)
}
