//! What was found while a release ran, kept with it on the engine.

use crate::cli::commands::releases;
use crate::cli::context::Context;
use crate::cli::session;
use crate::engine::Engine;
use crate::model::finding::Finding;
use crate::model::stack::Stack;
use crate::model::state::Release;
use crate::model::verdicts::Verdicts;
use crate::ui::error::Failure;
use crate::ui::reports::earlier::Earlier;

/// What was found of a release.
pub(super) async fn of_release(engine: &Engine, stack: &Stack, number: u32) -> anyhow::Result<Earlier> {
    let state = releases::state(engine, stack).await?;
    let release = releases::find(stack, &state, number)?;
    let kept = engine.read_verdicts(&stack.project, release).await.map_err(|e| session::failure(&e.into()))?;
    let Some(kept) = kept.filter(|kept| !kept.is_empty()) else {
        let none = Failure::failed(format!("nothing is kept of what `verify` found of release {number}"));
        return Err(none.hint("`up` and `verify` keep it with the release that runs").into());
    };
    Ok(Earlier::of(&kept))
}

/// Keeps what was found with the release that runs. Who may only read the engine can verify, too: then it is said.
pub(super) async fn keep(engine: &Engine, stack: &Stack, release: &Release, found: &[Finding], ctx: &Context<'_>) {
    let kept = async {
        let before = engine.read_verdicts(&stack.project, release).await?;
        let mut all = before.clone().unwrap_or_else(|| Verdicts::of(release.number));
        all.add(found);
        if before.as_ref() == Some(&all) {
            return Ok(());
        }
        engine.write_verdicts(&stack.project, release, &all).await
    };
    if let Err(error) = kept.await {
        ctx.out.warn(format!("what was found is not kept with release {}: {error}", release.number));
    }
}
