//! `diff`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::args::DiffArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::model::parts::{Parts, changes};
use crate::model::state::Record;
use crate::ui::error::Failure;
use crate::ui::text::clean;

use super::releases::{record, state};

/// Shows what differs between two releases, service by service.
pub async fn run(args: &DiffArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let state = state(&engine, &source.stack).await?;
    let current = state.current().map(|r| r.number);
    let to = args.to.or(current).ok_or_else(|| Failure::failed("no release has come to its end yet"))?;
    let from = record(&engine, &source.stack, &state, args.from).await?;
    let to = record(&engine, &source.stack, &state, to).await?;
    let found = differences(&from, &to);
    if ctx.out.is_json() {
        let services: Vec<_> =
            found.iter().map(|(service, what)| json!({ "service": service, "changes": what })).collect();
        ctx.out.json(&json!({
            "schema": "stackctl.diff/1", "from": from.release.number, "to": to.release.number, "services": services,
        }))?;
        return Ok(ExitStatus::Done);
    }
    if found.is_empty() {
        ctx.out.line(format!("releases {} and {} are the same", from.release.number, to.release.number))?;
    }
    let paint = ctx.out.data_paint();
    for (service, what) in found {
        ctx.out.line(paint.bold(service))?;
        for change in what {
            ctx.out.line(format!("  {}", clean(&change)))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// By service, what is different; images by what they are, not only by what they are called.
fn differences(from: &Record, to: &Record) -> BTreeMap<String, Vec<String>> {
    let names: BTreeSet<&String> = from.parts.keys().chain(to.parts.keys()).collect();
    let mut out = BTreeMap::new();
    for name in names {
        let what = match (from.parts.get(name), to.parts.get(name)) {
            (Some(before), Some(after)) => {
                let mut what = changes(before, after);
                let id = |record: &Record, parts: &Parts| {
                    parts.get("image").and_then(|reference| record.images.get(reference)).map(|i| i.id.clone())
                };
                let (old, new) = (id(from, before), id(to, after));
                if before.get("image") == after.get("image") && old.is_some() && new.is_some() && old != new {
                    let image = before.get("image").map_or("", String::as_str);
                    what.insert(0, format!("image digest moved: {image} is another image"));
                }
                what
            }
            (None, _) => vec!["is new".to_owned()],
            (_, None) => vec!["is gone".to_owned()],
        };
        if !what.is_empty() {
            out.insert(name.clone(), what);
        }
    }
    out
}
