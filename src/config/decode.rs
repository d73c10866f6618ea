//! Decoding of the tree by the description, reporting every problem at its place instead of stopping at the first.

use std::ops::Range;

use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;

use super::shape::Shape;
use super::tree::{Entry, Node, Value};

/// A decoded value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Something a node can be decoded into.
pub trait Decode: Sized {
    /// What it accepts.
    fn shape() -> Shape;

    /// Decodes, or reports why not and returns nothing.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;
}

/// Names of Compose that are not ours, and what to write instead.
const COMPOSE_WORDS: &[(&str, &str)] = &[
    (
        "ports",
        "nothing but the proxy is published; write `port = N` and a route in `[routes]`; for tools on the host, `publish = [\"127.0.0.1:15432:5432\"]`",
    ),
    ("expose", "write `port = N`"),
    ("networks", "networks are made for you: a service is reached only by those that depend on it"),
    ("container_name", "containers are named `<name>-<service>-<n>`, as Compose names them"),
    ("mem_limit", "write `memory = \"512M\"`"),
    ("pids_limit", "write `pids = N`"),
    ("resources", "write `cpus` and `memory` in the service itself"),
    ("update_config", "write `parallel`, `order` and `watch` in `deploy` itself"),
    ("parallelism", "write `parallel = N`"),
    ("monitor", "write `watch = \"30s\"`"),
    ("scale", "write `replicas = N`"),
    ("health_check", "write `healthcheck = \"/health\"`"),
    ("links", "write `depends_on = [\"service\"]`"),
    ("test", "write `path = \"/health\"`, or `command = [\"program\", \"argument\"]`"),
    ("network_mode", "networks are made for you; `egress = false` takes the way out away"),
    ("profiles", "write stages: `[stages.dev]`"),
    ("security_opt", "no-new-privileges is always set, and nothing takes it away"),
    ("hostname", "a service is reached by its own name"),
    ("privileged", "containers get no privileges; name the capability in `cap_add`"),
    ("env", "write `[services.NAME.environment]`"),
    ("version", "leave it out: stack.toml has none"),
    ("volumes", "volumes are made for you: name them in the service, `volumes = [\"data:/data\"]`"),
    ("cpu_shares", "write `reserve = { cpus = 0.5 }`"),
    ("mem_reservation", "write `reserve = { memory = \"256M\" }`"),
    ("configs", "write `files = [\"conf/app.toml:/etc/app/app.toml\"]`"),
    ("schedule", "write `[services.NAME.jobs.JOB]` with a `command` and a `schedule`"),
    ("restart_policy", "write `restart = \"on-failure\"`"),
    ("cap_drop", "all capabilities are dropped; name those to keep in `cap_add`"),
    ("extends", "write `like = \"service\"`"),
];

/// Reports a value of the wrong kind.
pub fn mismatch(node: &Node, shape: &Shape, problems: &mut Problems) {
    let mut problem = Problem::error(format!("expected {}, found {}", shape.words(), node.value.kind()))
        .rule("wrong-type")
        .at(node.span.clone());
    match (shape, &node.value) {
        (Shape::List(_), Value::Text(_)) => {
            if let Some(text) = node.plain().filter(|t| !t.contains(['"', '\\', '\n'])) {
                problem = problem.fix(format!("[\"{text}\"]"));
            }
        }
        (Shape::Integer { .. } | Shape::Number, Value::Text(_)) => {
            if let Some(number) = node.plain().filter(|t| t.parse::<u32>().is_ok()) {
                problem = problem.fix(number);
            }
        }
        (Shape::Map { key, .. }, Value::List(_)) => {
            problem = problem.help(format!("write it as a table: `{{ {} = … }}`", key.to_uppercase()));
        }
        _ => {}
    }
    problems.push(problem);
}

/// A table that is being decoded: keys are taken out one by one, what is left is unknown.
pub struct Open<'a> {
    rest: Vec<&'a Entry>,
    /// Made only where something is wrong: it is as large as all that a table can hold.
    shape: fn() -> Shape,
}

impl<'a> Open<'a> {
    /// Opens a node that must be a table.
    pub fn new(node: &'a Node, shape: fn() -> Shape, problems: &mut Problems) -> Option<Self> {
        if let Value::Table(entries) = &node.value {
            return Some(Self { rest: entries.iter().collect(), shape });
        }
        mismatch(node, &shape(), problems);
        None
    }

    /// Takes a key out and decodes its value.
    pub fn take<T: Decode>(&mut self, name: &str, problems: &mut Problems) -> Option<At<T>> {
        let index = self.rest.iter().position(|e| e.key == name)?;
        let entry = self.rest.remove(index);
        let value = T::decode(&entry.node, problems)?;
        Some(At { value, span: entry.node.span.clone() })
    }

