//! `cert issue`, `cert renew`, `cert import`: the certificate changes, and what is served is looked at.

use std::time::Duration;

use serde_json::json;

use crate::apply::Wanted;
use crate::apply::certificates::{self, Asking, Outcome};
use crate::base::name::ProjectName;
use crate::cli::args::{CertImportArgs, IssueArgs};
use crate::cli::commands::verify;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::engine::Engine;
use crate::files::private::read_private;
use crate::files::read_text;
use crate::model::certificate::Facts;
use crate::model::proxy::{Proxy, Tls};
use crate::probe;
use crate::ui::error::Failure;
use crate::ui::progress::Progress;
use crate::ui::text::utc;

pub(super) async fn issue(args: &IssueArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let asking = match (args.staging, args.anew) {
        (true, _) => Asking::Staging,
        (_, true) => Asking::Anew,
        _ => Asking::Now,
    };
    ask(asking, source, ctx).await
}

pub(super) async fn renew(source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    if !asks_for_one(source) && source.stack.services.values().all(|s| s.tls.is_none()) {
        // A timer may ask of any stack.
        ctx.out.say("nothing to renew: stackctl asks for no certificate of this stack");
        return Ok(ExitStatus::Done);
    }
    ask(Asking::WhenDue, source, ctx).await
}

/// Whether the front door's certificate is one that stackctl makes or asks for.
fn asks_for_one(source: &Source) -> bool {
    source.stack.proxy.as_ref().is_some_and(|p| !matches!(p.tls, Tls::Off | Tls::Files { .. }))
}

async fn ask(asking: Asking, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let engine = session::connect(ctx, source).await?;
    let wanted = session::wanted(ctx, source);
    let mut progress = Progress::new(ctx.out);
    let databases = certificates::renew_databases(&engine, &wanted, asking, session::now, &mut progress).await;
    drop(progress);
    let databases = databases.map_err(|e| session::failure(&e))?;
    for (service, outcome) in &databases {
        match outcome {
            Outcome::Renewed(leaf) => {
                ctx.out.say(format!("{service}: new certificate until {} UTC", utc(leaf.not_after)));
            }
            Outcome::Kept(due) => {
                ctx.out.say(format!("{service}: the certificate holds: renewed from {} UTC on", utc(*due)));
            }
            Outcome::Waiting(..) | Outcome::Tried => {}
        }
    }
    if !databases.is_empty() && !asks_for_one(source) {
        let renewed = databases.iter().any(|(_, o)| matches!(o, Outcome::Renewed(_)));
        if ctx.out.is_json() {
            say(&source.stack.project, if renewed { "renewed" } else { "kept" }, None, "", ctx)?;
        }
        return Ok(ExitStatus::Done);
    }
    let mut progress = Progress::new(ctx.out);
    let outcome = certificates::renew(&engine, &wanted, asking, session::now, &mut progress).await;
    drop(progress);
    tell(&outcome.map_err(|e| session::failure(&e))?, &engine, &wanted, ctx).await
}

pub(super) async fn import(args: &CertImportArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let usage = |error: crate::files::FilesError| Failure::usage(error.to_string());
    let chain = read_text(&ctx.env.cwd.join(&args.chain)).map_err(usage)?;
    let key = read_private(&ctx.env.cwd.join(&args.key)).map_err(Failure::usage)?;
    let engine = session::connect(ctx, source).await?;
    let wanted = session::wanted(ctx, source);
    let mut progress = Progress::new(ctx.out);
    // As files end; the key comes first where both are kept together.
    let key = crate::base::secret::Secret::new(format!("{}\n", key.expose().trim_end()));
    let outcome = certificates::import(&engine, &wanted, &chain, &key, session::now, &mut progress).await;
    drop(progress);
    tell(&outcome.map_err(|e| session::failure(&e))?, &engine, &wanted, ctx).await
}

