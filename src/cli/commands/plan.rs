//! `plan`

use crate::apply;
use crate::cli::args::PlanArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::sealed;
use crate::cli::session;
use crate::ui;

/// Shows what `up` would do, and why. Changes nothing.
pub async fn run(args: &PlanArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let mut wanted = session::wanted(ctx, &source);
    wanted.look_into_files = args.drift;
    let prepared = apply::prepare(&engine, &wanted).await.map_err(|e| session::failure(&e))?;
    if ctx.out.is_json() {
        ctx.out.json(&ui::plan::json(&prepared.plan))?;
    } else {
        let (paint, width) = (ctx.out.data_paint(), ctx.out.width());
        ctx.out.data(ui::plan::human(&prepared.plan, paint, width, ctx.out.is_verbose()))?;
    }
    if let Some(path) = &args.out {
        sealed::write(path, &prepared, &wanted)?;
        ctx.out.say(format!("`stackctl up --plan {}` does exactly this, or refuses", path.display()));
    }
    Ok(if args.exit_code && !prepared.plan.is_empty() { ExitStatus::Changes } else { ExitStatus::Done })
}