    /// Reports the keys nobody took.
    pub fn finish(self, problems: &mut Problems) {
        if self.rest.is_empty() {
            return;
        }
        let Shape::Table(table) = (self.shape)() else { return };
        for entry in self.rest {
            let mut problem = Problem::error(format!("unknown key `{}` in {}", entry.key, table.name))
                .rule("unknown-key")
                .at(entry.key_span.clone());
            let names = || table.keys.iter().map(|k| k.name);
            if let Some((_, instead)) = COMPOSE_WORDS.iter().find(|(word, _)| *word == entry.key) {
                problem = problem.label("not a key of stack.toml").help(*instead);
            } else if let Some(near) = nearest(&entry.key, names()) {
                problem = problem.label(format!("did you mean `{near}`?")).fix(near);
            } else {
                let known: Vec<&str> = names().collect();
                problem = problem.help(format!("known keys: {}", known.join(", ")));
            }
            problems.push(problem);
        }
    }
}

/// A table with names chosen by the user: name, its place, value.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<K, V>(pub Vec<(At<K>, At<V>)>);

/// A kind of name that can be a key of a [`Map`].
pub trait MapKey: Sized {
    /// What it is called in docs and paths.
    const WHAT: &'static str;
    /// The rule, in words.
    const RULE: &'static str;
    /// The rule, as far as a schema can know it; empty for any name.
    const PATTERN: &'static str = "";
    /// Names that follow the rule and are taken all the same.
    const TAKEN: &'static [&'static str] = &[];
    /// Parses it.
    fn parse(text: &str) -> Option<Self>;
}

impl<K: MapKey, V: Decode> Decode for Map<K, V> {
    fn shape() -> Shape {
        Shape::Map { key: K::WHAT, pattern: K::PATTERN, taken: K::TAKEN, value: Box::new(V::shape()) }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            mismatch(node, &Self::shape(), problems);
            return None;
        };
        let mut out = Vec::new();
        for entry in entries {
            let key = K::parse(&entry.key);
            if key.is_none() {
                problems.push(
                    Problem::error(match K::WHAT {
                        "path" => format!("`{}` is not a path", entry.key),
                        "status" => format!("no page can be given for `{}`", entry.key),
                        what => format!("`{}` cannot be the name of a {what}", entry.key),
                    })
                    .at(entry.key_span.clone())
                    .label(format!("allowed: {}", K::RULE)),
                );
            }
            let value = V::decode(&entry.node, problems);
            if let (Some(key), Some(value)) = (key, value) {
                out.push((
                    At { value: key, span: entry.key_span.clone() },
                    At { value, span: entry.node.span.clone() },
                ));
            }
        }
        Some(Self(out))
    }
}

impl<T: Decode> Decode for Vec<At<T>> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::List(items) = &node.value else {
            mismatch(node, &Self::shape(), problems);
            return None;
        };
        let decoded: Vec<_> = items
            .iter()
            .map(|item| T::decode(item, problems).map(|value| At { value, span: item.span.clone() }))
            .collect();
        decoded.into_iter().collect()
    }
}

/// Declares a table of stack.toml: its keys, what they are, their defaults, an example of each and their text, all in
/// one place: `key: Type = "default" => "example"`, both as they are written in TOML. `short for KEY` behind the table's
/// name: that key's value may stand alone in the table's place; `never both of KEY, KEY`: at most one of them can be written,
/// which the decoder's own code says in words and the schema without. Makes the struct the decoder fills (each key optional,
/// with its place) and the description that docs, schema, completions and `explain` come from.
macro_rules! table {
    (
        $(#[doc = $text:literal])*
        $name:ident as $word:literal $(short for $($short:ident),+)? $(never both of $($apart:ident),+)? {
            $( $(#[doc = $key_text:literal])* $key:ident : $type:ty $(= $default:literal)? $(=> $example:literal)?, )*
        }
    ) => {
        $(#[doc = $text])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $key_text])* pub $key: Option<$crate::config::decode::At<$type>>, )*
        }

        impl $crate::config::decode::Decode for $name {
            fn shape() -> $crate::config::shape::Shape {
                use $crate::config::shape::{Key, Shape, Table};
                Shape::Table(Table {
                    name: $word,
                    text: concat!($($text, "\n"),*).trim().to_owned(),
                    keys: vec![ $( Key {
                        name: stringify!($key),
                        text: concat!($($key_text, "\n"),*).trim().to_owned(),
                        default: concat!($($default)?),
                        example: concat!($($example)?),
                        shape: <$type as $crate::config::decode::Decode>::shape(),
                    }, )* ],
                    short: &[ $( $(stringify!($short)),+ )? ],
                    apart: &[ $( $(stringify!($apart)),+ )? ],
                })
            }

            fn decode(
                node: &$crate::config::tree::Node,
                problems: &mut $crate::base::problem::Problems,
            ) -> Option<Self> {
                let mut open = $crate::config::decode::Open::new(node, Self::shape, problems)?;
                let decoded = Self { $( $key: open.take(stringify!($key), problems), )* };
                open.finish(problems);
                Some(decoded)
            }
        }
    };
}

pub(crate) use table;
