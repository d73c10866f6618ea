//! Who is told of deploys.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::SecretName;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::notify::OnKey;
use crate::config::tree::Part;
use crate::config::values::Templated;
use crate::model::notify::{Notify, Receiver, Speaks};
use crate::model::secrets::{Piece, SecretSpec, Template};

use super::Input;

pub(super) fn lower(
    file: &File,
    declared: &BTreeMap<SecretName, SecretSpec>,
    used: &mut BTreeSet<SecretName>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Notify {
    let Some(keys) = file.notify.as_ref() else { return Notify::default() };
    let receivers = [(&keys.value.webhook, Speaks::Json), (&keys.value.slack, Speaks::Slack)];
    if receivers.iter().all(|(url, _)| url.is_none()) {
        problems.push(
            Problem::error("`[notify]` names nobody")
                .at(keys.span.clone())
                .help("give it `webhook` or `slack`, or take it away")
                .fix("slack = \"${secrets.slack}\""),
        );
    }
    let mut to = Vec::new();
    for (url, speaks) in receivers.into_iter().filter_map(|(url, speaks)| Some((url.as_ref()?, speaks))) {
        if let Some(template) = self::url(url, declared, input, problems) {
            used.extend(template.values().cloned());
            to.push(Receiver { line: input.line(&url.span), speaks, url: template });
        }
    }
    let failures_only = keys.value.on.as_ref().is_some_and(|on| on.value == OnKey::Failure);
    Notify { to, failures_only }
}

/// A URL with secrets in it.
pub(super) fn url(
    url: &At<Templated>,
    declared: &BTreeMap<SecretName, SecretSpec>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Template> {
    let mut pieces = Vec::new();
    for part in &url.value.0 {
        match part {
            Part::Text(text) => pieces.push(Piece::Text(text.clone())),
            Part::Reference(reference) => {
                let name = reference.strip_prefix("secrets.").and_then(SecretName::parse);
                match name {
                    Some(name) if declared.contains_key(&name) => pieces.push(Piece::Secret(name)),
                    // Declared, but wrong: that has been said.
                    Some(name) if input.secrets.iter().any(|wrong| wrong == name.as_str()) => return None,
                    other => {
                        let mut problem = Problem::error(format!("`${{{reference}}}` is not a secret of this file"))
                            .at(url.span.clone())
                            .label("a URL may hold secrets, and nothing else of the stack");
                        if let Some(name) = other {
                            let variable = name.as_str().to_uppercase();
                            problem = problem.fix(format!("[secrets]\n{name} = {{ env = \"{variable}\" }}"));
                        }
                        problems.push(problem);
                        return None;
                    }
                }
            }
        }
    }
    // A secret at the start is the whole beginning of the URL; it is looked at when it has a value.
    if let Some(Piece::Text(text)) = pieces.first()
        && !["https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
    {
        problems.push(
            Problem::error("a receiver is a URL that begins with `https://` or `http://`")
                .at(url.span.clone())
                .fix("\"https://hooks.example.com/deploys\""),
        );
        return None;
    }
    (!pieces.is_empty()).then_some(Template(pieces))
}
