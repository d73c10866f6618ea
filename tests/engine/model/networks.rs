//! Networks, and the addresses on them.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::calls::{Answer, Call, error};
use super::{Container, World};

impl World {
    pub(super) fn network(&mut self, call: &Call, rest: &[&str]) -> Answer {
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let all = self.networks.values().cloned();
                Answer::Json(200, all.collect())
            }
            ("POST", ["create"]) => {
                let mut body = call.json();
                let name = body["Name"].as_str().unwrap_or_default().to_owned();
                if self.networks.contains_key(&name) {
                    return error(409, format!("network with name {name} already exists"));
                }
                body["Id"] = json!(format!("net-{name}"));
                self.networks.insert(name.clone(), body);
                Answer::Json(201, json!({ "Id": format!("net-{name}"), "Warning": "" }))
            }
            (method, [name, verb @ ..]) => {
                let name = name.strip_prefix("net-").unwrap_or(name);
                if !self.networks.contains_key(name) {
                    return error(404, format!("network {name} not found"));
                }
                let body = call.json();
                let container = body["Container"].as_str().unwrap_or_default().to_owned();
                match (method, verb) {
                    ("DELETE", []) => {
                        let on = |c: &&Container| c.running() && c.networks.contains_key(name);
                        if let Some(on) = self.containers.iter().find(on) {
                            return error(
                                403,
                                format!(
                                    "error while removing network: network {name} id x has active endpoints ({})",
                                    on.name
                                ),
                            );
                        }
                        self.networks.remove(name);
                        Answer::Empty(204)
                    }
                    ("POST", ["connect"]) => {
                        let address = fixed(&body["EndpointConfig"]);
                        if let Some(c) = self.find_mut(&container) {
                            c.networks.insert(name.to_owned(), address);
                        }
                        Answer::Empty(200)
                    }
                    ("POST", ["disconnect"]) => {
                        if let Some(c) = self.find_mut(&container) {
                            c.networks.remove(name);
                        }
                        Answer::Empty(200)
                    }
                    _ => error(404, "page not found"),
                }
            }
            _ => error(404, "page not found"),
        }
    }
}

pub(super) fn fixed(endpoint: &Value) -> Option<Ipv4Addr> {
    endpoint["IPAMConfig"]["IPv4Address"].as_str().and_then(|a| a.parse().ok())
}
