//! `logs`

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use serde_json::{Value, json};

use crate::cli::args::{LogsArgs, Tail};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session, target};
use crate::engine::events::Action;
use crate::engine::logs::{Line, Lines, Wanted, merged};
use crate::engine::{Engine, EngineError};
use crate::model::stack::Stack;
use crate::ui::output::WriteError;
use crate::ui::text::pad;

/// Shows what containers print, each line behind the name of its replica.
pub async fn run(args: &LogsArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::quietly(ctx)?;
    let engine = session::connect(ctx, &source).await?;
    let failed = |e: EngineError| session::failure(&e.into());
    let project = &source.stack.project;
    // Subscribed before anything is listed: what starts from now on is not missed.
    let mut events = if args.follow { Some(engine.subscribe(project).await.map_err(failed)?) } else { None };
    let containers = engine.containers(project).await.map_err(failed)?;
    let chosen = target::chosen(&containers, &args.services)?;
    let wanted = Wanted {
        since: args.since.map(|s| i64::try_from(session::now().saturating_sub(s.0.as_secs())).unwrap_or(0)),
        tail: match args.tail {
            Tail::All => None,
            Tail::Lines(lines) => Some(lines as usize),
        },
    };
    let mut printer = Printer::new(args, ctx);
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let logs = chosen.iter().map(|c| ((c.id.clone(), printer.name(target::short_name(c))), engine.log(&c.id, wanted)));
    let mut history = merged(logs.collect());
    while let Some(line) = history.next().await {
        let ((id, name), line) = line.map_err(failed)?;
        printer.print(&name, &line)?;
        last.insert(id, line.time);
    }
    let Some(events) = &mut events else { return Ok(ExitStatus::Done) };

    let mut streams: SelectAll<Tagged> = SelectAll::new();
    for container in chosen.iter().filter(|c| c.running()) {
        let since = after(last.get(&container.id), wanted);
        streams.push(tagged(&container.id, target::short_name(container), engine.follow(&container.id, since)));
    }
    loop {
        tokio::select! {
            line = streams.next(), if !streams.is_empty() => match line {
                Some((id, name, Ok(line))) => {
                    if last.get(&id).is_some_and(|seen| line.time <= *seen) {
                        continue;
                    }
                    printer.print(&name, &line)?;
                    last.insert(id, line.time);
                }
                Some((_, _, Err(error))) => return Err(failed(error).into()),
                None if nothing_runs(&engine, &source.stack, args).await => return Ok(ExitStatus::Done),
                None => {}
            },
            event = events.next() => {
                let Some(event) = event else { return Ok(ExitStatus::Done) };
                let event = event.map_err(failed)?;
                let wanted_one = args.services.is_empty() || args.services.contains(&event.service);
                if event.action == Action::Start && wanted_one {
                    let containers = engine.containers(project).await.map_err(failed)?;
                    let found = target::replicas(&containers).find(|c| c.id == event.container);
                    if let Some(container) = found {
                        let since = after(last.get(&container.id), Wanted::default());
                        let name = target::short_name(container);
                        streams.push(tagged(&container.id, name, engine.follow(&container.id, since)));
                    }
                }
            }
        }
    }
}

type Tagged = std::pin::Pin<Box<dyn futures_util::Stream<Item = (String, String, Result<Line, EngineError>)> + Send>>;

fn tagged(id: &str, name: String, lines: Lines) -> Tagged {
    let id = id.to_owned();
    lines.map(move |line| (id.clone(), name.clone(), line)).boxed()
}

/// What comes after a line that was shown: the engine counts in whole seconds, so some lines come twice.
fn after(seen: Option<&String>, wanted: Wanted) -> Wanted {
    match seen.and_then(|time| seconds(time)) {
        Some(since) => Wanted { since: Some(since), tail: None },
        None => wanted,
    }
}

/// Seconds since 1970 of `2026-11-20T15:00:00.000000000Z`.
fn seconds(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days since 1970 by years that begin in March (the leap day is then the last one).
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?)
}

async fn nothing_runs(engine: &Engine, stack: &Stack, args: &LogsArgs) -> bool {
    let Ok(containers) = engine.containers(&stack.project).await else { return true };
    !target::replicas(&containers)
        .any(|c| c.running() && (args.services.is_empty() || args.services.iter().any(|s| s == c.service())))
}

struct Printer<'a> {
    args: &'a LogsArgs,
    ctx: &'a Context<'a>,
    /// Names in the order they came: each has its colour.
    names: Vec<String>,
    width: usize,
}

impl<'a> Printer<'a> {
    fn new(args: &'a LogsArgs, ctx: &'a Context<'a>) -> Self {
        Self { args, ctx, names: Vec::new(), width: 0 }
    }

    fn name(&mut self, name: String) -> String {
        if !self.names.contains(&name) {
            self.width = self.width.max(name.len());
            self.names.push(name.clone());
        }
        name
    }

    fn print(&mut self, name: &str, line: &Line) -> Result<(), WriteError> {
        let grep = &self.args.grep;
        if !grep.is_empty() && !grep.iter().any(|text| line.text.contains(text.as_str())) {
            return Ok(());
        }
        let name = self.name(name.to_owned());
        if self.ctx.out.is_json() {
            // What a program writes as JSON stays JSON.
            let text = match serde_json::from_str::<Value>(&line.text) {
                Ok(value @ Value::Object(_)) => value,
                _ => json!(line.text),
            };
            let stream = if line.error { "stderr" } else { "stdout" };
            let value = json!({ "container": name, "time": line.time, "stream": stream, "line": text });
            return self.ctx.out.json_line(&value);
        }
        let paint = self.ctx.out.data_paint();
        let time = if self.args.timestamps { format!("{} ", paint.dim(&line.time)) } else { String::new() };
        if self.args.no_prefix {
            return self.ctx.out.line(format!("{time}{}", line.text));
        }
        let colour = self.names.iter().position(|n| *n == name).unwrap_or(0);
        let prefix = paint.nth(colour, format!("{} |", pad(&name, self.width)));
        self.ctx.out.line(format!("{prefix} {time}{}", line.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_lines() {
        for (time, expected) in [
            ("1970-01-01T00:00:00.000000000Z", Some(0)),
            ("2000-02-29T23:59:59.9Z", Some(951_868_799)),
            ("2026-11-20T12:48:38.123456789Z", Some(1_795_178_918)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("", None),
        ] {
            assert_eq!(seconds(time), expected, "{time}");
        }
    }
}
