//! Keys of a secret.

use crate::base::name::EnvName;
use crate::base::problem::{Problem, Problems};
use crate::base::suggest::one_of;
use crate::base::units::Span;
use crate::config::decode::{Decode, table};
use crate::config::shape::Shape;
use crate::config::tree::{Node, Value};
use crate::config::values::{Command, Int, Text};
use crate::model::secrets::Recipe;

table! {
    /// A value that must not be seen. It has exactly one source: `generate`, `env`, `file`, `command`, `age` or `stored`. Outside development (a stage called `dev`, `development`, `local` or `test`, or a front door that answers to `localhost` only), placeholders such as `changeme` and values that are too short are refused.
    SecretKeys as "a secret" never both of generate, env, file, command, age, stored {
        /// Made once and kept with the stack on the engine: `true` (32 characters safe in URLs), `url:N` (N of them), `hex:N` or `base64:N` (N random bytes), `uuid`, or a key pair, `ed25519`, `rsa:2048`, `rsa:3072` or `rsa:4096`, as PEM; its public half is the secret `NAME.pub`.
        generate: RecipeKey => r#""hex:32""#,
        /// Variable of the environment or of `.env` it is read from.
        env: EnvName => r#""SMTP_PASSWORD""#,
        /// File it is read from, relative to stack.toml. Others must not be able to read it.
        file: Text => r#""licence.txt""#,
        /// Program that prints it as its only line, run once in the folder of stack.toml, without a shell: `["op", "read", "op://vault/item/field"]`.
        command: Command => r#"["op", "read", "op://prod/stripe/key"]"#,
        /// Longest time `command` may take.
        timeout: Span = "\"10s\"" => r#""30s""#,
        /// File encrypted with age, relative to stack.toml, that has an entry of this secret's name. It can be committed; `stackctl secrets edit` opens it.
        age: Text => r#""secrets.age""#,
        /// `true`: it was put onto the engine with `stackctl secrets set NAME`.
        stored: bool => "true",
        /// The stack works without it.
        optional: bool = "false" => "true",
        /// Name of a group of secrets, at least one of which must have a value.
        one_of: Text => r#""llm""#,
        /// Fewest characters outside development.
        min_length: Int<1, 4096> = "8" => "16",
    }
}

/// Keys that say where a secret comes from.
const SOURCES: &[&str] = &["generate", "env", "file", "command", "age", "stored"];

/// A secret with exactly one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretKey(pub SecretKeys);

impl Decode for SecretKey {
    fn shape() -> Shape {
        SecretKeys::shape()
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        // A text here is nearly always a password in the file: say so instead of "expected a table".
        if let Value::Text(_) = node.value {
            problems.push(
                Problem::error("a secret's value does not belong into stack.toml")
                    .at(node.span.clone())
                    .hidden()
                    .label("say where it comes from instead")
                    .fix("{ generate = \"hex:32\" }"),
            );
            return None;
        }
        let keys = SecretKeys::decode(node, problems)?;
        // One that is there but wrong has been reported already.
        let named: Vec<&str> = SOURCES.iter().copied().filter(|k| node.get(k).is_some()).collect();
        if named.len() != 1 {
            let message = match named.as_slice() {
                [] => format!("a secret needs one of {}", one_of(SOURCES.iter().copied())),
                several => format!("a secret has one source, this one has {}", several.len()),
            };
            problems.push(Problem::error(message).at(node.span.clone()).fix("{ generate = \"hex:32\" }"));
            return None;
        }
        if let Some(stored) = keys.stored.as_ref().filter(|s| !s.value) {
            problems.push(Problem::error("leave `stored` away, or say `true`").at(stored.span.clone()));
            return None;
        }
        if let (Some(timeout), None) = (&keys.timeout, &keys.command) {
            problems.push(Problem::error("`timeout` belongs to `command`").at(timeout.span.clone()));
        }
        Some(Self(keys))
    }
}

/// `generate`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeKey(pub Recipe);

impl Decode for RecipeKey {
    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::Text {
                what: "a recipe such as \"hex:32\"",
                pattern: "^((hex|base64|url):[0-9]+|uuid|ed25519|rsa:(2048|3072|4096))$",
            },
            Shape::Boolean,
        ])
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Boolean(true) = node.value {
            return Some(Self(Recipe::UrlSafe(32)));
        }
        let text = match node.value {
            Value::Boolean(_) => "false".to_owned(),
            _ => Text::decode(node, problems)?.0,
        };
        let recipe = match text.split_once(':') {
            None if text == "uuid" => Some(Recipe::Uuid),
            None if text == "ed25519" => Some(Recipe::Ed25519),
            None => None,
            Some(("rsa", bits)) => bits.parse().ok().filter(|b| [2048, 3072, 4096].contains(b)).map(Recipe::Rsa),
            Some((kind, size)) => size.parse().ok().filter(|n| (16..=1024).contains(n)).and_then(|size| match kind {
                "hex" => Some(Recipe::Hex(size)),
                "base64" => Some(Recipe::Base64(size)),
                "url" => Some(Recipe::UrlSafe(size)),
                _ => None,
            }),
        };
        if recipe.is_none() {
            problems.push(
                Problem::error(format!("`{text}` is not a recipe for a secret"))
                    .at(node.span.clone())
                    .label("allowed: `true`, `hex:N`, `base64:N`, `url:N` (N from 16 to 1024), `uuid`, `ed25519`, `rsa:2048`")
                    .fix("\"hex:32\""),
            );
        }
        recipe.map(Self)
    }
}
