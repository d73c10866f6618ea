//! What a value of the file becomes: everything is rendered twice, with the value and with another one, and the lines
//! that differ are the ones it decides. Nothing is read, asked or written, and secrets have stand-ins.

use std::path::Path;

use crate::base::name::ServiceName;
use crate::base::problem::Problems;
use crate::base::secret::Secret;
use crate::config::Source;
use crate::config::decode::Decode as _;
use crate::config::explain::{Change, Place, what_if};
use crate::config::interpolate::Variables;
use crate::config::shape::{Key, Shape};
use crate::config::tree::{self, Entry, Node, Part, Value};
use crate::files::Folder;
use crate::model::artifact::Artifact;
use crate::model::secrets::{SecretSource, SecretValues};
use crate::model::stack::Stack;

use super::artifacts;
use super::error::ApplyError;

/// Lines of one rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The file, as `render` names it.
    pub path: String,
    /// Line numbers, from 1, and what stands there.
    pub lines: Vec<(usize, String)>,
}

/// What a value becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// These lines would be others with another value.
    Lines(Vec<Lines>),
    /// No rendered file depends on it.
    Nothing,
    /// The stack is not valid with any other value that was tried, so nothing can be told apart.
    Unclear,
}

/// The effect of what stands at a place, or of its default.
pub fn effect(
    text: &str,
    stack: &Stack,
    place: &Place,
    variables: &Variables,
    file: &Path,
) -> Result<Effect, ApplyError> {
    let now = rendered(stack, file)?;
    let beside = Folder(file.parent().unwrap_or(Path::new("/")).to_owned());
    let source = Source { text, beside: &beside };
    let mut valid = false;
    let value = |value| vec![Change::Value(place.segments.clone(), value)];
    for changes in twin(place, stack).into_iter().chain(others(place, stack).into_iter().map(value)) {
        let Some(changed) = what_if(source, stack.stage.as_deref(), variables, changes) else { continue };
        // Another value may be one that a format refuses.
        let Ok(then) = rendered(&changed, file) else { continue };
        valid = true;
        let lines = differing(&now, &then);
        if !lines.is_empty() {
            return Ok(Effect::Lines(lines));
        }
    }
    Ok(if valid { Effect::Nothing } else { Effect::Unclear })
}

fn rendered(stack: &Stack, file: &Path) -> Result<Vec<Artifact>, ApplyError> {
    artifacts::rendered(stack, stack, &stand_ins(stack), file, (".", "/usr/local/bin/stackctl"))
}

/// A text in each secret's place.
fn stand_ins(stack: &Stack) -> SecretValues {
    let mut values: SecretValues =
        stack.secrets.keys().map(|name| (name.clone(), Secret::new(format!("[{name}]")))).collect();
    for (name, spec) in &stack.secrets {
        if let SecretSource::Derived(template) = &spec.source {
            let value = template.fill(&values);
            values.insert(name.clone(), value);
        }
    }
    values
}

/// Name that no stack has, for a service to try instead.
const TWIN: &str = "explained";

/// Where a service is named: another one of the same kind, so that it is only the name that makes the difference.
fn twin(place: &Place, stack: &Stack) -> Option<Vec<Change>> {
    fn names_one(shape: &Shape) -> bool {
        match shape {
            Shape::Either(shapes) => shapes.iter().any(names_one),
            _ => *shape == ServiceName::shape(),
        }
    }
    let named = place.written.as_ref().filter(|_| names_one(&place.shape)).map(|w| &w.value)?;
    let Value::Text(parts) = named else { return None };
    let [Part::Text(name)] = parts.as_slice() else { return None };
    stack.services.contains_key(name.as_str()).then(|| {
        let instead = Value::Text(vec![Part::Text(TWIN.to_owned())]);
        vec![
            Change::Twin { of: name.clone(), named: TWIN.to_owned() },
            Change::Value(place.segments.clone(), Some(instead)),
        ]
    })
}

