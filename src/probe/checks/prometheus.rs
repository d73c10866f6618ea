//! How Prometheus is asked.

use std::net::{SocketAddr, SocketAddrV4};

use serde_json::Value;

use crate::model::service::Service;

use super::super::check::Judged;
use super::super::context::Context;
use super::super::net::client::{Door, Request};
use super::health::{address, containers_of};

use Judged::{Skip, Unsure};

/// Where Prometheus answers.
pub(super) fn socket(context: &Context<'_>, service: &Service) -> Result<SocketAddrV4, Judged> {
    let Some(observed) = context.observed.filter(|o| o.engine.local) else {
        return Err(Skip("not visible from here: the containers' addresses cannot be reached".to_owned()));
    };
    let running = containers_of(observed, service.name.as_str()).find(|c| c.running());
    let socket = running.and_then(address).zip(service.port).map(|(a, port)| SocketAddrV4::new(a, port));
    socket.ok_or_else(|| Unsure("no container of it runs".to_owned()))
}

/// `data` of an answer of the API.
pub(super) async fn api(at: SocketAddrV4, path: &str) -> Result<Value, String> {
    let door = Door::plain(SocketAddr::V4(at), &at.to_string());
    let response = door.get(&Request::path(path)).await.map_err(|e| e.to_string())?;
    let body: Value =
        serde_json::from_slice(&response.body).map_err(|_| format!("{} for {path}, and no JSON", response.status))?;
    match body.get("data") {
        Some(data) if response.status == 200 => Ok(data.clone()),
        _ => Err(format!("{} for {path}: {}", response.status, word(&body, "error"))),
    }
}

/// A key's text; nothing if it has none.
pub(super) fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A key's list; nothing if it has none.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
