//! `releases`

use serde_json::json;

use crate::cli::args::ReleasesArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::engine::Engine;
use crate::model::stack::Stack;
use crate::model::state::{Record, Release, State};
use crate::ui::error::Failure;
use crate::ui::text::{clean, count, pad};

use super::status::age;

/// Shows the releases that are kept, the newest first; or one with its steps and the logs of what failed.
pub async fn run(args: &ReleasesArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let state = state(&engine, &source.stack).await?;
    if let Some(number) = args.release {
        let record = record(&engine, &source.stack, &state, number).await?;
        return one(&record, ctx);
    }
    if ctx.out.is_json() {
        let current = state.current().map(|r| r.number);
        let project = &source.stack.project;
        ctx.out.json(&json!({
            "schema": "stackctl.releases/1", "project": project, "current": current, "releases": state.releases,
        }))?;
        return Ok(ExitStatus::Done);
    }
    if state.releases.is_empty() {
        ctx.out.line(format!("{} has no releases yet; `stackctl up` makes the first", source.stack.project))?;
        return Ok(ExitStatus::Done);
    }
    let current = state.current().map(|r| r.number);
    let rows: Vec<[String; 6]> = state.releases.iter().rev().map(|r| row(r, current)).collect();
    let heads = ["RELEASE", "RESULT", "AGE", "BY", "COMMIT", ""].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain(std::iter::once(&heads)).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let paint = ctx.out.data_paint();
    ctx.out.line(paint.dim(line(&heads)))?;
    for (row, release) in rows.iter().zip(state.releases.iter().rev()) {
        let text = line(row);
        ctx.out.line(if release.done() { text } else { paint.red(text) })?;
    }
    Ok(ExitStatus::Done)
}

fn row(release: &Release, current: Option<u32>) -> [String; 6] {
    let mut notes = Vec::new();
    notes.extend((current == Some(release.number)).then(|| "runs".to_owned()));
    notes.extend(release.back_to.map(|n| format!("back to {n}")));
    notes.extend(release.served.as_ref().map(ToString::to_string));
    notes.extend(release.error.as_ref().map(|e| clean(e)));
    [
        release.number.to_string(),
        release.result.clone(),
        age(session::now().saturating_sub(release.ended)),
        clean(&release.by),
        release.commit.as_deref().map(session::shown).unwrap_or_default(),
        notes.join("; "),
    ]
}

fn one(record: &Record, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let release = &record.release;
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "schema": "stackctl.release/1", "release": release, "images": record.images, "parts": record.parts,
            "steps": record.steps, "logs": record.logs, "secrets": record.secrets.keys().collect::<Vec<_>>(),
        }))?;
        return Ok(ExitStatus::Done);
    }
    let out = ctx.out;
    let back = release.back_to.map(|n| format!(", back to {n}")).unwrap_or_default();
    out.line(format!("release {}: {}{back}", release.number, release.result))?;
    let took = release.ended.saturating_sub(release.began);
    let ago = age(session::now().saturating_sub(release.ended));
    out.line(format!("by {}, {ago} ago, in {took} s, {}", clean(&release.by), count(release.steps, "step")))?;
    if let Some(commit) = &release.commit {
        out.line(format!("commit {}", clean(commit)))?;
    }
    if let Some(served) = &release.served {
        out.line(format!("visitors meanwhile: {served} ({})", clean(&served.path)))?;
    }
    if let Some(error) = &release.error {
        out.line(format!("error: {}", clean(error)))?;
    }
    out.line("")?;
    for (reference, image) in &record.images {
        out.line(format!("{reference}  {}", image.id))?;
    }
    out.line("")?;
    for step in &record.steps {
        out.line(format!("  {}", clean(step)))?;
    }
    for (container, lines) in &record.logs {
        out.line(format!("\nlast lines of {container}:"))?;
        for line in lines {
            out.line(format!("  | {}", clean(line)))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// What is kept of a stack on its engine.
pub(super) async fn state(engine: &Engine, stack: &Stack) -> anyhow::Result<State> {
    let state = engine.read_state(&stack.project).await.map_err(|e| session::failure(&e.into()))?;
    Ok(state.unwrap_or_default())
}

/// The line of a release that is kept.
pub(super) fn find<'a>(stack: &Stack, state: &'a State, number: u32) -> Result<&'a Release, Failure> {
    state.releases.iter().find(|r| r.number == number).ok_or_else(|| {
        let kept: Vec<String> = state.releases.iter().map(|r| r.number.to_string()).collect();
        let hint = match kept.as_slice() {
            [] => "there are none yet".to_owned(),
            kept => format!("kept are {}", kept.join(", ")),
        };
        Failure::failed(format!("release {number} of {} is not kept", stack.project)).hint(hint)
    })
}

/// One release with everything that is kept of it.
pub(super) async fn record(engine: &Engine, stack: &Stack, state: &State, number: u32) -> anyhow::Result<Record> {
    let release = find(stack, state, number)?;
    let record = engine.read_release(&stack.project, release).await.map_err(|e| session::failure(&e.into()))?;
    Ok(record.ok_or_else(|| Failure::failed(format!("the record of release {number} is not there any more")))?)
}