/// Values to try instead, the nearest first; `None` leaves the key out.
fn others(place: &Place, stack: &Stack) -> Vec<Option<Value>> {
    let mut out = Vec::new();
    let written = place.written.as_ref().map(|w| &w.value);
    if let Some(Value::List(_) | Value::Table(_)) = written {
        out.push(None);
    }
    candidates(&place.shape, written, stack, &mut out);
    out.extend(place.key.as_ref().and_then(example).map(Some));
    if written.is_some() {
        out.push(None);
    }
    out
}

/// The value that the description of a key shows.
fn example(key: &Key) -> Option<Value> {
    let mut problems = Problems::default();
    let mut root = tree::parse(&format!("x = {}", key.example), &mut problems);
    root.take("x").filter(|_| !problems.has_errors()).map(|entry| entry.node.value)
}

fn candidates(shape: &Shape, written: Option<&Value>, stack: &Stack, out: &mut Vec<Option<Value>>) {
    let text = |text: &str| Some(Value::Text(vec![Part::Text(text.to_owned())]));
    match shape {
        Shape::Integer { min, max } => {
            let now = if let Some(Value::Integer(n)) = written { *n } else { *min };
            let near = [now.saturating_add(1), now.saturating_sub(1), *min, *max].into_iter();
            out.extend(near.filter(|n| (*min..=*max).contains(n)).map(|n| Some(Value::Integer(n))));
        }
        Shape::Number | Shape::Figure => out.extend([0.75, 1.5].map(|n| Some(Value::Float(n)))),
        Shape::Boolean => {
            let now = matches!(written, Some(Value::Boolean(true)));
            out.extend([!now, now].map(|b| Some(Value::Boolean(b))));
        }
        Shape::Word(words) => out.extend(words.iter().map(|w| text(w))),
        Shape::Text { .. } => {
            // One of these is of the right kind: sizes, durations, rates, paths, names, images, addresses.
            let kinds = [
                "333M",
                "77s",
                "77/s",
                "77/m",
                "/explained",
                "explained",
                "explained.example.com",
                "explained:/explained",
                "127.0.0.9",
                "10.99.0.0/16",
                "SIGUSR1",
                "1000:1000",
                "hex:48",
                "https://explained.example.com/directory",
            ];
            // Another tag of the same image, another name that begins alike.
            if let Some(Value::Text(parts)) = written
                && let [Part::Text(now)] = parts.as_slice()
            {
                out.push(text(&format!("{now}x")));
            }
            out.extend(stack.services.keys().map(|name| text(name.as_str())));
            out.extend(kinds.map(text));
        }
        Shape::List(item) => {
            let mut one = Vec::new();
            candidates(item, None, stack, &mut one);
            let node = |value| Node { span: 0..0, value };
            let longer = one.into_iter().flatten().map(|value| {
                let mut items = if let Some(Value::List(items)) = written { items.clone() } else { Vec::new() };
                items.push(node(value));
                Some(Value::List(items))
            });
            out.extend(longer);
        }
        Shape::Either(shapes) => shapes.iter().for_each(|s| candidates(s, written, stack, out)),
        Shape::Table(table) if written.is_none() => {
            for key in &table.keys {
                let mut one = Vec::new();
                candidates(&key.shape, None, stack, &mut one);
                out.extend(one.into_iter().flatten().take(4).map(|value| {
                    let node = Node { span: 0..0, value };
                    Some(Value::Table(vec![Entry { key: key.name.to_owned(), key_span: 0..0, node }]))
                }));
            }
        }
        Shape::Table(_) | Shape::Map { .. } => {}
    }
}

/// Lines of files that are not in the other rendering.
fn differing(now: &[Artifact], then: &[Artifact]) -> Vec<Lines> {
    let mut out = Vec::new();
    for file in now {
        let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        // Files that are named after the stack are called otherwise then.
        let renamed = || {
            then.iter().find(|f| folder(&f.path) == folder(&file.path) && !now.iter().any(|known| known.path == f.path))
        };
        let other = then.iter().find(|f| f.path == file.path).or_else(renamed).map_or("", |f| f.content.expose());
        let lines = only_in_first(file.content.expose(), other);
        if !lines.is_empty() {
            out.push(Lines { path: file.path.clone(), lines });
        }
    }
    out
}

