//! `secrets list` and `secrets get`

use serde_json::json;

use crate::apply::secrets::find;
use crate::base::name::SecretName;
use crate::base::secret::Secret;
use crate::cli::args::GetArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::load::Source;
use crate::cli::session;
use crate::model::secrets::SecretSource;
use crate::ui::error::Failure;
use crate::ui::text::{clean, columns, pad};

/// One line of the list.
struct Row {
    name: String,
    line: u32,
    source: String,
    /// Seconds since its value was changed.
    age: Option<u64>,
    /// Characters of its value.
    length: Option<usize>,
    users: Vec<String>,
}

/// Shows what the engine keeps of each secret. Nothing is read from files or programs: this is for looking, often.
pub(super) async fn list(source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let stack = &source.stack;
    let engine = session::connect(ctx, source).await?;
    let state = super::state(&engine, stack).await?.unwrap_or_default();
    let rows: Vec<Row> = stack
        .secrets
        .iter()
        .map(|(name, spec)| Row {
            name: name.to_string(),
            line: spec.line,
            source: clean(&spec.source.words()),
            age: state.changed.get(name).filter(|at| **at > 0).map(|at| session::now().saturating_sub(*at)),
            length: state.secrets.get(name).map(|value| value.expose().chars().count()),
            users: users(source, name),
        })
        .collect();
    if ctx.out.is_json() {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| {
                json!({
                    "name": r.name, "line": r.line, "source": r.source, "age_seconds": r.age, "length": r.length,
                    "users": r.users,
                })
            })
            .collect();
        ctx.out.json(&json!({ "schema": "stackctl.secrets/1", "project": stack.project, "secrets": rows }))?;
        return Ok(ExitStatus::Done);
    }
    if rows.is_empty() {
        ctx.out.line("the stack has no secrets")?;
        return Ok(ExitStatus::Done);
    }
    let paint = ctx.out.data_paint();
    let name = rows.iter().map(|r| columns(&r.name)).max().unwrap_or(0).max(4);
    let from = rows.iter().map(|r| columns(&r.source)).max().unwrap_or(0).clamp(6, 34);
    let head = format!("{}  {}  {:>6}  {:>6}  USED BY", pad("NAME", name), pad("SOURCE", from), "AGE", "LENGTH");
    ctx.out.line(paint.dim(head))?;
    for row in rows {
        let age = row.age.map_or("-".to_owned(), age);
        let length = row.length.map_or("-".to_owned(), |n| n.to_string());
        ctx.out.line(format!(
            "{}  {}  {age:>6}  {length:>6}  {}",
            pad(&row.name, name),
            pad(&crate::ui::text::cut(&row.source, from), from),
            row.users.join(" ")
        ))?;
    }
    Ok(ExitStatus::Done)
}

fn users(source: &Source, name: &SecretName) -> Vec<String> {
    let mut users: Vec<String> = source.stack.users_of(name).iter().map(ToString::to_string).collect();
    let proxy = source.stack.proxy.as_ref();
    if proxy.is_some_and(|p| p.tls.secrets().contains(&name)) {
        users.push("proxy".to_owned());
    }
    users
}

/// A time span in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Prints a value, if that is really meant.
pub(super) async fn get(args: &GetArgs, source: &Source, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let (name, spec) = super::declared(&source.stack, &args.name)?;
    if !args.reveal {
        return Err(Failure::refused(format!("this prints the value of `{name}`"))
            .hint("say `--reveal` if that is what you want; `stackctl secrets list` shows all but the values")
            .into());
    }
    let value = find_one(source, name, ctx).await?;
    if value.is_none() && matches!(spec.source, SecretSource::Generate(_)) {
        return Err(Failure::failed(format!("`{name}` is made by the first `stackctl up`")).into());
    }
    let Some(value) = value else { return Err(Failure::failed(format!("`{name}` has no value")).into()) };
    if ctx.out.is_json() {
        ctx.out.json(&json!({ "schema": "stackctl.secret/1", "name": name, "value": value.expose() }))?;
    } else {
        ctx.out.line(value.expose())?;
    }
    Ok(ExitStatus::Done)
}

/// The value `up` would use. A generated one that was never deployed is none: another run would make another.
async fn find_one(source: &Source, name: &SecretName, ctx: &Context<'_>) -> anyhow::Result<Option<Secret>> {
    let engine = session::connect(ctx, source).await?;
    let state = super::state(&engine, &source.stack).await?;
    let mut wanted = session::wanted(ctx, source);
    // A part of it that is not there yet is not made up.
    let stored = state.as_ref().map(|s| &s.secrets);
    wanted.stack.secrets.retain(|other, spec| {
        !matches!(spec.source, SecretSource::Generate(_)) || stored.is_some_and(|s| s.contains_key(other))
    });
    let mut found = find(&wanted, state.as_ref()).await;
    let problem = found.problems.into_iter().find(|(other, _)| other.as_ref() == Some(name));
    match (found.values.remove(name), problem) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some((_, why))) => Err(Failure::usage(why).into()),
        (None, None) => Ok(None),
    }
}
