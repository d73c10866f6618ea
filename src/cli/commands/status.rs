//! `status`

use serde_json::json;

use crate::apply;
use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::{self, Source};
use crate::cli::session;
use crate::engine::Engine;
use crate::model::container::label;
use crate::model::observed::{Observed, ObservedContainer};
use crate::ui::text::{clean, count, cut, pad};

/// Shows what the engine has of the stack.
pub async fn run(args: &StatusArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    if args.drift {
        return drift(&engine, &source, args.exit_code, ctx).await;
    }
    let project = &source.stack.project;
    let observed = engine.observe(project, &[]).await.map_err(|e| session::failure(&e.into()))?;
    let mut containers: Vec<&ObservedContainer> =
        observed.containers.iter().filter(|c| c.label(label::ROLE) == "service").collect();
    containers.sort_by_key(|c| (c.service().to_owned(), c.number(), c.name.clone()));
    if ctx.out.is_json() {
        ctx.out.json(&document(project.as_str(), &observed, &containers))?;
        return Ok(ExitStatus::Done);
    }
    if containers.is_empty() {
        ctx.out.line(format!("{project} is not deployed; `stackctl up` brings it up"))?;
        return Ok(ExitStatus::Done);
    }
    let name = containers.iter().map(|c| c.name.len()).max().unwrap_or(0).max(9);
    let paint = ctx.out.data_paint();
    ctx.out.line(paint.dim(format!("{}  {}  RELEASE", pad("CONTAINER", name), pad("STATE", 28))))?;
    for container in &containers {
        let state = pad(&cut(&clean(&container.status), 28), 28);
        let state = if container.running() { paint.green(state) } else { paint.bold_red(state) };
        ctx.out.line(format!("{}  {state}  {}", pad(&container.name, name), container.label(label::RELEASE)))?;
    }
    let last = observed.state.as_ref().and_then(|s| s.releases.last());
    if let Some(release) = last {
        ctx.out.line(format!(
            "\nrelease {}: {} by {}, {} ago",
            release.number,
            release.result,
            clean(&release.by),
            age(session::now().saturating_sub(release.ended))
        ))?;
    }
    if let Some(proxy) = &source.stack.proxy {
        ctx.out.line(format!("{}  ({})", proxy.url(), count(proxy.routes.len(), "route")))?;
    }
    Ok(ExitStatus::Done)
}

/// Shows what was changed by hand.
async fn drift(engine: &Engine, source: &Source, exit_code: bool, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let mut wanted = session::wanted(ctx, source);
    wanted.look_into_files = true;
    let prepared = apply::prepare(engine, &wanted).await.map_err(|e| session::failure(&e))?;
    let found = prepared.drift(&wanted);
    if ctx.out.is_json() {
        let project = wanted.stack.project.as_str();
        ctx.out.json(&json!({ "schema": "stackctl.drift/1", "project": project, "drift": found }))?;
    } else if found.is_empty() {
        ctx.out.line(format!("{}: nothing was changed by hand", wanted.stack.project))?;
    } else {
        let paint = ctx.out.data_paint();
        for one in &found {
            ctx.out.line(format!("{} {}", one.kind, paint.bold(clean(&one.name))))?;
            for change in &one.changes {
                ctx.out.line(format!("  {}", clean(change)))?;
            }
        }
        ctx.out.say("`stackctl plan --drift` shows what `stackctl up --drift` does about it");
    }
    Ok(if exit_code && !found.is_empty() { ExitStatus::Changes } else { ExitStatus::Done })
}

fn document(project: &str, observed: &Observed, containers: &[&ObservedContainer]) -> serde_json::Value {
    let rows: Vec<_> = containers
        .iter()
        .map(|c| {
            json!({
                "name": c.name, "service": c.service(), "number": c.number(), "state": c.state, "status": c.status,
                "release": c.label(label::RELEASE), "addresses": c.networks, "ports": c.ports,
            })
        })
        .collect();
    let releases = observed.state.as_ref().map(|s| &s.releases);
    json!({
        "schema": "stackctl.status/1", "project": project, "engine": observed.engine, "containers": rows,
        "release": releases.and_then(|r| r.last()),
    })
}

/// A time span in its largest unit.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