/// The first certificate of a stack that came up: until then, the trial one serves.
pub(in crate::cli::commands) async fn after_up(
    engine: &Engine,
    wanted: &Wanted,
    ctx: &Context<'_>,
) -> anyhow::Result<()> {
    if !wanted.stack.proxy.as_ref().is_some_and(|p| matches!(p.tls, Tls::Acme(_))) {
        return Ok(());
    }
    let state = engine.read_state(&wanted.stack.project).await.map_err(|e| session::failure(&e.into()))?;
    if !state.is_some_and(|state| certificates::lacking(&wanted.stack, &state, session::now())) {
        return Ok(());
    }
    let mut progress = Progress::new(ctx.out);
    let outcome = certificates::renew(engine, wanted, Asking::WhenDue, session::now, &mut progress).await;
    drop(progress);
    match outcome.map_err(|e| session::failure(&e))? {
        Outcome::Renewed(facts) => {
            ctx.out.say(format!("certificate for {} until {}", facts.names.join(", "), utc(facts.not_after)));
            Ok(())
        }
        waiting @ Outcome::Waiting(..) => Err(late(&waiting).into()),
        Outcome::Kept(_) | Outcome::Tried => Ok(()),
    }
}

/// Nobody asks again before the pause is over.
fn late(outcome: &Outcome) -> Failure {
    let Outcome::Waiting(until, why) = outcome else { return Failure::failed("there is no certificate") };
    Failure::failed(format!("a certificate is due, and asking for it failed: {why}"))
        .hint(format!("`stackctl cert renew` asks again from {} UTC on; `stackctl cert issue` asks now", utc(*until)))
}

async fn tell(outcome: &Outcome, engine: &Engine, wanted: &Wanted, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let project = &wanted.stack.project;
    match outcome {
        Outcome::Kept(due) => {
            say(project, "kept", None, &format!("the certificate holds: renewed from {} UTC on", utc(*due)), ctx)?;
        }
        Outcome::Tried => say(
            project,
            "tried",
            None,
            "it would work: the authority's directory for trying things out gave a certificate, which is not kept",
            ctx,
        )?,
        Outcome::Waiting(..) => return Err(late(outcome).into()),
        Outcome::Renewed(facts) => {
            let told = format!("new certificate for {} until {} UTC", facts.names.join(", "), utc(facts.not_after));
            served(facts, engine, wanted, ctx).await?;
            say(project, "renewed", Some(facts), &told, ctx)?;
        }
    }
    Ok(ExitStatus::Done)
}

fn say(
    project: &ProjectName,
    result: &str,
    facts: Option<&Facts>,
    text: &str,
    ctx: &Context<'_>,
) -> anyhow::Result<()> {
    if ctx.out.is_json() {
        let until = facts.map(|f| f.not_after);
        let names = facts.map(|f| f.names.clone());
        let document = json!({
            "schema": "stackctl.certificate/1", "project": project, "result": result, "names": names, "not_after": until,
        });
        ctx.out.json(&document)?;
    } else {
        ctx.out.line(text)?;
    }
    Ok(())
}

/// How long a new certificate may take to be what visitors see.
const SEEN: Duration = Duration::from_secs(10);

/// Shakes hands with the front door until it shows the new certificate.
async fn served(facts: &Facts, engine: &Engine, wanted: &Wanted, ctx: &Context<'_>) -> anyhow::Result<()> {
    let name = wanted.stack.proxy.as_ref().map_or("localhost", Proxy::canonical);
    let target = verify::target(engine, wanted.stack.proxy.as_ref()).await?;
    let Some(address) = target.https else { return Ok(()) };
    let began = std::time::Instant::now();
    loop {
        match probe::shown(address, name).await {
            Ok(print) if print == facts.print => return Ok(()),
            Ok(_) if began.elapsed() < SEEN => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(_) => {
                return Err(Failure::failed(format!("the new certificate is kept, and {name} shows another one"))
                    .hint("`stackctl up` loads it; `stackctl verify --only TLS` looks again")
                    .into());
            }
            Err(why) => {
                ctx.out.warn(format!("what is served could not be looked at: {why}"));
                return Ok(());
            }
        }
    }
}
