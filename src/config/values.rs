//! Kinds of values that keys take.

use crate::base::name::{DomainName, EnvName, SecretName, ServiceName, VolumeName};
use crate::base::problem::{Problem, Problems};
use crate::base::units::{ByteSize, Quota, Rate, Span};

use super::decode::{At, Decode, MapKey, mismatch};
use super::shape::Shape;
use super::tree::{Node, Part, Value};

/// A string without references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

/// A string in which `${…}` stands for secrets, addresses and sizes of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templated(pub Vec<Part>);

/// A command: a list of words, or one string without quotes that is cut at blanks. Never given to a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(pub Vec<String>);

/// A path in a container that starts with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(pub String);

/// A text, or a number or `true` and `false` as text: what other programs call a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> Int<MIN, MAX> {
    /// As an unsigned number; the bounds of every use are within it.
    pub fn get(self) -> u32 {
        u32::try_from(self.0).unwrap_or(0)
    }
}

/// A number of processor cores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cores(pub f64);

/// A path of the front door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(pub String);

pub(super) fn plain(node: &Node, shape: &Shape, problems: &mut Problems) -> Option<String> {
    let text = node.plain();
    if text.is_none() {
        if let Value::Text(_) = node.value {
            problems.push(
                Problem::error("a reference `${…}` is not possible here")
                    .at(node.span.clone())
                    .help("references work in `environment`; variables of the environment (`${NAME}`) work everywhere"),
            );
        } else {
            mismatch(node, shape, problems);
        }
    }
    text
}

pub(super) fn parsed<T>(
    node: &Node,
    shape: &Shape,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = plain(node, shape, problems)?;
    parse(&text).map_err(|message| problems.push(Problem::error(message).at(node.span.clone()))).ok()
}

impl Decode for Text {
    fn shape() -> Shape {
        Shape::Text { what: "a string", pattern: "" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        plain(node, &Self::shape(), problems).map(Self)
    }
}

impl Decode for Templated {
    fn shape() -> Shape {
        Shape::Text { what: "a string (may hold `${…}` references)", pattern: "" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(parts) => Some(Self(parts.clone())),
            // Numbers and booleans are what people write into an environment; there is one way to read them.
            Value::Integer(n) => Some(Self(vec![Part::Text(n.to_string())])),
            Value::Boolean(b) => Some(Self(vec![Part::Text(b.to_string())])),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

impl Decode for Command {
    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::List(Box::new(Text::shape())),
            Shape::Text { what: "a string cut at blanks", pattern: "^[^\"'\\\\$`|&;<>]*$" },
        ])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::List(_) = node.value {
            let words = Vec::<At<Text>>::decode(node, problems)?;
            if words.is_empty() {
                problems.push(Problem::error("a command needs at least one word").at(node.span.clone()));
                return None;
            }
            return Some(Self(words.into_iter().map(|w| w.value.0).collect()));
        }
        let text = plain(node, &Self::shape(), problems)?;
        if text.contains(['"', '\'', '\\', '$', '`', '|', '&', ';', '<', '>']) {
            problems.push(
                Problem::error(
                    "a command as one string is cut at blanks and never given to a shell; this one needs a list",
                )
                .at(node.span.clone())
                .help("write it as a list of words, such as `[\"python\", \"-m\", \"app\"]`"),
            );
            return None;
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            problems.push(Problem::error("a command needs at least one word").at(node.span.clone()));
            return None;
        }
        Some(Self(words))
    }
}

/// Whether a path in a container is one: absolute, without `..`, and without what separates things in a mount.
pub fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
        && path.len() > 1
        && path.split('/').all(|part| part != "..")
        && !path.contains([',', ':'])
        && !path.chars().any(char::is_control)
}

impl Decode for AbsolutePath {
    fn shape() -> Shape {
        Shape::Text { what: "an absolute path in the container", pattern: "^/" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, |text| {
            let rule = "it starts with `/` and holds no `..`, `:` or `,`";
            if is_absolute(text) { Ok(Self(text.to_owned())) } else { Err(format!("`{text}` is not a path: {rule}")) }
        })
    }
}

