//! `secrets`

mod change;
mod check;
mod encrypted;
mod list;
mod move_over;

use std::collections::BTreeMap;

use crate::apply::secrets::keep;
use crate::base::name::{SecretName, ServiceName};
use crate::base::secret::Secret;
use crate::base::suggest::nearest;
use crate::cli::args::SecretsCommand;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::{self, Source};
use crate::cli::session;
use crate::engine::Engine;
use crate::model::secrets::SecretSpec;
use crate::model::stack::Stack;
use crate::model::state::State;
use crate::ui::error::Failure;
use crate::ui::progress::Progress;
use crate::ui::text::count;

/// Runs it.
pub async fn run(command: &SecretsCommand, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    match command {
        SecretsCommand::List => list::list(&source, ctx).await,
        SecretsCommand::Get(args) => list::get(args, &source, ctx).await,
        SecretsCommand::Set(args) => change::set(args, &source, ctx).await,
        SecretsCommand::Rotate(args) => Box::pin(change::rotate(args, &source, ctx)).await,
        SecretsCommand::Pull(args) => move_over::pull(args, &source, ctx).await,
        SecretsCommand::Import(args) => move_over::import(args, &source, ctx).await,
        SecretsCommand::Edit(args) => encrypted::edit(args, &source, ctx),
        SecretsCommand::Recipients(args) => encrypted::recipients(args, &source, ctx),
        SecretsCommand::Check => check::run(&source, ctx).await,
    }
}

/// The secret somebody named, and what stack.toml says about it.
fn declared<'a>(stack: &'a Stack, name: &str) -> Result<(&'a SecretName, &'a SecretSpec), Failure> {
    if let Some(found) = stack.secrets.get_key_value(name) {
        return Ok(found);
    }
    let failure = Failure::usage(format!("there is no secret `{name}`"));
    Err(match nearest(name, stack.secrets.keys().map(SecretName::as_str)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`stackctl secrets list` shows those of this stack"),
    })
}

/// What the engine keeps of the stack.
async fn state(engine: &Engine, stack: &Stack) -> Result<Option<State>, Failure> {
    engine.read_state(&stack.project).await.map_err(|e| session::failure(&e.into()))
}

/// Puts values onto the engine, and says who gets them.
async fn keep_on_engine(
    values: &BTreeMap<SecretName, Secret>,
    source: &Source,
    engine: &Engine,
    ctx: &Context<'_>,
) -> anyhow::Result<()> {
    let wanted = session::wanted(ctx, source);
    let mut progress = Progress::new(ctx.out);
    let kept = keep::keep(engine, &wanted, values, session::now, &mut progress).await;
    drop(progress);
    kept.map_err(|e| session::failure(&e))?;
    ctx.out.say(format!("{} kept on the engine", count(values.len(), "value")));
    let mut users: Vec<&str> = values.keys().flat_map(|n| source.stack.users_of(n)).map(ServiceName::as_str).collect();
    users.sort_unstable();
    users.dedup();
    if !users.is_empty() {
        ctx.out.say(format!("the next `stackctl up` brings it to {}", users.join(", ")));
    }
    Ok(())
}
