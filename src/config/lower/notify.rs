//! Who is told of deploys.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::SecretName;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::File;
use crate::config::keys::notify::{GithubKeys, OnKey};
use crate::config::tree::Part;
use crate::config::values::Templated;
use crate::model::notify::{Github, Notify, Receiver, Speaks};
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
    if receivers.iter().all(|(url, _)| url.is_none()) && keys.value.github.is_none() {
        problems.push(
            Problem::error("`[notify]` names nobody")
                .at(keys.span.clone())
                .help("give it `webhook`, `slack` or `github`, or take it away")
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
    let github = keys.value.github.as_ref().and_then(|k| github(k, declared, used, input, problems));
    Notify { to, failures_only, github }
}

fn github(
    keys: &At<GithubKeys>,
    declared: &BTreeMap<SecretName, SecretSpec>,
    used: &mut BTreeSet<SecretName>,
    input: &Input<'_>,
    problems: &mut Problems,
) -> Option<Github> {
    let k = &keys.value;
    let missing = |key: &str, fix: &str| {
        Problem::error(format!("`github` needs `{key}`")).at(keys.span.clone()).fix(fix.to_owned())
    };
    let Some(repository) = &k.repository else {
        problems.push(missing("repository", "repository = \"owner/name\""));
        return None;
    };
    let word = |text: &str| {
        !text.is_empty()
            && text != "."
            && text != ".."
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if !repository.value.0.split_once('/').is_some_and(|(owner, name)| word(owner) && word(name)) {
        problems.push(
            Problem::error(format!("`{}` is not a repository", repository.value.0))
                .at(repository.span.clone())
                .label("allowed: `owner/name`")
                .fix("\"acme/shop\""),
        );
        return None;
    }
    let Some(token) = &k.token else {
        problems.push(missing("token", "token = \"${secrets.github}\""));
        return None;
    };
    let secret = if let [Part::Reference(_)] = token.value.0.as_slice() {
        url(token, declared, input, problems)?
    } else {
        problems.push(
            Problem::error("a token is a secret, and nothing else").at(token.span.clone()).fix("\"${secrets.github}\""),
        );
        return None;
    };
    used.extend(secret.values().cloned());
    let api = k.api.as_ref().map_or("https://api.github.com", |api| api.value.0.as_str());
    let host = api.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    // The token goes there.
    if !api.starts_with("https://") && !host.is_some_and(|host| ["127.0.0.1", "localhost"].contains(&host)) {
        problems.push(
            Problem::error("the API is a URL that begins with `https://`")
                .at(k.api.as_ref().map_or(keys.span.clone(), |api| api.span.clone()))
                .fix("\"https://api.github.com\""),
        );
        return None;
    }
    Some(Github {
        line: input.line(&keys.span),
        repository: repository.value.0.clone(),
        environment: match &k.environment {
            Some(environment) => environment.value.0.clone(),
            None => input.stage.map_or("production", |stage| stage).to_owned(),
        },
        token: secret,
        api: api.to_owned(),
        log_url: k.log_url.as_ref().map(|url| url.value.0.clone()).filter(|url| !url.is_empty()),
    })
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
