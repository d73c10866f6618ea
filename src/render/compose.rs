//! Compose: the same stack for plain `docker compose up`.

use serde::Serialize;

use crate::model::artifact::Artifact;
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, COMPOSE};

/// What a Compose file is made of.
#[derive(Debug, Clone)]
pub struct ComposeInput<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Files of the front door, rendered with service names as upstreams; they lie in `nginx/` beside the file.
    pub proxy_files: &'a [Artifact],
}

#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
}

/// Renders `compose.yaml`.
///
/// # Errors
/// None yet besides a broken template.
pub fn compose(input: &ComposeInput<'_>) -> Result<Vec<Artifact>, RenderError> {
    let view = View { project: input.stack.project.as_str() };
    Ok(vec![Artifact::plain("compose.yaml", engine::fill(&COMPOSE, &view)?)])
}
