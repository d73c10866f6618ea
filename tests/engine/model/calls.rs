//! What each call does, and what an engine answers: bodies and error texts are those of Docker 20.10.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::networks::fixed;
use super::{Container, World};

/// What a call is answered with.
pub(super) enum Answer {
    Json(u16, Value),
    Empty(u16),
    Tar(Vec<u8>),
    /// A stream of lines.
    Lines(Vec<Value>),
    /// Once the container does not run.
    Wait(String),
    /// The container's own streams.
    Attach(String),
    /// A command's output, and then the end.
    Exec(String),
    /// A stream that stays open.
    Events,
}

/// A call.
pub(super) struct Call {
    pub(super) method: String,
    /// Without the version.
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Labels that are asked for.
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        let filters: Value = serde_json::from_str(self.query("filters")).unwrap_or_default();
        let labels = filters["label"].as_array().into_iter().flatten().filter_map(Value::as_str);
        labels.filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

pub(super) fn error(status: u16, message: impl Into<String>) -> Answer {
    Answer::Json(status, json!({ "message": message.into() }))
}

impl World {
    pub(super) fn answer(&mut self, call: &Call) -> Answer {
        let parts: Vec<&str> = call.path.trim_matches('/').split('/').collect();
        match (call.method.as_str(), parts.as_slice()) {
            ("GET", ["version"]) => Answer::Json(
                200,
                json!({ "Version": "20.10.24", "ApiVersion": "1.41", "Os": "linux", "Arch": "amd64", "KernelVersion": here("osrelease") }),
            ),
            ("GET", ["info"]) => Answer::Json(
                200,
                json!({ "Name": here("hostname"), "NCPU": 4, "MemTotal": 16_u64 << 30, "MemoryLimit": true,
                    "CpuCfsQuota": true, "CPUShares": true, "PidsLimit": true, "OperatingSystem": "Debian" }),
            ),
            (_, ["_ping"]) => Answer::Empty(200),
            ("GET", ["events"]) => Answer::Events,
            (_, ["containers", rest @ ..]) => self.containers(call, rest),
            (_, ["exec", id, rest @ ..]) => self.exec(id, rest),
            (_, ["networks", rest @ ..]) => self.network(call, rest),
            (_, ["volumes", rest @ ..]) => self.volume(call, rest),
            (_, ["images", ..]) => self.image(call),
            _ => error(404, "page not found"),
        }
    }

    fn containers(&mut self, call: &Call, rest: &[&str]) -> Answer {
        match (call.method.as_str(), rest) {
            ("GET", ["json"]) => {
                let labels = call.labels();
                let fits = |c: &&Container| labels.iter().all(|(k, v)| c.label(k) == v);
                Answer::Json(200, self.containers.iter().filter(fits).map(|c| self.summary(c)).collect())
            }
            ("POST", ["create"]) => self.create(call),
            (_, [name]) if call.method == "DELETE" => {
                if self.find(name).is_none() {
                    return error(404, format!("No such container: {name}"));
                }
                self.containers.retain(|c| c.id != *name && c.name != *name);
                Answer::Empty(204)
            }
            (_, [name, verb]) => {
                let Some(found) = self.find(name) else { return error(404, format!("No such container: {name}")) };
                let found = found.clone();
                self.on_container(call, &found, verb)
            }
            _ => error(404, "page not found"),
        }
    }

