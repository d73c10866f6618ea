//! Where a value of the file comes from, and what the stack would be with another one.

use std::ops::Range;

use crate::base::problem::Problems;
use crate::base::suggest::nearest;
use crate::model::stack::Stack;

use super::interpolate::Variables;
use super::lower::apply_like;
use super::shape::{Key, Shape};
use super::tree::{self, Entry, Node, Value};
use super::{Source, describe, short};

/// A key of the file, written or not.
#[derive(Debug, Clone)]
pub struct Place {
    /// The way to it: `services`, `app`, `memory`.
    pub segments: Vec<String>,
    /// What may stand there.
    pub shape: Shape,
    /// Its description; names chosen by the user have none.
    pub key: Option<Key>,
    /// What is written; `None` if the key is not in the file.
    pub written: Option<Written>,
}

/// A value in the file.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where it stands.
    pub span: Range<usize>,
    /// How it got to the key.
    pub from: From,
    /// What it replaces, if an overlay wins over the file.
    pub instead: Option<Range<usize>>,
    /// The value.
    pub value: Value,
}

/// How a value got to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// It is written there.
    File,
    /// An overlay puts it there.
    Stage(String),
    /// It is taken over from another service.
    Like(String),
}

/// Something else that the file could say.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Another value at a path, or none.
    Value(Vec<String>, Option<Value>),
    /// A service of another name that is like this one in everything.
    Twin {
        /// The service.
        of: String,
        /// The other name.
        named: String,
    },
}

/// Finds a key by its path, such as `services.app.memory` or `routes."/api/".limit`. Quotes around names may be left
/// out: shells eat them. The error says what is allowed.
pub fn locate(text: &str, stage: Option<&str>, path: &str) -> Result<Place, String> {
    let base = tree::parse(text, &mut Problems::default());
    let (plain, overlay) = overlaid(&base, stage);
    let mut whole = plain.clone();
    apply_like(&mut whole, &mut Problems::default());

    let mut place = Place { segments: Vec::new(), shape: describe::file_shape(), key: None, written: None };
    let mut node = Some(&whole);
    let mut rest = path;
    while !rest.is_empty() {
        let (segment, after) = next(&place.shape, node, rest)?;
        let unknown = || unknown(&place.shape, &place.segments, &segment, node);
        let (shape, key) = below(&place.shape, &segment).ok_or_else(unknown)?;
        let there = node.and_then(|n| short::under(&place.shape, n, &segment));
        // A name that users choose must be in the file.
        if key.is_none() && there.is_none() {
            return Err(unknown());
        }
        node = there;
        place.segments.push(segment);
        (place.shape, place.key) = (shape, key);
        rest = after;
    }
    if place.segments.is_empty() {
        return Err("name a key, such as `services.app.memory`".to_owned());
    }
    place.written = node.map(|node| {
        let from_overlay = overlay.as_ref().and_then(|o| get(o, &place.segments)).is_some();
        let from = if from_overlay {
            From::Stage(stage.unwrap_or_default().to_owned())
        } else if get(&plain, &place.segments).is_none() {
            From::Like(model_of(&whole, &place.segments).unwrap_or_default())
        } else {
            From::File
        };
        let below = get(&base, &place.segments).filter(|_| from_overlay && !matches!(node.value, Value::Table(_)));
        Written { span: node.span.clone(), from, instead: below.map(|n| n.span.clone()), value: node.value.clone() }
    });
    Ok(place)
}

/// The stack of a file that says something else; `None` if it is not valid then.
pub fn what_if(source: Source<'_>, stage: Option<&str>, variables: &Variables, changes: Vec<Change>) -> Option<Stack> {
    let (mut root, _) = overlaid(&tree::parse(source.text, &mut Problems::default()), stage);
    for change in changes {
        match change {
            Change::Value(segments, value) => set(&mut root, &describe::file_shape(), &segments, value)?,
            Change::Twin { of, named } => {
                let services = &mut root.entry("services")?.node;
                let twin = Entry { key: named, ..services.get(&of)?.clone() };
                let Value::Table(entries) = &mut services.value else { return None };
                entries.push(twin);
            }
        }
    }
    let mut problems = Problems::default();
    let stack = super::build(source, root, None, stage, variables, &mut problems);
    stack.filter(|_| !problems.has_errors())
}

/// The tree with the stage's overlay on it, and the overlay.
fn overlaid(base: &Node, stage: Option<&str>) -> (Node, Option<Node>) {
    let mut root = base.clone();
    let stages = super::take_stages(&mut root, &mut Problems::default());
    let overlay = stages.into_iter().find(|(name, _)| Some(name.as_str()) == stage).map(|(_, node)| node);
    if let Some(overlay) = &overlay {
        root.overlay(overlay.clone());
    }
    (root, overlay)
}

