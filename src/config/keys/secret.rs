//! Keys of a secret.

use crate::base::name::EnvName;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::{Decode, table};
use crate::config::shape::Shape;
use crate::config::tree::Node;
use crate::config::values::Text;
use crate::model::secrets::Recipe;

table! {
    /// A value that must not be seen. Give one of `generate`, `env` or `file`.
    SecretKeys as "a secret" {
        /// Made once and kept with the stack on the engine: `hex:N` or `base64:N` (N random bytes), or `url:N` (N characters safe in URLs).
        generate: RecipeKey,
        /// Variable of the environment or of `.env` it is read from.
        env: EnvName,
        /// File it is read from, relative to stack.toml. Others must not be able to read it.
        file: Text,
        /// The stack works without it.
        optional: bool = "false",
    }
}

/// A secret with exactly one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretKey(pub SecretKeys);

impl Decode for SecretKey {
    fn shape() -> Shape {
        SecretKeys::shape()
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        // A text here is nearly always a password in the file: say so instead of "expected a table".
        if let crate::config::tree::Value::Text(_) = node.value {
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
        let sources = [keys.generate.is_some(), keys.env.is_some(), keys.file.is_some()];
        if sources.iter().filter(|s| **s).count() != 1 {
            // A source that is there but wrong has been reported already.
            if !["generate", "env", "file"].iter().any(|k| node.get(k).is_some()) || sources.iter().any(|s| *s) {
                problems.push(
                    Problem::error("a secret needs exactly one of `generate`, `env` and `file`")
                        .at(node.span.clone())
                        .fix("{ generate = \"hex:32\" }"),
                );
            }
            return None;
        }
        Some(Self(keys))
    }
}

/// `generate`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeKey(pub Recipe);

impl Decode for RecipeKey {
    fn shape() -> Shape {
        Shape::Text { what: "a recipe such as \"hex:32\"", pattern: "^(hex|base64|url):[0-9]+$" }
    }

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = Text::decode(node, problems)?.0;
        let recipe = text.split_once(':').and_then(|(kind, size)| {
            let size: u32 = size.parse().ok().filter(|n| (16..=1024).contains(n))?;
            match kind {
                "hex" => Some(Recipe::Hex(size)),
                "base64" => Some(Recipe::Base64(size)),
                "url" => Some(Recipe::UrlSafe(size)),
                _ => None,
            }
        });
        if recipe.is_none() {
            problems.push(
                Problem::error(format!("`{text}` is not a recipe for a secret"))
                    .at(node.span.clone())
                    .label("allowed: `hex:N`, `base64:N` or `url:N`, with N from 16 to 1024")
                    .fix("\"hex:32\""),
            );
        }
        recipe.map(Self)
    }
}
