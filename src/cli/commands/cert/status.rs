//! `cert status` and `cert trust`

use serde_json::json;

use crate::apply::certificates::{self, Database};
use crate::apply::secrets::find;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::model::certificate::{self as judge, Facts};
use crate::model::proxy::{Proxy, Tls};
use crate::model::state::State;
use crate::ui::error::Failure;
use crate::ui::text::{clean, utc, wrap};

/// What there is to tell of a certificate.
#[derive(Default)]
struct Told {
    /// Where it comes from, in words.
    source: String,
    leaf: Option<Facts>,
    /// When it is renewed, where stackctl does that.
    due: Option<u64>,
    /// What keeps it from serving.
    problems: Vec<String>,
    /// What the last attempt to get one failed with, and until when nobody asks again.
    failed: Option<(String, u64)>,
}

/// Shows the certificate that the next `up` would serve; ends with 4 if it cannot.
pub(super) async fn status(source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let encrypts = source.stack.services.values().any(|s| s.tls.is_some());
    if source.stack.proxy.is_none() && !encrypts {
        return Err(Failure::failed("there is no front door").into());
    }
    let engine = session::connect(ctx, source).await?;
    let state = engine.read_state(&source.stack.project).await.map_err(|e| session::failure(&e.into()))?;
    let state = state.unwrap_or_default();
    let databases = certificates::databases(&source.stack, &state.secrets);
    let mut told = match &source.stack.proxy {
        Some(proxy) => told(source, proxy, &state, ctx).await,
        None => Told { source: "none: there is no front door".to_owned(), ..Told::default() },
    };
    for database in &databases {
        let wrong = match &database.leaf {
            None => vec!["there is none yet: `stackctl up` makes it".to_owned()],
            leaf => over(leaf.as_ref(), session::now()),
        };
        told.problems.extend(wrong.into_iter().map(|why| format!("{}: {why}", database.service)));
    }
    if ctx.out.is_json() {
        let leaf = told.leaf.as_ref();
        ctx.out.json(&json!({
            "schema": "stackctl.certificates/1",
            "project": source.stack.project,
            "source": told.source,
            "names": leaf.map(|f| &f.names),
            "issuer": leaf.map(|f| clean(&f.issuer)),
            "not_before": leaf.map(|f| f.not_before),
            "not_after": leaf.map(|f| f.not_after),
            "sha256": leaf.map(|f| &f.print),
            "due": told.due,
            "problems": told.problems,
            "failed": told.failed.as_ref().map(|(why, _)| why),
            "quiet_until": told.failed.as_ref().map(|(_, until)| until),
            "databases": databases.iter().map(|d| json!({
                "service": d.service,
                "not_after": d.leaf.as_ref().map(|f| f.not_after),
                "sha256": d.leaf.as_ref().map(|f| &f.print),
                "due": d.leaf.as_ref().map(Facts::due),
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        show(&told, &databases, ctx)?;
    }
    Ok(if told.problems.is_empty() { ExitStatus::Done } else { ExitStatus::CheckFailed })
}

async fn told(source: &Source, proxy: &Proxy, state: &State, ctx: &Context<'_>) -> Told {
    let now = session::now();
    let first = |all: Vec<Facts>| all.into_iter().next();
    match &proxy.tls {
        Tls::Off => Told { source: "none: `tls` is off".to_owned(), ..Told::default() },
        Tls::Files { .. } => {
            let found = find(&session::wanted(ctx, source), Some(state)).await;
            let names: Vec<String> = proxy.domains.iter().map(ToString::to_string).collect();
            let mut told = Told { source: "your own files".to_owned(), ..Told::default() };
            match certificates::configured(proxy, &found.values) {
                Some((chain, key)) => {
                    told.problems = judge::judge(&chain, &key, &names, now);
                    told.leaf = judge::chain(&chain).ok().and_then(first);
                }
                None => told.problems = found.problems.into_iter().map(|(_, why)| why).collect(),
            }
            told
        }
        Tls::SelfSigned(_) => {
            let leaf = certificates::kept(&source.stack, &state.secrets).and_then(|(_, b)| certificates::facts(b).ok());
            let leaf = leaf.and_then(first);
            let mut told = Told { source: "trial, signed by the stack's own authority".to_owned(), ..Told::default() };
            told.due = leaf.as_ref().map(Facts::due);
            told.problems = over(leaf.as_ref(), now);
            if leaf.is_none() {
                told.problems = vec!["there is none yet: `stackctl up` makes it".to_owned()];
            }
            told.leaf = leaf;
            told
        }
        Tls::Acme(acme) => {
            let issued = state.secrets.get(&acme.issued).and_then(|b| certificates::facts(b).ok()).and_then(first);
            let mut told =
                Told { source: acme.directory.clone(), due: issued.as_ref().map(Facts::due), ..Told::default() };
            told.problems = over(issued.as_ref(), now);
            match &issued {
                None => told.problems.push("there is none yet: the trial certificate serves".to_owned()),
                Some(leaf) => {
                    let missing: Vec<&str> =
                        acme.names.iter().map(String::as_str).filter(|name| !leaf.covers(name)).collect();
                    if !missing.is_empty() {
                        told.problems.push(format!("it is not for {}", missing.join(", ")));
                    }
                }
            }
            let attempts = &state.attempts;
            told.failed = (attempts.failures > 0).then(|| (attempts.why.clone(), attempts.quiet_until(now)));
            told.leaf = issued;
            told
        }
    }
}

fn over(leaf: Option<&Facts>, now: u64) -> Vec<String> {
    let Some(leaf) = leaf else { return Vec::new() };
    if now < leaf.not_before {
        return vec![format!(
            "it is valid only from {} UTC on: look at the clock of this machine (`date`)",
            utc(leaf.not_before)
        )];
    }
    if now >= leaf.not_after {
        return vec![format!("it ended on {} UTC", utc(leaf.not_after))];
    }
    Vec::new()
}

fn show(told: &Told, databases: &[Database], ctx: &Context<'_>) -> anyhow::Result<()> {
    let line = |what: &str, text: &str| {
        let text = wrap(&clean(text), ctx.out.width().saturating_sub(10), 10);
        ctx.out.line(format!("{what:<10}{}", text.trim_start()))
    };
    line("source", &told.source)?;
    if let Some(leaf) = &told.leaf {
        line("names", &leaf.names.join(", "))?;
        line("issuer", &leaf.issuer)?;
        let days = leaf.not_after.saturating_sub(session::now()) / 86_400;
        line("holds", &format!("{} to {} UTC, {days} days left", utc(leaf.not_before), utc(leaf.not_after)))?;
    }
    if let Some(due) = told.due {
        line("renewed", &format!("from {} UTC on, by `stackctl cert renew`", utc(due)))?;
    }
    if let Some((why, until)) = &told.failed {
        line("failed", why)?;
        let when = if *until > session::now() {
            format!("from {} UTC on; `stackctl cert issue` asks now", utc(*until))
        } else {
            "by the next `stackctl cert renew`".to_owned()
        };
        line("", &format!("asked again {when}"))?;
    }
    for (name, leaf) in databases.iter().filter_map(|d| Some((&d.service, d.leaf.as_ref()?))) {
        let until =
            format!("its own authority's, until {} UTC; renewed from {} on", utc(leaf.not_after), utc(leaf.due()));
        line("database", &format!("{name}: {until}"))?;
    }
    for problem in &told.problems {
        line("wrong", problem)?;
    }
    Ok(())
}

/// Prints the authority of trial certificates: who trusts it meets no warning, and it can sign for nothing else.
pub(super) async fn trust(source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let engine = session::connect(ctx, source).await?;
    let state = engine.read_state(&source.stack.project).await.map_err(|e| session::failure(&e.into()))?;
    let Some(pem) = state.and_then(|state| certificates::authority(&source.stack, &state.secrets)) else {
        let failure = Failure::failed("the stack has no trial certificate, or none yet");
        return Err(failure.hint("with `tls = \"self-signed\"`, the first `stackctl up` makes it").into());
    };
    ctx.out.data(pem)?;
    ctx.out.say(
        "programs: `curl --cacert FILE`; browsers: import it as an authority; it can sign for this stack's names only",
    );
    Ok(ExitStatus::Done)
}