impl Decode for Scalar {
    fn shape() -> Shape {
        Shape::Text { what: "a string, a whole number or a boolean", pattern: "" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(_) => plain(node, &Self::shape(), problems).map(Self),
            Value::Integer(n) => Some(Self(n.to_string())),
            Value::Boolean(b) => Some(Self(b.to_string())),
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

impl<const MIN: i64, const MAX: i64> Decode for Int<MIN, MAX> {
    fn shape() -> Shape {
        Shape::Integer { min: MIN, max: MAX }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Integer(n) if (MIN..=MAX).contains(&n) => Some(Self(n)),
            Value::Integer(n) => {
                problems.push(
                    Problem::error(format!("{n} is out of range"))
                        .at(node.span.clone())
                        .label(format!("allowed: {MIN} to {MAX}")),
                );
                None
            }
            _ => {
                mismatch(node, &Self::shape(), problems);
                None
            }
        }
    }
}

impl Decode for Cores {
    fn shape() -> Shape {
        Shape::Number
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let number = match node.value {
            #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 cores")]
            Value::Integer(n) => n as f64,
            Value::Float(n) => n,
            _ => {
                mismatch(node, &Self::shape(), problems);
                return None;
            }
        };
        if number > 0.0 && number <= 1024.0 {
            return Some(Self(number));
        }
        problems.push(
            Problem::error(format!("{number} is not a number of cores"))
                .at(node.span.clone())
                .label("allowed: above 0, such as `0.5` or `2`"),
        );
        None
    }
}

impl Decode for bool {
    fn shape() -> Shape {
        Shape::Boolean
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Boolean(value) = node.value {
            return Some(value);
        }
        mismatch(node, &Self::shape(), problems);
        None
    }
}

impl Decode for ByteSize {
    fn shape() -> Shape {
        Shape::Text { what: "a size such as \"512M\"", pattern: "^[0-9]+([kKmMgGtT]([iI]?[bB])?)?$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, str::parse)
    }
}

impl Decode for Span {
    fn shape() -> Shape {
        Shape::Text { what: "a duration such as \"30s\"", pattern: "^([0-9]+|([0-9]+(ms|s|m|h|d|w|y))+)$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, str::parse)
    }
}

impl Decode for Quota {
    fn shape() -> Shape {
        Shape::Text { what: "a quota such as \"5/hour\" or \"3/10s\"", pattern: "^ *[0-9]+ */ *[0-9a-z]+ *$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, str::parse)
    }
}

impl Decode for Rate {
    fn shape() -> Shape {
        Shape::Text { what: "a rate such as \"10/s\"", pattern: "^[1-9][0-9]* *r?/ *(s|sec|second|m|min|minute)$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, str::parse)
    }
}

fn url_path(text: &str) -> Result<UrlPath, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!&'()*+,=:@/%".contains(&b);
    if !text.starts_with('/') || !text.bytes().all(allowed) || text.contains("//") || text.contains("/../") {
        return Err(format!("`{text}` is not a path; write `/`, `/api/` or `/health`"));
    }
    Ok(UrlPath(text.to_owned()))
}

impl Decode for UrlPath {
    fn shape() -> Shape {
        Shape::Text { what: "a path such as \"/health\"", pattern: "^/" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, &Self::shape(), problems, url_path)
    }
}

impl MapKey for UrlPath {
    const WHAT: &'static str = "path";
    const RULE: &'static str = "a path that starts with `/`, such as `/` or `/api/`";
    const PATTERN: &'static str = "^/";
    fn parse(text: &str) -> Option<Self> {
        url_path(text).ok()
    }
}

/// Any text as a name (HTTP header, build argument, server setting); checked where it is used.
impl MapKey for Text {
    const WHAT: &'static str = "name";
    const RULE: &'static str = "a name";
    fn parse(text: &str) -> Option<Self> {
        let sane = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        sane.then(|| Self(text.to_owned()))
    }
}

macro_rules! names {
    ($($type:ident is $what:literal like $pattern:literal $(but $taken:expr)?),* $(,)?) => {
        $(
            impl Decode for $type {
                fn shape() -> Shape {
                    Shape::Text { what: concat!("the name of a ", $what), pattern: $pattern }
                }

                fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
                    parsed(node, &<$type as Decode>::shape(), problems, |text| {
                        $type::parse(text).ok_or_else(|| {
                            format!("`{text}` cannot be the name of a {}; allowed: {}", $what, $type::RULE)
                        })
                    })
                }
            }

            impl MapKey for $type {
                const WHAT: &'static str = $what;
                const RULE: &'static str = $type::RULE;
                const PATTERN: &'static str = $pattern;
                $( const TAKEN: &'static [&'static str] = $taken; )?
                fn parse(text: &str) -> Option<Self> {
                    $type::parse(text)
                }
            }
        )*
    };
}

names! {
    // Containers of our own.
    ServiceName is "service" like "^[a-z0-9]([a-z0-9-]{0,26}[a-z0-9])?$" but &["proxy", "stackctl"],
    SecretName is "secret" like "^[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?$",
    VolumeName is "volume" like "^[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?$",
    DomainName is "domain" like "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    EnvName is "variable" like "^[A-Za-z_][A-Za-z0-9_]*$",
}

/// A word out of a fixed list.
pub fn word(node: &Node, words: &'static [&'static str], problems: &mut Problems) -> Option<&'static str> {
    let shape = Shape::Word(words);
    let text = plain(node, &shape, problems)?;
    let found = words.iter().copied().find(|w| *w == text);
    if found.is_none() {
        let mut problem = Problem::error(format!("`{text}` is not possible here"))
            .at(node.span.clone())
            .label(format!("allowed: {}", shape.words()));
        if let Some(near) = crate::base::suggest::slip(&text, words.iter().copied()) {
            problem = problem.fix(format!("\"{near}\""));
        }
        problems.push(problem);
    }
    found
}
