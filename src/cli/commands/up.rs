//! `up`

use std::time::Duration;

use crate::apply::{self, Deployed, Wanted};
use crate::cli::args::UpArgs;
use crate::cli::context::{Context, interrupted};
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::Engine;
use crate::probe::Options;
use crate::ui;
use crate::ui::progress::Progress;
use crate::ui::text::count;

use super::verify;

/// Longest time for the checks at the end of a deploy.
const GATE: Duration = Duration::from_secs(30);

/// Plan, consent, apply, gate checks.
pub async fn run(args: &UpArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let wanted = session::wanted(ctx, &source);
    let prepared = apply::prepare(&engine, &wanted).await.map_err(|e| session::failure(&e))?;
    if prepared.plan.is_empty() {
        ctx.out.say(format!("{} is as {} says: 0 steps", wanted.stack.project, ctx.settings.file.display()));
    } else {
        for note in &prepared.plan.notes {
            ctx.out.warn(note);
        }
        if prepared.plan.needs_consent() {
            if !args.yes {
                let (paint, width) = (ctx.out.talk_paint(), ctx.out.width());
                ctx.out.say(ui::plan::human(&prepared.plan, paint, width, false));
            }
            ui::prompt::consent(ctx.out, "the plan interrupts service", args.yes, "--yes")?;
        }
        let consent = prepared.plan.needs_consent() || args.yes;
        let deployed = deploy(&engine, &wanted, consent, ctx).await?;
        if let Some(release) = deployed.release {
            ctx.out.say(format!("release {release}: {}", count(deployed.steps, "step")));
        }
    }
    if args.no_verify {
        return Ok(ExitStatus::Done);
    }
    let options = Options { gate: true, deadline: GATE, ..Options::default() };
    verify::report(&engine, &wanted, &options, &verify::Shown::Problems, ctx).await
}

async fn deploy(engine: &Engine, wanted: &Wanted, consent: bool, ctx: &Context<'_>) -> anyhow::Result<Deployed> {
    let mut progress = Progress::new(ctx.out);
    let result = apply::up(engine, wanted, consent, session::now, interrupted(), &mut progress).await;
    drop(progress);
    Ok(result.map_err(|e| session::failure(&e))?)
}