/// What stands at a path.
fn get<'a>(root: &'a Node, segments: &[String]) -> Option<&'a Node> {
    let mut at = (describe::file_shape(), root);
    for segment in segments {
        at = (below(&at.0, segment)?.0, short::under(&at.0, at.1, segment)?);
    }
    Some(at.1)
}

fn model_of(root: &Node, segments: &[String]) -> Option<String> {
    root.get("services")?.node.get(segments.get(1)?)?.node.get("like")?.node.plain()
}

fn set(node: &mut Node, shape: &Shape, segments: &[String], value: Option<Value>) -> Option<()> {
    let (first, rest) = segments.split_first()?;
    short::write_out(shape, node);
    let span = node.span.clone();
    let Value::Table(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|e| e.key == *first);
    if rest.is_empty() {
        match (at, value) {
            (Some(at), Some(value)) => entries[at].node.value = value,
            (Some(at), None) => drop(entries.remove(at)),
            (None, value) => {
                entries.push(Entry { key: first.clone(), key_span: span.clone(), node: Node { span, value: value? } });
            }
        }
        return Some(());
    }
    let at = at.unwrap_or_else(|| {
        let node = Node { span: span.clone(), value: Value::Table(Vec::new()) };
        entries.push(Entry { key: first.clone(), key_span: span, node });
        entries.len() - 1
    });
    set(&mut entries[at].node, &below(shape, first)?.0, rest, value)
}

/// The next name of a path and what is left behind it. Names chosen by users may hold dots: the longest one that is in
/// the file wins.
fn next<'a>(shape: &Shape, node: Option<&Node>, rest: &'a str) -> Result<(String, &'a str), String> {
    for quote in ['"', '\''] {
        if let Some(inner) = rest.strip_prefix(quote) {
            let (name, after) = inner.split_once(quote).ok_or_else(|| format!("`{rest}` has an open quote"))?;
            return Ok((name.to_owned(), after.strip_prefix('.').unwrap_or(after)));
        }
    }
    if names_are_free(shape)
        && let Some(Value::Table(entries)) = node.map(|n| &n.value)
    {
        let fits = |key: &str| rest.strip_prefix(key).is_some_and(|after| after.is_empty() || after.starts_with('.'));
        if let Some(entry) = entries.iter().filter(|e| fits(&e.key)).max_by_key(|e| e.key.len()) {
            let after = &rest[entry.key.len()..];
            return Ok((entry.key.clone(), after.strip_prefix('.').unwrap_or(after)));
        }
    }
    let (name, after) = rest.split_once('.').unwrap_or((rest, ""));
    Ok((name.to_owned(), after))
}

fn names_are_free(shape: &Shape) -> bool {
    match shape {
        Shape::Map { .. } => true,
        Shape::Either(shapes) => shapes.iter().any(names_are_free),
        _ => false,
    }
}

/// What may stand under a name, and the description of that key; names that users choose have none.
fn below(shape: &Shape, segment: &str) -> Option<(Shape, Option<Key>)> {
    match shape {
        Shape::Table(table) => {
            table.keys.iter().find(|k| k.name == segment).map(|k| (k.shape.clone(), Some(k.clone())))
        }
        Shape::Map { value, .. } => Some(((**value).clone(), None)),
        Shape::Either(shapes) => shapes.iter().find_map(|s| below(s, segment)),
        _ => None,
    }
}

fn unknown(shape: &Shape, way: &[String], segment: &str, node: Option<&Node>) -> String {
    let mut names: Vec<String> = Vec::new();
    collect(shape, node, &mut names);
    let at = if way.is_empty() { "the file".to_owned() } else { format!("`{}`", way.join(".")) };
    match nearest(segment, names.iter().map(String::as_str)) {
        Some(near) => format!("{at} has no `{segment}`; did you mean `{near}`?"),
        None if names.is_empty() => format!("{at} has nothing below it"),
        None => format!("{at} has no `{segment}`; it has {}", names.join(", ")),
    }
}