/// Lines of the first text that a longest common subsequence of both leaves out.
fn only_in_first(first: &str, second: &str) -> Vec<(usize, String)> {
    let (now, then): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
    let head = now.iter().zip(&then).take_while(|(a, b)| a == b).count();
    let tail = now[head..].iter().rev().zip(then[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (now, then) = (&now[head..now.len() - tail], &then[head..then.len() - tail]);
    let mut longest = vec![vec![0_u32; then.len() + 1]; now.len() + 1];
    for i in (0..now.len()).rev() {
        for j in (0..then.len()).rev() {
            longest[i][j] =
                if now[i] == then[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < now.len() {
        if j < then.len() && now[i] == then[j] {
            (i, j) = (i + 1, j + 1);
        } else if j < then.len() && longest[i][j + 1] >= longest[i + 1][j] {
            j += 1;
        } else {
            out.push((head + i + 1, now[i].to_owned()));
            i += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::explain::locate;

    #[test]
    fn lines_that_differ() {
        for (first, second, expected) in [
            ("a\nb\nc", "a\nb\nc", vec![]),
            ("a\nb\nc", "a\nx\nc", vec![(2, "b")]),
            ("a\nb\nc", "a\nc", vec![(2, "b")]),
            ("a\nc", "a\nb\nc", vec![]),
            ("a\nb\na\nc", "c\na\nb", vec![(3, "a"), (4, "c")]),
            ("a", "", vec![(1, "a")]),
        ] {
            let expected: Vec<(usize, String)> = expected.into_iter().map(|(n, l)| (n, l.to_owned())).collect();
            assert_eq!(only_in_first(first, second), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn every_key_of_a_stack_has_an_effect_or_none() {
        let text = "name = \"sum\"\n[services.app]\nimage = \"a:1\"\nport = 8000\nmemory = \"512M\"\nreplicas = 2\n\
            drain = \"20s\"\n[services.app.environment]\nURL_FILE = \"${redis.url.file}\"\nLEVEL = \"info\"\n\
            [services.redis]\npreset = \"redis:7\"\n[routes]\n\"/\" = { service = \"app\", timeout = \"5m\" }\n";
        let loaded = crate::config::load(text, None, &Variables::new());
        let Some(stack) = loaded.stack else { unreachable!("{:?}", loaded.problems) };
        let effect = |path: &str| {
            let place = locate(text, None, path).unwrap_or_else(|e| unreachable!("{e}"));
            match effect(text, &stack, &place, &Variables::new(), Path::new("/srv/stack.toml")) {
                Ok(Effect::Lines(files)) => files
                    .into_iter()
                    .flat_map(|f| f.lines.into_iter().map(move |(_, l)| format!("{}: {}", f.path, l.trim())))
                    .collect(),
                other => vec![format!("{other:?}")],
            }
        };
        assert_eq!(effect("services.app.memory"), ["compose.yaml: mem_limit: \"512M\""]);
        assert_eq!(effect("routes./.timeout"), ["nginx/nginx.conf: proxy_read_timeout 300s;"]);
        assert_eq!(effect("services.redis.memory").len(), 2, "{:?}", effect("services.redis.memory"));
        assert_eq!(effect("services.app.drain"), ["nginx/nginx.conf: worker_shutdown_timeout 20s;"]);
        assert_eq!(effect("services.redis.preset"), ["compose.yaml: image: \"redis:7\""]);
        assert_eq!(effect("services.app"), ["Ok(Unclear)"]);
        assert!(effect("name").len() < 30, "{:?}", effect("name"));
        assert_eq!(effect("services.app.environment.LEVEL"), ["compose.yaml: \"LEVEL\": \"info\""]);
    }
}
