//! A preset that runs elsewhere: a managed database. There is no container; `${SERVICE.url}` leads there.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::service::ServiceKeys;
use crate::config::tree::{Node, Part, Value};
use crate::config::values::Templated;
use crate::model::secrets::{Piece, SecretSource, SecretSpec, Template};

use super::{Definition, secret_of};

/// What one that runs elsewhere offers.
#[derive(Debug, Default)]
pub struct External {
    /// Secrets it brings along: its URL.
    pub secrets: BTreeMap<SecretName, SecretSpec>,
    /// What `${SERVICE.NAME}` stands for.
    pub offers: BTreeMap<&'static str, Template>,
    /// Those of them that are secrets.
    pub offered_secrets: BTreeMap<&'static str, SecretName>,
    /// Secrets of the file it refers to.
    pub used: BTreeSet<SecretName>,
    /// Where it is, unless the whole URL is a secret.
    pub address: Option<(String, u16)>,
}

/// Keys that mean something for one that runs elsewhere.
const KEYS: &[&str] = &["preset", "external", "password"];

/// Refuses everything that would be about a container that is not there.
pub(in crate::config) fn check_keys(root: &Node, problems: &mut Problems) {
    let Some(services) = root.get("services") else { return };
    let Value::Table(entries) = &services.node.value else { return };
    for service in entries {
        let (Some(_), Value::Table(keys)) = (service.node.get("external"), &service.node.value) else { continue };
        if service.node.get("preset").is_none() {
            continue;
        }
        for key in keys.iter().filter(|k| !KEYS.contains(&k.key.as_str())) {
            problems.push(
                Problem::error(format!("`{}` runs elsewhere: `{}` means nothing for it", service.key, key.key))
                    .at(key.key_span.clone())
                    .help("leave it away, or `external`"),
            );
        }
    }
}

/// Lowers it.
pub(in crate::config) fn lower(
    name: &ServiceName,
    definition: &Definition,
    keys: &ServiceKeys,
    line: u32,
    declared: &BTreeMap<SecretName, SecretSpec>,
    problems: &mut Problems,
) -> External {
    let mut out = External::default();
    let Some(url) = &keys.external else { return out };
    let Some(pieces) = pieces(url, declared, &mut out, problems) else { return out };
    let whole_secret = matches!(pieces.as_slice(), [Piece::Secret(_)]);
    let found = if whole_secret { None } else { split(definition, url, &pieces, problems) };
    let pieces = match &found {
        // In its place in the URL, a password must not be read as anything else.
        Some(parts) => parts.encoded.clone(),
        None => pieces,
    };
    if let Some(full) = SecretName::parse(&format!("{name}.url")) {
        let spec = SecretSpec::required(line, SecretSource::Derived(Template(pieces)));
        out.secrets.insert(full.clone(), spec);
        out.offered_secrets.insert("url", full);
    }
    let wanted = |offer: &str| definition.offers.iter().copied().find(|o| *o == offer);
    for (offer, value) in found.iter().flat_map(|parts| &parts.texts) {
        if let Some(offer) = wanted(offer) {
            out.offers.insert(offer, Template::text(value));
        }
    }
    out.address = found.as_ref().map(|parts| parts.address.clone());
    let secret_offer = wanted("password").or(wanted("api_key"));
    let own = keys.password.as_ref().and_then(|key| secret_of(key, declared, problems));
    let password = own.or_else(|| found.and_then(|parts| parts.password));
    if let (Some(offer), Some(secret)) = (secret_offer, password) {
        out.used.insert(secret.clone());
        out.offered_secrets.insert(offer, secret);
    }
    out
}

/// The URL with its references resolved.
fn pieces(
    url: &At<Templated>,
    declared: &BTreeMap<SecretName, SecretSpec>,
    out: &mut External,
    problems: &mut Problems,
) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for part in &url.value.0 {
        pieces.push(match part {
            Part::Text(text) => Piece::Text(text.clone()),
            Part::Reference(_) => {
                let alone = At { value: Templated(vec![part.clone()]), span: url.span.clone() };
                let name = secret_of(&alone, declared, problems)?;
                out.used.insert(name.clone());
                Piece::Secret(name)
            }
        });
    }
    Some(pieces)
}

struct Parts {
    encoded: Vec<Piece>,
    texts: Vec<(&'static str, String)>,
    address: (String, u16),
    password: Option<SecretName>,
}

/// Takes a URL apart. Secrets may stand where the password does, and nowhere else.
fn split(definition: &Definition, url: &At<Templated>, pieces: &[Piece], problems: &mut Problems) -> Option<Parts> {
    // A character no URL holds stands for a secret while the text is cut.
    const SECRET: char = '\u{1}';
    let mut refuse = |problem: Problem| {
        problems.push(problem.at(url.span.clone()).hidden());
        None
    };
    let text: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.replace(SECRET, ""),
            _ => SECRET.to_string(),
        })
        .collect();
    let example = format!("`{}db.example.com`", definition.schemes.first().unwrap_or(&""));
    let Some(rest) = definition.schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return refuse(
            Problem::error(format!("this is not where a {} could be", definition.name))
                .label(format!("allowed: a URL such as {example}")),
        );
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    if !password.is_empty() && password != SECRET.to_string() {
        return refuse(
            Problem::error("a password does not belong into stack.toml")
                .label("name a secret in its place")
                .help("write `${secrets.NAME}` where the password is, or keep the whole URL in the secret"),
        );
    }
    let elsewhere = [user, place, path].iter().any(|part| part.contains(SECRET));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, port.parse::<u16>().ok().filter(|p| *p > 0)),
        _ => (place, Some(default_port(definition.name, &text))),
    };
    let sane = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let Some(port) = port.filter(|_| !elsewhere && !host.is_empty() && host.bytes().all(sane)) else {
        return refuse(
            Problem::error("this URL has no host, no port, or a secret in the wrong place")
                .label(format!("allowed: a URL such as {example}, with a secret only as its password")),
        );
    };
    let secret = pieces.iter().find_map(|piece| match piece {
        Piece::Secret(name) => Some(name.clone()),
        _ => None,
    });
    let encoded = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Secret(name) => Piece::Encoded(name.clone()),
            other => other.clone(),
        })
        .collect();
    let mut texts = vec![("host", host.to_owned()), ("port", port.to_string())];
    let database = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    for (offer, value) in [("user", user), ("database", database)] {
        if !value.is_empty() {
            texts.push((offer, value.to_owned()));
        }
    }
    let address = (host.trim_matches(['[', ']']).to_owned(), port);
    Some(Parts { encoded, texts, address, password: secret })
}

/// The port a URL means that names none.
fn default_port(preset: &str, url: &str) -> u16 {
    match preset {
        "postgres" => 5432,
        "redis" => 6379,
        _ if url.starts_with("https") => 443,
        _ => 80,
    }
}