fn collect(shape: &Shape, node: Option<&Node>, out: &mut Vec<String>) {
    match shape {
        Shape::Table(table) => out.extend(table.keys.iter().map(|k| k.name.to_owned())),
        Shape::Map { .. } => {
            if let Some(Value::Table(entries)) = node.map(|n| &n.value) {
                out.extend(entries.iter().map(|e| e.key.clone()));
            }
        }
        Shape::Either(shapes) => shapes.iter().for_each(|s| collect(s, node, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"sum\"\n[services.app]\nimage = \"a:1\"\nport = 8000\nreplicas = 3\n\
        [services.worker]\nlike = \"app\"\n[routes]\n\"/\" = \"app\"\n\"/v1.0/\" = { service = \"app\", websocket = true }\n\
        [stages.staging]\nservices.app.replicas = 1\n";

    fn found(stage: Option<&str>, path: &str) -> Result<(String, Option<(String, From)>), String> {
        locate(TEXT, stage, path).map(|place| {
            let written = place.written.map(|w| (TEXT[w.span].to_owned(), w.from));
            (place.segments.join("|"), written)
        })
    }

    #[test]
    fn where_values_come_from() {
        let file = |text: &str| Some((text.to_owned(), From::File));
        for (stage, path, segments, written) in [
            (None, "services.app.replicas", "services|app|replicas", file("3")),
            (
                Some("staging"),
                "services.app.replicas",
                "services|app|replicas",
                Some(("1".into(), From::Stage("staging".into()))),
            ),
            (
                None,
                "services.worker.image",
                "services|worker|image",
                Some(("\"a:1\"".into(), From::Like("app".into()))),
            ),
            (None, "services.app.memory", "services|app|memory", None),
            (None, "routes.\"/v1.0/\".websocket", "routes|/v1.0/|websocket", file("true")),
            (None, "routes./v1.0/.websocket", "routes|/v1.0/|websocket", file("true")),
            (None, "proxy.hsts", "proxy|hsts", None),
            (None, "routes./", "routes|/", file("\"app\"")),
            (None, "routes./.service", "routes|/|service", file("\"app\"")),
            (None, "routes./.limit.rate", "routes|/|limit|rate", None),
            (None, "services.app.build.target", "services|app|build|target", None),
        ] {
            assert_eq!(found(stage, path), Ok((segments.to_owned(), written)), "{path}");
        }
    }

    #[test]
    fn paths_to_nowhere_get_an_answer() {
        for (path, answer) in [
            ("", "name a key, such as `services.app.memory`"),
            ("servics", "the file has no `servics`; did you mean `services`?"),
            ("services.ap.port", "`services` has no `ap`; did you mean `app`?"),
            ("services.app.port.x", "`services.app.port` has nothing below it"),
            ("routes.\"/", "`\"/` has an open quote"),
        ] {
            assert_eq!(found(None, path).err().as_deref(), Some(answer), "{path}");
        }
    }

    #[test]
    fn another_value_makes_another_stack() {
        let way: Vec<String> = ["services", "app", "replicas"].map(String::from).to_vec();
        let source = Source { text: TEXT, beside: &crate::config::beside::Nothing };
        let with = |value| {
            let change = Change::Value(way.clone(), value);
            what_if(source, None, &Variables::new(), vec![change]).map(|s| s.services["app"].replicas)
        };
        assert_eq!(with(Some(Value::Integer(5))), Some(5));
        assert_eq!(with(None), Some(1));
        assert_eq!(with(Some(Value::Integer(500))), None);
    }

    #[test]
    fn a_short_form_is_written_out_where_something_is_put_beside_it() {
        let source = Source { text: TEXT, beside: &crate::config::beside::Nothing };
        let path = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let routes = |changes| {
            let stack = what_if(source, None, &Variables::new(), changes)?;
            let leads = |route: &crate::model::proxy::Route, name: &str| {
                crate::base::name::ServiceName::parse(name).is_some_and(|name| route.leads_to(&name))
            };
            let shown = |r: &crate::model::proxy::Route| format!("{} {} {}", r.path, r.websocket, leads(r, "twin"));
            Some(stack.proxy?.routes.iter().map(shown).collect::<Vec<_>>())
        };
        let websocket = Change::Value(path(&["routes", "/", "websocket"]), Some(Value::Boolean(true)));
        assert_eq!(routes(vec![websocket]), Some(vec!["/v1.0/ true false".to_owned(), "/ true false".to_owned()]));
        let twin = Change::Twin { of: "app".into(), named: "twin".into() };
        let name = Value::Text(vec![tree::Part::Text("twin".into())]);
        let other = Change::Value(path(&["routes", "/"]), Some(name));
        assert_eq!(routes(vec![other.clone()]), None, "there is no such service");
        assert_eq!(routes(vec![twin, other]), Some(vec!["/v1.0/ true false".to_owned(), "/ false true".to_owned()]));
    }
}
