//! Grafana's administrator: whether a password lets them in, and how it becomes another (HTTP API, "Current user").

use std::net::{SocketAddr, SocketAddrV4};

use crate::base::secret::Secret;

use super::login::Login;
use super::net::client::{Door, Request};
use super::net::http::Response;
use super::text;

/// Asks as this user who they are.
///
/// # Errors
/// In words, where it said neither yes nor no.
pub async fn grafana_login(address: SocketAddrV4, user: &str, password: &Secret) -> Result<Login, String> {
    let answer = ask(address, user, password, "GET", "/api/user", "").await?;
    match answer.status {
        200 => Ok(Login::In),
        401 => Ok(Login::Refused(said(&answer))),
        _ => Err(odd(&answer)),
    }
}

/// Gives this user another password.
///
/// # Errors
/// In words, what it says against that.
pub async fn grafana_password(address: SocketAddrV4, user: &str, old: &Secret, next: &Secret) -> Result<(), String> {
    let body = serde_json::json!({ "oldPassword": old.expose(), "newPassword": next.expose() });
    let answer = ask(address, user, old, "PUT", "/api/user/password", &body.to_string()).await?;
    if answer.status == 200 { Ok(()) } else { Err(odd(&answer)) }
}

async fn ask(
    address: SocketAddrV4,
    user: &str,
    password: &Secret,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Response, String> {
    let basic = format!("Basic {}", text::base64(format!("{user}:{}", password.expose()).as_bytes()));
    let headers = [("Authorization", basic.as_str()), ("Content-Type", "application/json")];
    let door = Door::plain(SocketAddr::V4(address), &address.to_string());
    door.get(&Request { method, path, headers: &headers, body }).await.map_err(|error| error.to_string())
}

fn odd(answer: &Response) -> String {
    format!("it answered {}: {}", answer.status, said(answer))
}

/// Its own words, or what came in their place.
fn said(answer: &Response) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let message = json.as_ref().and_then(|json| json["message"].as_str());
    message.map_or_else(|| text::clean(&answer.body[..answer.body.len().min(200)]), |m| text::clean(m.as_bytes()))
}
