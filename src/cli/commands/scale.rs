//! `scale`

use crate::base::suggest::nearest;
use crate::cli::args::{ScaleArgs, UpArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load;
use crate::ui::error::Failure;

use super::up;

/// As in stack.toml.
const MOST: u32 = 40;

/// Another number of replicas until the next `up`, brought about as `up` does it.
pub async fn run(args: &ScaleArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let mut source = load::stack(ctx)?;
    for (name, replicas) in &args.services {
        let Some(service) = source.stack.services.values_mut().find(|s| s.name.as_str() == name) else {
            let failure = Failure::usage(format!("there is no service `{name}` in {}", ctx.settings.file.display()));
            let names: Vec<String> = source.stack.services.keys().map(ToString::to_string).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            return Err(near.map(|n| format!("did you mean `{n}`?")).into_iter().fold(failure, Failure::hint).into());
        };
        if *replicas > MOST {
            return Err(Failure::usage(format!("`{name}` can have at most {MOST} replicas, not {replicas}")).into());
        }
        if *replicas > 1 && service.preset.is_some() {
            return Err(Failure::usage(format!("`{name}` has a preset that runs as one container"))
                .hint("several on one volume would destroy its data")
                .into());
        }
        if *replicas != service.replicas {
            ctx.out.say(format!(
                "{} says `replicas = {}` for {name}: the next `up` goes back to that",
                ctx.settings.file.display(),
                service.replicas
            ));
        }
        service.replicas = *replicas;
    }
    Box::pin(up::bring_up(
        &source,
        &UpArgs {
            yes: args.yes,
            no_verify: args.no_verify,
            plan: None,
            keep_failed: false,
            no_build: false,
            drift: false,
        },
        ctx,
    ))
    .await
}
