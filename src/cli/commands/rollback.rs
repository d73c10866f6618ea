//! `rollback`

use std::time::Duration;

use crate::apply::{self, Terms};
use crate::cli::args::RollbackArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::cli::session;
use crate::model::state::State;
use crate::plan::{Action, Step};
use crate::probe::Options;
use crate::ui;
use crate::ui::error::Failure;

use super::releases::{record, state};
use super::{up, verify};

/// Longest time for the checks at the end.
const GATE: Duration = Duration::from_secs(30);

/// Makes a release again, by the same path as any other: what runs is replaced beside it, asked, switched.
pub async fn run(args: &RollbackArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let state = state(&engine, &source.stack).await?;
    let number = match args.release {
        Some(number) => number,
        None => before(&state)?,
    };
    let record = record(&engine, &source.stack, &state, number).await?;
    if !record.release.done() {
        return Err(Failure::refused(format!("release {number} failed; there is nothing to go back to")).into());
    }
    let wanted = apply::back_to(&record, &session::wanted(ctx, &source));
    let prepared = apply::prepare(&engine, &wanted).await.map_err(|e| session::failure(&e))?;
    if prepared.plan.is_empty() {
        ctx.out.say(format!("{} is as in release {number}: 0 steps", wanted.stack.project));
        return Ok(ExitStatus::Done);
    }
    let jobs = wanted.stack.services.values().any(|s| s.pre_deploy.is_some());
    if args.check {
        if ctx.out.is_json() {
            ctx.out.json(&ui::plan::json(&prepared.plan))?;
        } else {
            let (paint, width) = (ctx.out.data_paint(), ctx.out.width());
            ctx.out.data(ui::plan::human(&prepared.plan, paint, width, ctx.out.is_verbose()))?;
        }
        let again: Vec<&str> = prepared.plan.steps.iter().filter_map(pulled).collect();
        ctx.out.say(if again.is_empty() {
            format!("release {number} can be done again: its record and its images are there")
        } else {
            let names = again.join(", ");
            format!("release {number} can be done again if the registry still has what the engine has not: {names}")
        });
        return Ok(ExitStatus::Done);
    }
    if jobs {
        ctx.out
            .warn("`pre_deploy` does not run, and data stays as it is: only a program that can work with it goes back");
    }
    if prepared.plan.needs_consent() && !args.yes {
        let (paint, width) = (ctx.out.talk_paint(), ctx.out.width());
        ctx.out.say(ui::plan::human(&prepared.plan, paint, width, false));
    }
    if prepared.plan.needs_consent() {
        ui::prompt::consent(ctx.out, "going back interrupts service", args.yes, "--yes")?;
    }
    let terms = Terms { consent: prepared.plan.needs_consent() || args.yes, ..Terms::default() };
    let deployed = up::deploy(&engine, &wanted, terms, ctx).await?;
    up::say_deployed(&deployed, ctx);
    ctx.out.say(format!(
        "this is release {number} again; {} is as it was: `stackctl plan` shows what `up` would change",
        ctx.settings.file.display()
    ));
    if args.no_verify {
        return Ok(ExitStatus::Done);
    }
    let options = Options { gate: true, deadline: GATE, ..Options::default() };
    verify::report(&engine, &wanted, &options, &verify::Shown::Problems, ctx).await
}

/// The image that a step pulls.
fn pulled(step: &Step) -> Option<&str> {
    match &step.action {
        Action::Pull { image } => Some(image),
        _ => None,
    }
}

/// The release before the one that runs.
fn before(state: &State) -> Result<u32, Failure> {
    let mut done = state.releases.iter().rev().filter(|r| r.done());
    let current = done.next().ok_or_else(|| Failure::failed("no release has come to its end yet"))?;
    // Going back twice goes back further, and not to where one has just come from.
    let from = current.back_to.unwrap_or(current.number);
    let older = state.releases.iter().rev().find(|r| r.done() && r.number < from && r.back_to.is_none());
    older.map(|r| r.number).ok_or_else(|| Failure::failed(format!("no release before {from} is kept")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Release;

    #[test]
    fn back_is_always_further_back() {
        let release = |number, result: &str, back_to| Release {
            number,
            back_to,
            result: result.to_owned(),
            ..Release::default()
        };
        let mut state = State { releases: vec![release(1, "done", None)], ..State::default() };
        assert!(before(&state).is_err(), "nothing before the first");
        state.releases.extend([release(2, "done", None), release(3, "failed", None), release(4, "done", None)]);
        assert_eq!(before(&state).ok(), Some(2), "what failed never ran");
        state.releases.push(release(5, "done", Some(2)));
        assert_eq!(before(&state).ok(), Some(1));
    }
}
