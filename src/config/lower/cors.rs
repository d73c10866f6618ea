//! CORS.

use std::collections::BTreeSet;

use crate::base::problem::{Problem, Problems};
use crate::base::units::Span;
use crate::config::decode::At;
use crate::config::keys::cors::CorsKey;
use crate::config::web::Origin;
use crate::model::proxy::Cors;

use super::Input;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const HEADERS: [&str; 2] = ["Authorization", "Content-Type"];

/// The rules that stand at a key; `None` for `"off"`.
pub(super) fn lower(key: &At<CorsKey>, input: &Input<'_>, problems: &mut Problems) -> Option<Cors> {
    let none: &[At<Origin>] = &[];
    let (origins, keys) = match &key.value {
        CorsKey::Off => return None,
        CorsKey::Origins(origins) => (origins.as_slice(), None),
        CorsKey::Keys(keys) => (keys.origins.as_ref().map_or(none, |list| &list.value), Some(keys.as_ref())),
    };
    if origins.is_empty() {
        // A list that is there but wrong has been reported already.
        if keys.is_none_or(|k| k.origins.as_ref().is_none_or(|list| list.value.is_empty())) && !problems.has_errors() {
            problems.push(
                Problem::error("`cors` needs `origins`")
                    .at(key.span.clone())
                    .fix("cors = [\"https://app.example.com\"]"),
            );
        }
        return None;
    }
    let cors = Cors {
        line: input.line(&key.span),
        // Nginx takes each key of a map once.
        origins: origins.iter().map(|o| o.value.0.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
        methods: words(keys.and_then(|k| k.methods.as_ref()).map(|l| &l.value), &METHODS, |m| &m.0),
        headers: words(keys.and_then(|k| k.headers.as_ref()).map(|l| &l.value), &HEADERS, |h| &h.0),
        credentials: keys.and_then(|k| k.credentials.as_ref()).is_some_and(|c| c.value),
        max_age: keys.and_then(|k| k.max_age.as_ref()).map_or(Span::seconds(3600), |m| m.value),
    };
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        problems.push(
            Problem::error("`\"*\"` and `credentials` do not go together: every site could act for your users")
                .at(key.span.clone())
                .help("name the origins, or leave `credentials` out"),
        );
    }
    Some(cors)
}

fn words<T>(list: Option<&Vec<At<T>>>, default: &[&str], text: impl Fn(&T) -> &String) -> Vec<String> {
    list.map_or_else(
        || default.iter().map(|word| (*word).to_owned()).collect(),
        |list| list.iter().map(|word| text(&word.value).clone()).collect(),
    )
}
