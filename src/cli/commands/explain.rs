//! `explain`

use crate::apply::explain::{Effect, effect};
use crate::base::problem::line_column;
use crate::base::units::ByteSize;
use crate::cli::args::ExplainArgs;
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;
use crate::cli::{load, session};
use crate::config::decode::Decode as _;
use crate::config::explain::{From, Place, locate};
use crate::config::print;
use crate::model::stack::Stack;
use crate::probe::CATALOGUE;
use crate::ui::error::Failure;
use crate::ui::explain::{Explanation, File, Guard, Line};

/// Which checks ask about a key: the beginning of its path (`*` for a name), and checks or families of them. The first
/// that fits counts.
const GUARDS: &[(&str, &[&str])] = &[
    ("proxy.tls", &["TLS"]),
    ("proxy.domains", &["RED-2", "TLS-6", "TLS-11"]),
    ("proxy.hsts", &["HSTS"]),
    ("proxy.headers", &["HDR"]),
    ("proxy.limit", &["RL"]),
    ("proxy.http_port", &["RED-1", "NET-1"]),
    ("proxy.https_port", &["RED-1", "NET-1"]),
    ("proxy.address", &["NET-1"]),
    ("proxy", &["NET-1", "TLS", "RED"]),
    ("routes.*.limit", &["RL"]),
    ("routes.*.websocket", &["WS"]),
    ("routes", &["HLT-1"]),
    ("services.*.healthcheck", &["HLT-1", "HLT-3"]),
    ("services.*.replicas", &["HLT-3"]),
    ("services.*.metrics", &["NET-5"]),
    ("services.*.depends_on", &["HLT-4"]),
    ("services.*.preset", &["HLT-4", "NET-2"]),
    ("services.*.port", &["HLT-1", "NET-1"]),
];

/// Runs it.
pub fn run(args: &ExplainArgs, ctx: &Context<'_>) -> anyhow::Result<ExitStatus> {
    let source = load::stack(ctx)?;
    let place = locate(&source.text, ctx.settings.stage.as_deref(), &args.path)
        .map_err(|why| Failure::usage(why).hint("all keys: docs/stack-toml.md, or `stackctl schema`"))?;
    let found = effect(&source.text, &source.stack, &place, &source.variables, &ctx.settings.path)
        .map_err(|e| session::failure(&e))?;
    let (becomes, why_nothing) = match found {
        Effect::Lines(files) => (
            files
                .into_iter()
                .map(|f| File {
                    file: f.path,
                    lines: f.lines.into_iter().map(|(number, text)| Line { number, text }).collect(),
                })
                .collect(),
            None,
        ),
        Effect::Nothing => {
            (Vec::new(), Some("no line of a rendered file; stackctl goes by it itself, when it deploys or verifies"))
        }
        Effect::Unclear => (
            Vec::new(),
            Some(
                "cannot be told apart from the rest: the stack is not valid with another value here; ask for a key below it",
            ),
        ),
    };
    let (value, from) = value(&place, &source.stack, &source.text);
    let explanation = Explanation {
        path: args.path.clone(),
        value,
        from,
        line: place.written.as_ref().map(|w| line_column(&source.text, w.span.start).0),
        text: place.key.as_ref().map(|k| k.text.clone()).unwrap_or_default(),
        takes: place.shape.words(),
        default: place.key.as_ref().map(|k| k.default.to_owned()).unwrap_or_default(),
        becomes,
        why_nothing,
        checks: guards(&place.segments),
    };
    if ctx.out.is_json() {
        let mut json = serde_json::json!(explanation);
        json["schema"] = "stackctl.explain/1".into();
        ctx.out.json(&json)?;
    } else {
        ctx.out.data(explanation.text(ctx.out))?;
    }
    Ok(ExitStatus::Done)
}

/// The value, and where it comes from.
fn value(place: &Place, stack: &Stack, text: &str) -> (Option<String>, String) {
    let line = |at: usize| line_column(text, at).0;
    if let Some(written) = &place.written {
        let shown = Some(print::value(&written.value));
        let at = line(written.span.start);
        let from = match &written.from {
            From::File => format!("line {at}"),
            From::Like(model) => format!("line {at}, taken over from `{model}`"),
            From::Stage(stage) => match &written.instead {
                Some(base) => format!("line {at}, stage {stage}, instead of line {}", line(base.start)),
                None => format!("line {at}, stage {stage}"),
            },
        };
        return (shown, from);
    }
    let default = place.key.as_ref().map(|k| k.default).unwrap_or_default();
    let of_preset = preset_value(place, stack).filter(|(value, _)| value != default);
    match of_preset {
        Some((value, preset)) => (Some(value), format!("preset {preset}")),
        None if default.is_empty() => (None, "not set".to_owned()),
        None => (Some(default.to_owned()), "default".to_owned()),
    }
}

/// What a preset puts there.
fn preset_value(place: &Place, stack: &Stack) -> Option<(String, String)> {
    let [first, name, key] = place.segments.as_slice() else { return None };
    let service = stack.services.get(name.as_str()).filter(|_| first == "services")?;
    let preset = serde_json::to_value(service.preset?).ok()?;
    let value = serde_json::to_value(service).ok()?.get(key)?.clone();
    let shown = match &value {
        serde_json::Value::Null => return None,
        serde_json::Value::Number(bytes) if place.shape == ByteSize::shape() => {
            format!("\"{}\"", ByteSize(bytes.as_u64()?))
        }
        other => other.to_string(),
    };
    (!matches!(shown.as_str(), "[]" | "{}")).then(|| (shown, preset.as_str().unwrap_or_default().to_owned()))
}

fn guards(segments: &[String]) -> Vec<Guard> {
    let fits = |pattern: &str| {
        let words: Vec<&str> = pattern.split('.').collect();
        words.len() <= segments.len()
            && words.iter().zip(segments).all(|(word, segment)| *word == "*" || word == segment)
    };
    let Some((_, names)) = GUARDS.iter().find(|(pattern, _)| fits(pattern)) else { return Vec::new() };
    CATALOGUE
        .iter()
        .filter(|check| names.iter().any(|name| check.is_called(name)))
        .map(|check| Guard { id: check.id, title: check.title })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_checks_of_the_catalogue() {
        for (pattern, names) in GUARDS {
            for name in *names {
                assert!(CATALOGUE.iter().any(|check| check.is_called(name)), "{pattern}: {name}");
            }
        }
        let way = ["routes", "/", "limit", "rate"].map(String::from);
        assert!(guards(&way).iter().all(|g| g.id.starts_with("RL-")) && !guards(&way).is_empty());
    }
}
