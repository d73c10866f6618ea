//! Secrets in the environment: variables that whoever runs Compose sets.

use std::collections::BTreeMap;

use crate::base::name::SecretName;
use crate::model::secrets::{Piece, SECRETS_FOLDER, SecretSource, Template};
use crate::model::stack::Stack;
use crate::render::RenderError;
use crate::render::escape::{self, Part};

/// Variables that a file needs, by name.
pub(super) struct Variables<'a> {
    stack: &'a Stack,
    needed: BTreeMap<String, String>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(stack: &'a Stack) -> Self {
        Self { stack, needed: BTreeMap::new() }
    }

    /// Names of all variables used so far.
    pub(super) fn needed(&self) -> Vec<String> {
        self.needed.keys().cloned().collect()
    }

    /// A text as one YAML token, secrets in it as variables.
    pub(super) fn token(&mut self, text: &Template) -> Result<String, RenderError> {
        let mut parts = Vec::new();
        self.parts(text, &mut parts)?;
        Ok(escape::compose_parts(&parts))
    }

    fn parts(&mut self, text: &Template, parts: &mut Vec<Part>) -> Result<(), RenderError> {
        for piece in &text.0 {
            match piece {
                Piece::Text(text) => parts.push(Part::Text(text.clone())),
                // Its own database has one role.
                Piece::Role(_, first) => parts.push(Part::Text(first.clone())),
                Piece::File(name) => parts.push(Part::Text(format!("{SECRETS_FOLDER}/{name}"))),
                Piece::Secret(name) => match self.stack.secrets.get(name).map(|spec| &spec.source) {
                    // Put together here as well: its parts are variables too.
                    Some(SecretSource::Derived(inner)) => self.parts(inner, parts)?,
                    _ => parts.push(self.variable(name, "")?),
                },
                // Of configuration files only, which are rendered with their values.
                Piece::Quoted(name) => parts.push(self.variable(name, "")?),
                Piece::Encoded(name) => parts.push(self.variable(name, "_URLENCODED")?),
            }
        }
        Ok(())
    }

    fn variable(&mut self, name: &SecretName, suffix: &str) -> Result<Part, RenderError> {
        let variable = format!("{}{suffix}", name.as_str().to_uppercase().replace(['-', '.'], "_"));
        let owner = self.needed.entry(variable.clone()).or_insert_with(|| name.to_string());
        if owner != name.as_str() {
            let why = "another secret has the same name as a variable";
            return Err(RenderError::Value { format: "compose", value: name.to_string(), why });
        }
        // Of a group, another one may have the value.
        let optional = self.stack.secrets.get(name).is_some_and(|spec| spec.optional || spec.one_of.is_some());
        Ok(if optional { Part::Optional(variable) } else { Part::Required(variable) })
    }
}
