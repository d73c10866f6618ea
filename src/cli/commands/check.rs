//! `check`

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::{self, Source};
use crate::model::stack::Stack;
use crate::ui::problems::Report;
use crate::ui::text::count;

/// Runs it.
pub fn run(ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let Source { stack, text, warnings, .. } = load::stack_and_warnings(ctx)?;
    let name = ctx.settings.file.display().to_string();
    let report = Report { file: &name, text: &text, problems: &warnings };
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "schema": "stackctl.check/1", "file": name, "valid": true, "problems": report.json(), "stack": stack,
        }))?;
        return Ok(ExitStatus::Done);
    }
    if !ctx.out.is_quiet() {
        report.show(ctx.out);
    }
    let paint = ctx.out.data_paint();
    let stage = stack.stage.as_ref().map(|s| format!(" (stage {s})")).unwrap_or_default();
    ctx.out.line(format!("{name}{stage} is {}: {}", paint.green("valid"), summary(&stack)))?;
    Ok(ExitStatus::Done)
}

/// `6 services, 4 routes at https://www.example.com`
fn summary(stack: &Stack) -> String {
    let services = count(stack.services.len(), "service");
    match &stack.proxy {
        Some(proxy) => format!("{services}, {} at {}", count(proxy.routes.len(), "route"), proxy.url()),
        None => format!("{services}, no front door"),
    }
}
