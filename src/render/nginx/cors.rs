//! CORS: Nginx answers preflights and says who may read.

use serde::Serialize;

use crate::model::proxy::{Cors, Proxy};

/// One set of rules, as the template sees it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rules {
    number: usize,
    any: bool,
    /// `NUMBER:ORIGIN`, keys of a map.
    origins: Vec<String>,
    credentials: bool,
    methods: String,
    headers: String,
    max_age: u64,
}

/// Rules that differ, numbered in the order of the file.
pub(super) fn rules(proxy: &Proxy) -> Vec<Rules> {
    let rules = |(cors, number): (&Cors, usize)| Rules {
        number,
        any: cors.origins.iter().any(|origin| origin == "*"),
        origins: cors.origins.iter().filter(|o| *o != "*").map(|origin| format!("{number}:{origin}")).collect(),
        credentials: cors.credentials,
        methods: cors.methods.join(", "),
        headers: cors.headers.join(", "),
        max_age: cors.max_age.ceil_seconds(),
    };
    distinct(proxy).into_iter().zip(1..).map(rules).collect()
}

/// The number of a route's rules.
pub(super) fn number(proxy: &Proxy, cors: &Cors) -> Option<usize> {
    distinct(proxy).iter().position(|known| *known == cors).map(|index| index + 1)
}

fn distinct(proxy: &Proxy) -> Vec<&Cors> {
    let mut all: Vec<&Cors> = Vec::new();
    for cors in proxy.routes.iter().filter_map(|route| route.cors.as_ref()) {
        if !all.contains(&cors) {
            all.push(cors);
        }
    }
    all.sort_by_key(|cors| cors.line);
    all
}
