//! What a service takes from files beside stack.toml: variables of `env_file`, and `files` for its containers.

use std::ops::Range;
use std::sync::Arc;

use crate::base::problem::{EnvFile, Origin, Problem, Problems};
use crate::config::decode::At;
use crate::config::dotenv;
use crate::config::keys::service::ServiceKeys;
use crate::config::lint::names_a_secret;
use crate::model::secrets::{SECRETS_FOLDER, Template};
use crate::model::service::{ProjectFile, Service};

use super::Input;

/// Most bytes of all files of a service together: they are written into a volume for every change of one of them.
const MOST: usize = 8 << 20;

pub(super) fn lower(service: &mut Service, keys: &At<ServiceKeys>, input: &Input<'_>, problems: &mut Problems) {
    for file in keys.value.env_file.iter().flat_map(|files| &files.value.0) {
        environment(service, &file.value.0, &file.span, input, problems);
    }
    for file in keys.value.files.iter().flat_map(|list| &list.value) {
        let (source, target) = (file.value.source.clone(), file.value.target.clone());
        if let Some(other) = in_the_way(service, &target) {
            problems.push(
                Problem::error(format!("`{target}` and `{other}` are in each other's way"))
                    .at(file.span.clone())
                    .help("what is mounted is read-only: nothing can be put into it"),
            );
            continue;
        }
        match input.beside.read(&source) {
            Ok(files) if files.is_empty() => {
                problems.push(Problem::error(format!("the folder `{source}` is empty")).at(file.span.clone()));
            }
            Ok(files) => service.project_files.push(ProjectFile { source, target, files }),
            Err(why) => problems.push(unreadable(&source, &why, &file.span)),
        }
    }
    let size: usize = service.project_files.iter().flat_map(|f| &f.files).map(|f| f.text.len()).sum();
    if size > MOST {
        let span = keys.value.files.as_ref().map_or(0..0, |files| files.span.clone());
        problems.push(
            Problem::error(format!("{} MiB of files are more than the {} MiB allowed", size >> 20, MOST >> 20))
                .at(span)
                .help("put what is large into the image, or into a volume"),
        );
    }
}

/// What is mounted already, and would be in this target or around it.
fn in_the_way(service: &Service, target: &str) -> Option<String> {
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let others = service.project_files.iter().map(|f| f.target.as_str()).chain(std::iter::once(SECRETS_FOLDER));
    others.filter(|other| within(other, target) || within(target, other)).map(str::to_owned).next()
}

fn unreadable(path: &str, why: &str, span: &Range<usize>) -> Problem {
    Problem::error(format!("`{path}` {why}")).at(span.clone()).help("the path starts at the folder of stack.toml")
}

fn environment(service: &mut Service, path: &str, span: &Range<usize>, input: &Input<'_>, problems: &mut Problems) {
    let text = match input.beside.read(path) {
        Ok(files) => match files.into_iter().next().filter(|file| file.path.is_empty()) {
            Some(file) => file.text,
            None => return problems.push(unreadable(path, "is a folder, not a file", span)),
        },
        Err(why) => return problems.push(unreadable(path, &why, span)),
    };
    let origin = Origin::EnvFile(Arc::new(EnvFile { path: path.to_owned(), text }));
    let Origin::EnvFile(file) = &origin else { return };
    let mut found = Problems::default();
    let parsed = dotenv::parse(&file.text, &mut found);
    for problem in found.sorted() {
        let named = |text: String| text.replace(".env", path);
        problems.push(Problem {
            message: named(problem.message),
            help: problem.help.map(named),
            label: problem.label.map(named),
            origin: origin.clone(),
            ..problem
        });
    }
    for (name, value) in &parsed.variables {
        if names_a_secret(name) && !value.is_empty() {
            let problem = Problem::warning(format!("`{name}` looks like a secret in the environment"))
                .rule("secret-in-environment")
                .hidden()
                .label("visible to everyone who may ask the engine")
                .help(format!(
                    "write `{} = {{ env = \"{name}\" }}` in `[secrets]`, and refer to its file",
                    name.to_lowercase()
                ));
            problems.push(Problem { origin: origin.clone(), span: parsed.place(name, value), ..problem });
        }
        service.environment.insert(name.clone(), Template::text(value.clone()));
    }
}
