//! `stats`

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use serde_json::json;

use crate::cli::args::StatsArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session, target};
use crate::engine::stats::Usage;
use crate::model::observed::ObservedContainer;
use crate::ui::text::pad;

/// Shows what containers use: once, or until interrupted on a terminal.
pub async fn run(args: &StatsArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::quietly(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let containers = engine.containers(&source.stack.project).await.map_err(|e| session::failure(&e.into()))?;
    let chosen: Vec<&ObservedContainer> =
        target::chosen(&containers, &args.services)?.into_iter().filter(|c| c.running()).collect();
    let names: Vec<String> = chosen.iter().map(|c| target::short_name(c)).collect();
    let live = ctx.out.is_terminal() && !args.no_stream && !ctx.out.is_json();
    let mut looks = select_all(chosen.iter().zip(&names).map(|(container, name)| {
        let name = name.clone();
        engine.usage(&container.id).map(move |usage| (name.clone(), usage)).boxed()
    }));
    let mut seen: BTreeMap<String, Usage> = BTreeMap::new();
    let mut fresh = 0;
    let mut drawn = 0;
    while let Some((name, usage)) = looks.next().await {
        // A container that ended meanwhile has nothing to show.
        let Ok(usage) = usage else { continue };
        if usage.cpus.is_none() {
            continue;
        }
        fresh += usize::from(seen.insert(name, usage).is_none() || live);
        if fresh < names.len() {
            continue;
        }
        if !live {
            break;
        }
        fresh = 0;
        let rows = table(&seen, ctx);
        let up = if drawn > 0 { format!("\x1b[{drawn}A\x1b[J") } else { String::new() };
        ctx.out.data(format!("{up}{}\n", rows.join("\n")))?;
        drawn = rows.len();
    }
    if ctx.out.is_json() {
        let rows: Vec<_> = seen.iter().map(|(name, usage)| json!({ "container": name, "usage": usage })).collect();
        ctx.out.json(&json!({ "schema": "stackctl.stats/1", "project": source.stack.project, "containers": rows }))?;
    } else if !live {
        table(&seen, ctx).iter().try_for_each(|row| ctx.out.line(row))?;
    }
    Ok(ExitStatus::Done)
}

fn table(seen: &BTreeMap<String, Usage>, ctx: &Context<'_>) -> Vec<String> {
    let width = seen.keys().map(String::len).max().unwrap_or(0).max(9);
    let head = format!(
        "{}  {:>7}  {:>9}  {:>9}  {:>6}  {:>9}  {:>9}  {:>5}",
        pad("CONTAINER", width),
        "CPU",
        "MEMORY",
        "LIMIT",
        "USED",
        "RECEIVED",
        "SENT",
        "PIDS"
    );
    let mut rows = vec![ctx.out.data_paint().dim(head)];
    rows.extend(seen.iter().map(|(name, usage)| row(name, usage, width)));
    rows
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn row(name: &str, usage: &Usage, width: usize) -> String {
    let share = if usage.memory_limit == 0 { 0.0 } else { usage.memory as f64 / usage.memory_limit as f64 };
    format!(
        "{}  {:>6.1}%  {:>9}  {:>9}  {:>5.1}%  {:>9}  {:>9}  {:>5}",
        pad(name, width),
        usage.cpus.unwrap_or(0.0) * 100.0,
        bytes(usage.memory),
        bytes(usage.memory_limit),
        share * 100.0,
        bytes(usage.received),
        bytes(usage.sent),
        usage.processes
    )
}

/// Bytes in a unit that leaves at most four digits before the point.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_for_people() {
        let usage = Usage {
            cpus: Some(0.123),
            memory: 52 << 20,
            memory_limit: 128 << 20,
            received: 1500,
            sent: 12,
            processes: 7,
        };
        assert_eq!(
            row("app-1", &usage, 9),
            "app-1        12.3%    52.0 MB   128.0 MB   40.6%     1.5 kB       12 B      7"
        );
    }
}
