//! `secrets set` and `secrets rotate`

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::apply;
use crate::apply::secrets::{keep, too_weak};
use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::cli::args::{RotateArgs, SetArgs};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::files::private::read_private;
use crate::model::secrets::SecretSource;
use crate::model::service::Preset;
use crate::ui::error::Failure;
use crate::ui::progress::Progress;
use crate::ui::prompt;

/// Longest value that is read from standard input.
const LONGEST: u64 = 1 << 20;

/// Gives a secret a value, where its source is something stackctl can write.
pub(super) async fn set(args: &SetArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let (name, spec) = super::declared(&source.stack, &args.name)?;
    let elsewhere = |what: String| Failure::refused(format!("`{name}` {what}"));
    match &spec.source {
        SecretSource::File(path) => return Err(elsewhere(format!("comes from {path}; write it there")).into()),
        SecretSource::Command { .. } => {
            return Err(elsewhere("is what a command prints; change it where that gets it from".to_owned()).into());
        }
        SecretSource::Issued => {
            return Err(elsewhere("is a certificate; `stackctl cert import` takes one over".to_owned()).into());
        }
        SecretSource::Derived(_) | SecretSource::PublicOf(_) => {
            return Err(elsewhere("is made from another; set that one".to_owned()).into());
        }
        SecretSource::Generate(_) | SecretSource::Env(_) | SecretSource::Stored | SecretSource::Age(_) => {}
    }
    let value = value(args, name, ctx)?;
    if let Some(why) = too_weak(&source.stack, spec, &value) {
        return Err(Failure::refused(format!("`{name}`: {why}")).into());
    }
    if let SecretSource::Age(path) = &spec.source {
        let path = source.folder.join(path);
        super::encrypted::change(&path, ctx, |entries| drop(entries.insert(name.clone(), value)))?;
        ctx.out.say(format!("`{name}` written into {}", path.display()));
        return Ok(ExitStatus::Done);
    }
    let engine = session::connect(ctx, source).await?;
    let observed = engine.observe(&source.stack.project, &[]).await.map_err(|e| session::failure(&e.into()))?;
    if let Some(why) = keep::bound(&source.stack, &observed, name) {
        return Err(Failure::refused(why).into());
    }
    if let SecretSource::Env(variable) = &spec.source
        && source.variables.get(variable).is_some_and(|v| !v.is_empty() && v != value.expose())
    {
        ctx.out.warn(format!("`{variable}` is set here, and wins over what is kept on the engine"));
    }
    super::keep_on_engine(&BTreeMap::from([(name.clone(), value)]), source, &engine, ctx).await?;
    Ok(ExitStatus::Done)
}

/// From a file, a prompt, or standard input: never from the command line, which everybody on the machine can read.
fn value(args: &SetArgs, name: &SecretName, ctx: &Context<'_>) -> anyhow::Result<Secret> {
    let value = if let Some(path) = &args.from {
        read_private(&ctx.env.cwd.join(path)).map_err(Failure::usage)?
    } else if ctx.out.can_prompt() {
        prompt::secret(ctx.out, &format!("Value of {name}"))?
    } else {
        let mut bytes = Vec::new();
        std::io::stdin()
            .take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::failed("cannot read standard input").because(e))?;
        if bytes.len() as u64 > LONGEST {
            return Err(Failure::usage("what comes from standard input is longer than 1 MiB").into());
        }
        let text = String::from_utf8(bytes).map_err(|_| Failure::usage("what comes from standard input is no text"))?;
        Secret::new(text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)))
    };
    if value.expose().trim().is_empty() {
        return Err(Failure::usage("the value is empty")
            .hint("type it, pipe it in, or name a file with `--from`")
            .into());
    }
    if value.expose().contains('\0') {
        return Err(
            Failure::usage("the value holds a NUL character, which no environment and few programs take").into()
        );
    }
    Ok(value)
}

/// Makes generated secrets anew.
pub(super) async fn rotate(args: &RotateArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let stack = &source.stack;
    let engine = session::connect(ctx, source).await?;
    let observed = engine.observe(&stack.project, &[]).await.map_err(|e| session::failure(&e.into()))?;
    let mut values = BTreeMap::new();
    let mut in_steps = Vec::new();
    for name in &args.names {
        let (name, spec) = super::declared(stack, name)?;
        if let Some(service) = apply::rotate::database(stack, &observed, name) {
            in_steps.push((name, service));
            continue;
        }
        if let Some(why) = keep::bound(stack, &observed, name) {
            let next = "where it runs, its password is rotated in steps: `stackctl up` starts it";
            return Err(Failure::refused(why).hint(next).into());
        }
        let fresh = keep::fresh(&spec.source).map_err(Failure::failed)?;
        let Some(value) = fresh else {
            let why = format!("`{name}` is not generated ({})", spec.source.words());
            return Err(Failure::refused(why)
                .hint(format!("`stackctl secrets set {name}` gives it a new value"))
                .into());
        };
        values.insert(name.clone(), value);
    }
    let state = observed.state.clone().unwrap_or_default();
    for (name, service) in &in_steps {
        ctx.out.say(format!("`{name}`:"));
        for (sentence, number) in apply::rotate::told(stack, &state, service, name).into_iter().zip(1..) {
            ctx.out.say(format!("  {number}. {sentence}"));
        }
    }
    let names: Vec<String> =
        values.keys().chain(in_steps.iter().map(|(name, _)| *name)).map(|n| format!("`{n}`")).collect();
    prompt::consent(ctx.out, &format!("the old value of {} is lost", names.join(", ")), args.yes, "--yes")?;
    if !values.is_empty() {
        super::keep_on_engine(&values, source, &engine, ctx).await?;
    }
    let wanted = session::wanted(ctx, source);
    for (name, service) in in_steps {
        let mut progress = Progress::new(ctx.out);
        let rotated = Box::pin(apply::rotate::rotate(&engine, &wanted, name, session::now, &mut progress)).await;
        drop(progress);
        rotated.map_err(|error| {
            let next = format!("`stackctl secrets rotate {name}` goes on from there");
            // Grafana has one password a user: whoever has the old one may be refused already.
            let both = service.preset != Some(Preset::Grafana);
            session::failure(&error).hint(if both { format!("nobody is locked out; {next}") } else { next })
        })?;
        ctx.out.say(format!("`{name}` is another one, and the old one is refused"));
    }
    Ok(ExitStatus::Done)
}
