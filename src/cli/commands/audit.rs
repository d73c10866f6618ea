//! `audit`

use serde_json::json;

use crate::cli::args::AuditArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::ui::text::{clean, utc};

/// Shows who did what, the newest last.
pub async fn run(args: &AuditArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let project = &source.stack.project;
    let mut entries = engine.read_audit(project).await.map_err(|e| session::failure(&e.into()))?;
    let start = entries.len().saturating_sub(args.tail);
    let entries = entries.split_off(start);
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "schema": "stackctl.audit/1", "project": project, "entries": entries }))?;
        return Ok(ExitStatus::Done);
    }
    if entries.is_empty() {
        ctx.out.line(format!("nothing was done to {project} yet"))?;
    }
    for entry in &entries {
        let release = entry.release.map(|n| format!(" (release {n})")).unwrap_or_default();
        let commit = entry.commit.as_ref().map(|c| format!(" from {}", session::shown(c))).unwrap_or_default();
        let error = entry.error.as_ref().map(|e| format!(": {}", clean(e))).unwrap_or_default();
        let (by, what) = (clean(&entry.by), clean(&entry.what));
        ctx.out.line(format!("{}  {by}  {what}{release}{commit}  {}{error}", utc(entry.at), entry.result))?;
    }
    Ok(ExitStatus::Done)
}
