//! `down`

use std::collections::BTreeMap;

use crate::apply::steps::Effects;
use crate::apply::up::{carry_out, take_lock};
use crate::cli::args::DownArgs;
use crate::cli::context::{Context, interrupted};
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::send::Here;
use crate::model::state::AuditEntry;
use crate::plan::down::down;
use crate::ui;
use crate::ui::progress::Progress;

/// Takes the stack away; its data only with `--volumes` and the consent that needs.
pub async fn run(args: &DownArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let wanted = session::wanted(ctx, &source);
    let project = &wanted.stack.project;
    let observe = async || engine.observe(project, &[]).await.map_err(|e| session::failure(&e.into()));
    let observed = observe().await?;
    let plan = down(project, &observed, args.volumes);
    if plan.is_empty() {
        ctx.out.say(format!("{project} is not there: 0 steps"));
        return Ok(ExitStatus::Done);
    }
    if args.volumes {
        let question = format!("this removes all data of {project}");
        let given = if args.yes { Some(project.as_str()) } else { args.confirm.as_deref() };
        ui::prompt::typed_consent(ctx.out, &question, project.as_str(), given, "--confirm")?;
    } else {
        ui::prompt::consent(ctx.out, &format!("this takes {project} down"), args.yes, "--yes")?;
    }
    engine.ensure_holder().await.map_err(|e| session::failure(&e.into()))?;
    let mut progress = Progress::new(ctx.out);
    let lock = take_lock(&engine, &wanted, session::now, &mut progress).await.map_err(|e| session::failure(&e))?;
    let observed = observe().await?;
    let plan = down(project, &observed, args.volumes);
    let effects = Effects {
        engine: &engine,
        project,
        domain: String::new(),
        values: None,
        contexts: &BTreeMap::new(),
        folder: wanted.folder.clone(),
        mirror: None,
        here: Here::default(),
        lock: Some(&lock),
    };
    let result = carry_out(&effects, &plan, false, interrupted(), &mut progress).await.result;
    drop(progress);
    if !args.volumes {
        let entry = AuditEntry {
            at: session::now(),
            by: wanted.by.clone(),
            what: "down".to_owned(),
            release: None,
            commit: session::commit(&wanted.folder),
            result: if result.is_ok() { "done" } else { "failed" }.to_owned(),
            error: result.as_ref().err().map(ToString::to_string),
        };
        if let Err(error) = engine.write_audit(project, &entry).await {
            ctx.out.warn(format!("the audit log could not be written: {error}"));
        }
    }
    if let Err(error) = lock.release().await {
        ctx.out.warn(format!("{error}; the engine frees the lock by itself when this program ends"));
    }
    result.map_err(|e| session::failure(&e))?;
    for note in &plan.notes {
        ctx.out.say(note);
    }
    Ok(ExitStatus::Done)
}
