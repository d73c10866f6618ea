//! `maintenance`

use serde_json::json;

use crate::apply::up::take_lock;
use crate::cli::args::{MaintenanceArgs, Switch};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::{Engine, EngineError};
use crate::model::artifact::Artifact;
use crate::render::MAINTENANCE;
use crate::ui::error::Failure;
use crate::ui::progress::Progress;

/// The files volume of the front door.
const FILES: &str = "proxy-files";

/// Closes the site for everybody, or opens it again, by a file that Nginx looks at: nothing is reloaded, nothing stops.
pub async fn run(args: &MaintenanceArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let wanted = session::wanted(ctx, &source);
    let project = &wanted.stack.project;
    let volume = wanted.stack.volume_name(FILES);
    engine.ensure_holder().await.map_err(|e| session::failure(&e.into()))?;
    let mut progress = Progress::new(ctx.out);
    let lock = take_lock(&engine, &wanted, session::now, &mut progress).await.map_err(|e| session::failure(&e))?;
    let observed = engine.observe(project, &[]).await.map_err(|e| session::failure(&e.into()));
    let there = observed.as_ref().is_ok_and(|o| o.volumes.iter().any(|v| v.name == volume));
    let result = if there { turn(&engine, &volume, args.switch).await.map(Some) } else { Ok(None) };
    drop(progress);
    lock.release().await.map_err(|e| Failure::failed(e.to_string()))?;
    observed?;
    let Some(on) = result.map_err(|e| session::failure(&e.into()))? else {
        let mut failure = Failure::failed(format!("{project} has no front door"));
        failure.hints.push("`stackctl up` makes it, where there is a route".to_owned());
        return Err(failure.into());
    };
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "project": project.as_str(), "maintenance": on }))?;
    } else {
        let url = wanted.stack.proxy.as_ref().map_or_else(|| project.to_string(), crate::model::proxy::Proxy::url);
        ctx.out.line(if on {
            format!("{url} is down for maintenance: everybody gets 503; `stackctl maintenance off` ends it")
        } else {
            format!("{url} is open")
        })?;
    }
    Ok(ExitStatus::Done)
}

/// Turns it on or off, or only looks; returns whether it is on.
async fn turn(engine: &Engine, volume: &str, switch: Option<Switch>) -> Result<bool, EngineError> {
    let flags = engine.read_files(volume, "live").await?;
    let Some(switch) = switch else {
        return Ok(flags.get(MAINTENANCE).and_then(|e| e.link.as_deref()) == Some("on"));
    };
    let on = switch == Switch::On;
    // All flags lead to this file: written again, it would be away for a moment, and each of them off.
    let files = if flags.contains_key("on") { Vec::new() } else { vec![Artifact::plain("live/on", "")] };
    let links = [(format!("live/{MAINTENANCE}"), if on { "on" } else { "off" }.to_owned())];
    engine.write_files(volume, &files, &links).await?;
    Ok(on)
}