    fn on_container(&mut self, call: &Call, found: &Container, verb: &str) -> Answer {
        let id = found.id.clone();
        let change = |world: &mut Self, with: &dyn Fn(&mut Container)| world.find_mut(&id).into_iter().for_each(with);
        match (call.method.as_str(), verb) {
            ("GET", "json") => Answer::Json(200, self.details(found)),
            ("POST", "start") => self.start(found),
            ("POST", "stop" | "restart") => {
                if !found.running() {
                    return Answer::Empty(304);
                }
                let state = if verb == "stop" { "exited" } else { "running" };
                change(self, &|c| (c.state, c.loaded) = (state, None));
                Answer::Empty(204)
            }
            ("POST", "kill") => {
                if !found.running() {
                    return error(409, format!("Cannot kill container: {}: Container {id} is not running", found.name));
                }
                if call.query("signal").contains("HUP") {
                    let loaded = self.configuration(found);
                    change(self, &|c| c.loaded.clone_from(&loaded));
                } else {
                    change(self, &|c| c.state = "exited");
                }
                Answer::Empty(204)
            }
            ("POST", "rename") => {
                let to = call.query("name").to_owned();
                if let Some(other) = self.find(&to) {
                    return error(409, conflict(&to, &other.id));
                }
                change(self, &|c| c.name.clone_from(&to));
                Answer::Empty(204)
            }
            ("POST", "update") => {
                let body = call.json();
                change(self, &|c| {
                    for (key, value) in body.as_object().into_iter().flatten() {
                        c.body["HostConfig"][key] = value.clone();
                    }
                });
                Answer::Json(200, json!({ "Warnings": null }))
            }
            ("POST", "wait") => Answer::Wait(id),
            ("POST", "attach") => Answer::Attach(id),
            ("GET", "logs") => Answer::Lines(Vec::new()),
            ("GET", "top") => {
                let rows = if found.service() == "proxy" {
                    vec![["1", "nginx: master process"], ["30", "nginx: worker process"]]
                } else {
                    vec![["1", "program"]]
                };
                // Workers are new after each reload, as Nginx's are.
                let generation = found.loaded.as_ref().map_or(0, |l| l.hash.bytes().map(usize::from).sum());
                let rows = rows.into_iter().map(|[pid, line]| {
                    let pid: usize = pid.parse().unwrap_or(1);
                    json!([(if pid == 1 { 1 } else { pid + generation }).to_string(), line])
                });
                Answer::Json(200, json!({ "Titles": ["PID", "COMMAND"], "Processes": rows.collect::<Vec<_>>() }))
            }
            ("GET", "archive") => self.read_archive(found, call.query("path")),
            ("PUT", "archive") => self.write_archive(found, call.query("path"), &call.body),
            ("POST", "exec") => {
                if !found.running() {
                    return error(409, format!("Container {id} is not running"));
                }
                let exec = format!("exec{}", self.number());
                let words = call.json()["Cmd"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect();
                self.execs.insert(exec.clone(), (id, words));
                Answer::Json(201, json!({ "Id": exec }))
            }
            _ => error(404, "page not found"),
        }
    }

    fn create(&mut self, call: &Call) -> Answer {
        let (name, body) = (call.query("name").to_owned(), call.json());
        let image = body["Image"].as_str().unwrap_or_default();
        if self.image_id(image).is_none() {
            return error(404, format!("No such image: {image}"));
        }
        if let Some(other) = self.find(&name) {
            return error(409, conflict(&name, &other.id));
        }
        let mounts = body["HostConfig"]["Mounts"].as_array().into_iter().flatten();
        for volume in mounts.filter(|m| m["Type"] == "volume").filter_map(|m| m["Source"].as_str()) {
            self.volumes.entry(volume.to_owned()).or_default();
        }
        let mut networks = BTreeMap::new();
        for (network, endpoint) in body["NetworkingConfig"]["EndpointsConfig"].as_object().into_iter().flatten() {
            networks.insert(network.clone(), fixed(endpoint));
        }
        let id = format!("{:064x}", self.number());
        self.containers.push(Container { id: id.clone(), name, body, state: "created", networks, loaded: None });
        Answer::Json(201, json!({ "Id": id, "Warnings": [] }))
    }

    fn start(&mut self, found: &Container) -> Answer {
        if found.running() {
            return Answer::Empty(304);
        }
        for (network, address) in &found.networks {
            if !self.networks.contains_key(network) {
                return error(404, format!("network {network} not found"));
            }
            let taken = |c: &Container| c.running() && address.is_some() && c.networks.get(network) == Some(address);
            if self.containers.iter().any(taken) {
                return error(403, "Address already in use");
            }
        }
        let loaded = (found.service() == "proxy").then(|| self.configuration(found)).flatten();
        let job = found.label("stackctl.role") == "job";
        let carrier = found.label("stackctl.role") == "files";
        if carrier {
            self.rename(found);
        }
        if let Some(found) = self.find_mut(&found.id) {
            // What has nothing more to do ends at once, and well.
            (found.state, found.loaded) = (if job || carrier { "exited" } else { "running" }, loaded);
        }
        Answer::Empty(204)
    }

    fn summary(&self, c: &Container) -> Value {
        let networks: serde_json::Map<String, Value> = c
            .networks
            .iter()
            .map(|(name, address)| {
                let address = address.filter(|_| c.running()).map_or_else(String::new, |a| a.to_string());
                (name.clone(), json!({ "IPAddress": address }))
            })
            .collect();
        let mut ports = Vec::new();
        for (port, bindings) in c.body["HostConfig"]["PortBindings"].as_object().into_iter().flatten() {
            for at in bindings.as_array().into_iter().flatten().filter(|_| c.running()) {
                let number = |text: &str| text.split('/').next().and_then(|n| n.parse::<u16>().ok());
                ports.push(json!({ "IP": at["HostIp"], "PrivatePort": number(port),
                    "PublicPort": at["HostPort"].as_str().and_then(number), "Type": "tcp" }));
            }
        }
        json!({ "Id": c.id, "Names": [format!("/{}", c.name)], "Image": c.body["Image"], "Created": 1,
            "ImageID": self.image_id(c.body["Image"].as_str().unwrap_or_default()), "State": c.state,
            "Status": if c.running() { "Up 1 second" } else { "Exited (0)" }, "Labels": c.body["Labels"],
            "Ports": ports, "NetworkSettings": { "Networks": networks } })
    }

    fn details(&self, c: &Container) -> Value {
        let mounts: Vec<Value> = c.body["HostConfig"]["Mounts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|m| {
                let source = m["Source"].as_str().unwrap_or_default();
                let rw = m["ReadOnly"] != true;
                if m["Type"] == "volume" {
                    json!({ "Type": "volume", "Name": source, "Source": place(source), "Destination": m["Target"], "RW": rw })
                } else {
                    json!({ "Type": "bind", "Source": source, "Destination": m["Target"], "RW": rw })
                }
            })
            .collect();
        let mut state = json!({ "Status": c.state, "Running": c.running(), "ExitCode": 0, "OOMKilled": false,
            "Error": "", "StartedAt": "2026-01-01T00:00:00Z" });
        if c.body["Healthcheck"]["Test"][0] == "CMD" && c.running() {
            state["Health"] = json!({ "Status": "healthy", "Log": [] });
        }
        json!({ "Id": c.id, "Name": format!("/{}", c.name), "Created": "2026-01-01T00:00:00Z", "RestartCount": 0,
            "Image": self.image_id(c.body["Image"].as_str().unwrap_or_default()), "State": state, "Config": c.body,
            "HostConfig": c.body["HostConfig"], "Mounts": mounts })
    }

    fn exec(&mut self, id: &str, rest: &[&str]) -> Answer {
        let Some((_, words)) = self.execs.get(id) else { return error(404, format!("No such exec instance: {id}")) };
        match rest {
            ["start"] => {
                let lines = if words.first().is_some_and(|w| w == "cat") {
                    "  sl  local_address rem_address   st\n"
                } else {
                    ""
                };
                Answer::Exec(lines.to_owned())
            }
            ["json"] => Answer::Json(200, json!({ "ID": id, "Running": false, "ExitCode": 0, "Pid": 7 })),
            _ => error(404, "page not found"),
        }
    }
}

pub(super) fn place(volume: &str) -> String {
    format!("/var/lib/docker/volumes/{volume}/_data")
}

fn conflict(name: &str, id: &str) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
    )
}

/// As this machine: so that containers are asked directly.
fn here(what: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/kernel/{what}")).unwrap_or_default().trim().to_owned()
}
