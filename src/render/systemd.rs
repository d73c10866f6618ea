//! systemd: the stack comes up with the host.

use serde::Serialize;

use crate::model::artifact::Artifact;
use crate::model::stack::Stack;

use super::RenderError;
use super::engine::{self, SYSTEMD};

#[derive(Serialize)]
struct View<'a> {
    project: &'a str,
    stage: Option<&'a str>,
    binary: &'a str,
    file: &'a str,
}

/// Renders `<project>.service`. `binary` and `file` are absolute paths on the host.
///
/// # Errors
/// [`RenderError::Value`] for a path that is not absolute, or that systemd cannot hold.
pub fn systemd(stack: &Stack, binary: &str, file: &str) -> Result<Vec<Artifact>, RenderError> {
    let refuse = |value: &str, why| RenderError::Value { format: "systemd", value: value.to_owned(), why };
    if let Some(path) = [binary, file].into_iter().find(|path| !path.starts_with('/')) {
        return Err(refuse(path, "the path is not absolute"));
    }
    // The program's own path is read before variables are: a doubled `$` would stay doubled there.
    if binary.contains('$') {
        return Err(refuse(binary, "the path of a program cannot hold `$`"));
    }
    let view = View { project: stack.project.as_str(), stage: stack.stage.as_deref(), binary, file };
    let text = engine::fill(&SYSTEMD, &view)?;
    Ok(vec![Artifact::plain(format!("{}.service", stack.project), text)])
}
