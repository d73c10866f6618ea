//! Environments: secrets written into the file, addresses that lead nowhere or that no driver accepts.

use std::ops::Range;

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::config::tree::Part;
use crate::model::placeholder::is_placeholder;
use crate::model::secrets::{Recipe, SecretSource};

use super::url::Url;
use super::{Stack, known_credential, names_a_secret};

pub(super) fn check(stack: &Stack<'_>, problems: &mut Problems) {
    for (service, keys) in stack.file.services.iter().flat_map(|m| &m.value.0) {
        for (variable, value) in keys.value.environment.iter().flat_map(|m| &m.value.0) {
            let one = One {
                stack,
                service: &service.value,
                variable: variable.value.as_str(),
                parts: &value.value.0,
                span: &value.span,
            };
            if let Some(url) = Url::parse(one.parts) {
                one.password(&url, problems);
                one.parameters(&url, problems);
                one.host(&url, problems);
            } else {
                one.literal(problems);
            }
        }
    }
}

/// One variable of one service.
struct One<'a> {
    stack: &'a Stack<'a>,
    service: &'a ServiceName,
    variable: &'a str,
    parts: &'a [Part],
    span: &'a Range<usize>,
}

impl One<'_> {
    /// As it stands in the file, before variables were put in.
    fn raw(&self) -> &str {
        self.stack.text.get(self.span.clone()).unwrap_or_default()
    }

    /// The first variable of the environment in it.
    fn variable_in(&self) -> Option<&str> {
        let after =
            self.raw().split("${").skip(1).find(|a| a.starts_with(|c: char| c.is_ascii_uppercase() || c == '_'))?;
        after.split(['}', ':']).next()
    }

    /// The value, if no names of the stack are in it.
    fn plain(&self) -> Option<String> {
        self.parts.iter().try_fold(String::new(), |out, part| match part {
            Part::Text(text) => Some(out + text),
            Part::Reference(_) => None,
        })
    }

    fn literal(&self, problems: &mut Problems) {
        let Some(value) = self.plain().filter(|v| !v.is_empty()) else { return };
        let secret = self.variable.to_lowercase();
        let as_secret = |source: &str| {
            format!(
                "declare it in [secrets], `{secret} = {{ {source} }}`, and refer to it: `${{secrets.{secret}.file}}`, or `${{secrets.{secret}}}` if the program takes only the value"
            )
        };
        if let Some(variable) = self.variable_in() {
            // A part of the value only is more often a name or a number than a secret.
            if names_a_secret(self.variable) || known_credential(&value).is_some() {
                problems.push(
                    Problem::warning(format!("`{}` gets a secret as plain text", self.variable))
                        .rule("secret-in-plain")
                        .at(self.span.clone())
                        .label("plans, `render` and the engine would show it")
                        .help(as_secret(&format!("env = \"{variable}\""))),
                );
            }
            return;
        }
        if let Some(what) = known_credential(&value) {
            problems.push(
                Problem::error(format!("this is {what}; a secret does not belong into stack.toml"))
                    .rule("secret-in-file")
                    .at(self.span.clone())
                    .hidden()
                    .help(as_secret(&format!("env = \"{}\"", self.variable))),
            );
        } else if names_a_secret(self.variable) && is_placeholder(&value) {
            problems.push(
                Problem::error(format!("`{}` is a placeholder, not a secret", self.variable))
                    .rule("secret-placeholder")
                    .at(self.span.clone())
                    .help(as_secret("generate = \"hex:32\"")),
            );
        } else if names_a_secret(self.variable) && looks_like_a_value(&value) {
            problems.push(
                Problem::warning(format!("`{}` looks like a secret, written into the file", self.variable))
                    .rule("secret-in-file")
                    .at(self.span.clone())
                    .hidden()
                    .help(as_secret("generate = \"hex:32\"")),
            );
        }
    }

    fn password(&self, url: &Url<'_>, problems: &mut Problems) {
        let Some(password) = &url.password else { return };
        for part in password {
            let Part::Reference(reference) = part else { continue };
            let Some(name) = reference.strip_prefix("secrets.").and_then(SecretName::parse) else { continue };
            match self.stack.secrets.get(&name).map(|s| &s.source) {
                Some(SecretSource::Generate(Recipe::Base64(_))) => problems.push(
                    Problem::error(format!("the secret `{name}` is base64, which cannot be the password of a URL"))
                        .rule("password-in-url")
                        .at(self.span.clone())
                        .label("half of them hold a `/`, where the host's part of the URL ends")
                        .help(format!("make it of letters that are safe there: `{name} = {{ generate = \"url:32\" }}`")),
                ),
                Some(SecretSource::Env(_) | SecretSource::File(_)) => problems.push(
                    Problem::warning(format!("the secret `{name}` is put into a URL as it is"))
                        .rule("password-in-url")
                        .at(self.span.clone())
                        .help("a `/`, `@`, `:` or `%` in it would break the address; give the password by itself, or the whole URL as one secret"),
                ),
                _ => {}
            }
        }
        let literal = password.iter().all(|part| matches!(part, Part::Text(_)));
        if literal && self.variable_in().is_none() {
            problems.push(
                Problem::warning(format!("`{}` has a password in it, written into the file", self.variable))
                    .rule("secret-in-file")
                    .at(self.span.clone())
                    .hidden()
                    .help("a preset makes a password and the address with it, such as `${postgres.url.file}`; or give the whole URL as a secret"),
            );
        } else if literal {
            problems.push(
                Problem::warning(format!("`{}` gets a secret as plain text", self.variable))
                    .rule("secret-in-plain")
                    .at(self.span.clone())
                    .hidden()
                    .label("plans, `render` and the engine would show it")
                    .help("a preset makes a password and the address with it, such as `${postgres.url.file}`; or give the whole URL as a secret"),
            );
        }
    }

    /// Settings of `SQLAlchemy`'s pool are arguments of `create_engine`; in an address they reach the driver, and libpq
    /// refuses what is not on its list (PostgreSQL manual, 32.1.2).
    fn parameters(&self, url: &Url<'_>, problems: &mut Problems) {
        const POOL: &[&str] = &["pool_size", "max_overflow", "pool_recycle", "pool_pre_ping", "pool_use_lifo"];
        if !url.is_postgres() {
            return;
        }
        for name in url.parameters.iter().filter(|p| POOL.contains(&p.as_str())) {
            problems.push(
                Problem::error(format!("`{name}` cannot be in the address of a PostgreSQL database"))
                    .rule("url-parameter")
                    .at(self.span.clone())
                    .label("the driver refuses to connect: invalid URI query parameter")
                    .help(format!(
                        "it is an argument of SQLAlchemy's create_engine(); pass it as a variable of its own, such as `DB_{}`",
                        name.to_uppercase()
                    )),
            );
        }
    }

    /// In a container, `localhost` is the container; and a container's own name changes with every release.
    fn host(&self, url: &Url<'_>, problems: &mut Problems) {
        let port = url.port();
        if matches!(url.host.as_str(), "localhost" | "127.0.0.1" | "::1" | "[::1]" | "0.0.0.0") {
            let own = self.stack.services.get(self.service.as_str()).and_then(|s| s.port);
            let other =
                self.stack.services.values().find(|s| s.port.is_some() && s.port == port && s.name != *self.service);
            if let Some(other) = other.filter(|_| own != port) {
                problems.push(
                    Problem::error(format!("`{}` in a container is the container itself", url.host))
                        .rule("localhost")
                        .at(self.span.clone())
                        .hidden_if(url.password.is_some())
                        .help(format!("`{0}` is reached by its name: `{0}:{1}`", other.name, port.unwrap_or_default())),
                );
            }
            return;
        }
        let of_service = |name: &str| {
            let name = name.strip_prefix(self.stack.project).and_then(|n| n.strip_prefix(['-', '_'])).unwrap_or(name);
            let (service, number) = name.rsplit_once(['-', '_'])?;
            number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            self.stack.services.keys().find(|s| s.as_str() == service)
        };
        if self.stack.services.contains_key(url.host.as_str()) {
            return;
        }
        if let Some(service) = of_service(&url.host) {
            problems.push(
                Problem::error(format!(
                    "`{}` is one container of `{service}`, and the next release gives it another address",
                    url.host
                ))
                .rule("container-name")
                .at(self.span.clone())
                .hidden_if(url.password.is_some())
                .help(format!("write `{service}`: it leads to all of them")),
            );
        }
    }
}

/// Not a switch, a number or a path: those are settings that only have such a name.
fn looks_like_a_value(value: &str) -> bool {
    let settled = ["true", "false", "yes", "no", "on", "off", "none", "null", "disabled", "enabled"];
    value.len() >= 4
        && !value.starts_with('/')
        && !value.bytes().all(|b| b.is_ascii_digit())
        && !settled.contains(&value.to_lowercase().as_str())
}
