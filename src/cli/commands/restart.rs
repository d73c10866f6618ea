//! `restart`

use crate::apply;
use crate::base::name::ServiceName;
use crate::cli::args::RestartArgs;
use crate::cli::context::{Context, interrupted};
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session, target};
use crate::ui::error::Failure;
use crate::ui::progress::Progress;
use crate::ui::text::count;

/// Restarts services replica by replica.
pub async fn run(args: &RestartArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let wanted = session::wanted(ctx, &source);
    let project = &wanted.stack.project;
    let containers = engine.containers(project).await.map_err(|e| session::failure(&e.into()))?;
    let chosen = target::chosen(&containers, &args.services)?;
    if chosen.is_empty() {
        return Err(Failure::failed(format!("{project} is not deployed")).hint("`stackctl up` brings it up").into());
    }
    engine.ensure_holder().await.map_err(|e| session::failure(&e.into()))?;
    let mut progress = Progress::new(ctx.out);
    let lock =
        apply::up::take_lock(&engine, &wanted, session::now, &mut progress).await.map_err(|e| session::failure(&e))?;
    drop(progress);
    // In the order in which they need each other; the front door last.
    let order: Vec<ServiceName> = wanted.stack.start_order().iter().map(|s| s.name.clone()).collect();
    let mut sorted = chosen;
    sorted.sort_by_key(|c| (order.iter().position(|s| s.as_str() == c.service()).unwrap_or(order.len()), c.number()));
    let number = sorted.len();
    let work = async {
        for container in sorted {
            let name = target::short_name(container);
            ctx.out.detail(format!("restarting {name}"));
            apply::restart::one(&engine, &wanted.stack, container).await.map_err(|e| session::failure(&e))?;
            ctx.out.say(format!("{name} is back"));
        }
        Ok::<(), Failure>(())
    };
    let result = tokio::select! {
        result = work => result,
        () = interrupted() => Err(Failure::new(crate::ui::error::Kind::Interrupted, "interrupted; the engine \
            finishes the restart under way")),
    };
    lock.release().await.map_err(|e| session::failure(&e.into()))?;
    result?;
    ctx.out.say(format!("{} restarted", count(number, "container")));
    Ok(ExitStatus::Done)
}
