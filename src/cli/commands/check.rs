//! `check`

use crate::cli::args::{CheckArgs, CheckFormat};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::model::stack::Stack;
use crate::ui::problems::sarif;
use crate::ui::text::count;

/// Runs it.
pub fn run(args: &CheckArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let read = load::read(ctx)?;
    let name = ctx.settings.file.display().to_string();
    let status = if read.stack.is_some() { ExitStatus::Done } else { ExitStatus::Usage };
    let format = args.format.unwrap_or(if ctx.out.is_json() { CheckFormat::Json } else { CheckFormat::Human });
    match (format, &read.stack) {
        (CheckFormat::Json, _) => ctx.out.json(&read.json(&name))?,
        (CheckFormat::Sarif, _) => ctx.out.json(&sarif(&read.report(&name)))?,
        (CheckFormat::Human, None) => read.report(&name).show(ctx.out),
        (CheckFormat::Human, Some(stack)) => {
            if !ctx.out.is_quiet() {
                read.report(&name).show(ctx.out);
            }
            let paint = ctx.out.data_paint();
            let stage = stack.stage.as_ref().map(|s| format!(" (stage {s})")).unwrap_or_default();
            ctx.out.line(format!("{name}{stage} is {}: {}", paint.green("valid"), summary(stack)))?;
        }
    }
    Ok(status)
}

/// `6 services, 4 routes at https://www.example.com`
fn summary(stack: &Stack) -> String {
    let services = count(stack.services.len(), "service");
    match &stack.proxy {
        Some(proxy) => format!("{services}, {} at {}", count(proxy.routes.len(), "route"), proxy.url()),
        None => format!("{services}, no front door"),
    }
}
