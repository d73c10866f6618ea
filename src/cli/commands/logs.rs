//! `logs`

use futures_util::StreamExt;

use crate::base::suggest::nearest;
use crate::cli::args::{LogsArgs, Tail};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::logs::Wanted;
use crate::model::container::label;
use crate::model::observed::ObservedContainer;
use crate::ui::error::Failure;
use crate::ui::text::pad;

/// Shows what containers print, each line behind the name of its replica.
pub async fn run(args: &LogsArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let observed = engine.observe(&source.stack.project, &[]).await.map_err(|e| session::failure(&e.into()))?;
    let services = || observed.containers.iter().filter(|c| c.label(label::ROLE) == "service");
    for wanted in &args.services {
        if !services().any(|c| c.service() == wanted) {
            let mut failure = Failure::failed(format!("no container of a service `{wanted}` is there"));
            if let Some(near) = nearest(wanted, services().map(ObservedContainer::service)) {
                failure = failure.hint(format!("did you mean `{near}`?"));
            }
            return Err(failure.into());
        }
    }
    let chosen: Vec<(String, String)> = services()
        .filter(|c| args.services.is_empty() || args.services.iter().any(|s| s == c.service()))
        .map(|c| (c.id.clone(), format!("{}-{}", c.service(), c.number())))
        .collect();
    let width = chosen.iter().map(|(_, prefix)| prefix.len()).max().unwrap_or(0);
    let wanted = Wanted {
        since: args.since.map(|s| i64::try_from(session::now().saturating_sub(s.0.as_secs())).unwrap_or(0)),
        tail: match args.tail {
            Tail::All => None,
            Tail::Lines(lines) => Some(lines as usize),
        },
        follow: args.follow,
        timestamps: false,
    };
    let mut lines = engine.follow(&chosen, wanted);
    let paint = ctx.out.data_paint();
    while let Some(line) = lines.next().await {
        let (prefix, text) = line.map_err(|e| session::failure(&e.into()))?;
        if ctx.out.is_json() {
            ctx.out.json_line(&serde_json::json!({ "container": prefix, "line": text }))?;
        } else {
            ctx.out.line(format!("{} {text}", paint.cyan(format!("{} |", pad(&prefix, width)))))?;
        }
    }
    Ok(ExitStatus::Done)
}
