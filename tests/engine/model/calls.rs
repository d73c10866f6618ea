//! What each call does, and what an engine answers: bodies and error texts are those of Docker 20.10.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{Container, File, Volume, World};

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
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Labels that are asked for.
    fn labels(&self) -> Vec<(String, String)> {
        let filters: Value = serde_json::from_str(self.query("filters")).unwrap_or_default();
        let labels = filters["label"].as_array().into_iter().flatten().filter_map(Value::as_str);
        labels.filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

fn error(status: u16, message: impl Into<String>) -> Answer {
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

    /// What the holder's program does with its arguments.
    fn rename(&mut self, carrier: &Container) {
        let words: Vec<&str> = carrier.body["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for pair in words.chunks_exact(2) {
            let [from, to] = [pair[0], pair[1]].map(|path| Self::in_volume(carrier, path).unwrap());
            let files = &mut self.volumes.get_mut(&from.0).unwrap().files;
            let file = files.remove(&from.1).unwrap_or_else(|| panic!("{} is not there", from.1));
            files.insert(to.1, file);
        }
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

    /// Volume and path in it of a place in a container.
    fn in_volume(container: &Container, path: &str) -> Option<(String, String)> {
        let mut mounts: Vec<_> = container.mounts().collect();
        mounts.sort_by_key(|(_, target)| std::cmp::Reverse(target.len()));
        mounts.into_iter().find_map(|(volume, target)| {
            let rest = path.strip_prefix(target)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (volume.to_owned(), rest.trim_matches('/').to_owned()))
        })
    }

    fn read_archive(&self, container: &Container, path: &str) -> Answer {
        let missing = || error(404, format!("Could not find the file {path} in container {}", container.id));
        let Some((volume, below)) = Self::in_volume(container, path) else { return missing() };
        let Some(files) = self.volumes.get(&volume).map(|v| &v.files) else { return missing() };
        let top = path.rsplit('/').next().unwrap_or_default();
        let mut tar = tar::Builder::new(Vec::new());
        let mut any = below.is_empty();
        for (name, file) in files {
            let inside = if below.is_empty() { Some(name.as_str()) } else { name.strip_prefix(&below) };
            let inside = match inside {
                Some("") => top.to_owned(),
                Some(rest) if below.is_empty() => format!("{top}/{rest}"),
                Some(rest) if rest.starts_with('/') => format!("{top}{rest}"),
                _ => continue,
            };
            any = true;
            let mut header = tar::Header::new_gnu();
            match file {
                File::Text { content, mode, uid, changed } => {
                    header.set_size(content.len() as u64);
                    header.set_mode(*mode);
                    header.set_uid(*uid);
                    header.set_mtime(*changed);
                    tar.append_data(&mut header, inside, content.as_slice()).unwrap();
                }
                File::Link(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    header.set_mtime(0);
                    header.set_mode(0o777);
                    header.set_uid(0);
                    tar.append_link(&mut header, inside, to).unwrap();
                }
            }
        }
        if any { Answer::Tar(tar.into_inner().unwrap()) } else { missing() }
    }

    fn write_archive(&mut self, container: &Container, path: &str, bytes: &[u8]) -> Answer {
        let Some((volume, below)) = Self::in_volume(container, path) else {
            return error(404, format!("Could not find the file {path} in container {}", container.id));
        };
        let reads = |c: &Container| !c.service().is_empty() && c.running() && c.mounts().any(|(v, _)| v == volume);
        let read = self.containers.iter().any(reads);
        let gaps = &mut self.gaps;
        let files = &mut self.volumes.entry(volume).or_default().files;
        for entry in tar::Archive::new(bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            let header = entry.header();
            let kind = header.entry_type();
            let (mode, uid, changed) = (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap());
            // What is there is taken away before the new one comes. A flag may be either meanwhile.
            let flag = name.starts_with("live/") && kind == tar::EntryType::Symlink;
            let beside = name.rsplit('/').next().and_then(|n| n.strip_prefix('.')?.strip_suffix(".next")).is_some();
            if read && kind != tar::EntryType::Directory && files.contains_key(&name) && !flag && !beside {
                gaps.insert(name.clone());
            }
            if kind == tar::EntryType::Symlink {
                let to = entry.link_name().unwrap().unwrap().display().to_string();
                files.insert(name, File::Link(to));
            } else if kind == tar::EntryType::Regular {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                files.insert(name, File::Text { content, mode, uid, changed });
            }
        }
        Answer::Empty(200)
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

    fn network(&mut self, call: &Call, rest: &[&str]) -> Answer {
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

    fn volume(&mut self, call: &Call, rest: &[&str]) -> Answer {
        let show = |name: &str, v: &Volume| json!({ "Name": name, "Driver": "local", "Mountpoint": place(name), "Labels": v.labels, "Scope": "local", "Options": {} });
        match (call.method.as_str(), rest) {
            ("GET", []) => {
                let labels = call.labels();
                let fits = |v: &Volume| labels.iter().all(|(k, value)| v.labels[k] == value.as_str());
                let all: Vec<Value> = self.volumes.iter().filter(|(_, v)| fits(v)).map(|(n, v)| show(n, v)).collect();
                Answer::Json(200, json!({ "Volumes": all, "Warnings": null }))
            }
            ("POST", ["create"]) => {
                let body = call.json();
                let name = body["Name"].as_str().unwrap_or_default().to_owned();
                let volume = self.volumes.entry(name.clone()).or_default();
                if volume.labels.is_null() {
                    volume.labels = body["Labels"].clone();
                }
                Answer::Json(201, show(&name, volume))
            }
            ("GET", [name]) => match self.volumes.get(*name) {
                Some(volume) => Answer::Json(200, show(name, volume)),
                None => error(404, format!("get {name}: no such volume")),
            },
            ("DELETE", [name]) => {
                let user = self.containers.iter().find(|c| c.mounts().any(|(v, _)| v == *name));
                if let Some(user) = user {
                    return error(409, format!("remove {name}: volume is in use - [{}]", user.id));
                }
                if self.volumes.remove(*name).is_none() {
                    return error(404, format!("get {name}: no such volume"));
                }
                Answer::Empty(204)
            }
            _ => error(404, "page not found"),
        }
    }

    fn image_id(&self, reference: &str) -> Option<String> {
        let by_name = self.images.get(reference).cloned();
        by_name.or_else(|| self.images.values().find(|id| *id == reference).cloned())
    }

    fn image(&mut self, call: &Call) -> Answer {
        let path = call.path.trim_start_matches("/images/");
        match call.method.as_str() {
            "POST" if path == "create" => {
                let name = match (call.query("fromImage"), call.query("repo"), call.query("tag")) {
                    ("", repo, "") => repo.to_owned(),
                    ("", repo, tag) => format!("{repo}:{tag}"),
                    (image, _, "") => image.to_owned(),
                    (image, _, tag) => format!("{image}:{tag}"),
                };
                self.images.insert(name.clone(), id_of(&name));
                Answer::Lines(vec![
                    json!({ "status": "Pulling", "id": "layer" }),
                    json!({ "status": format!("Downloaded newer image for {name}") }),
                ])
            }
            "POST" if path.ends_with("/tag") => {
                let from = path.trim_end_matches("/tag");
                let Some(id) = self.image_id(from) else { return error(404, format!("No such image: {from}")) };
                self.images.insert(format!("{}:{}", call.query("repo"), call.query("tag")), id);
                Answer::Empty(201)
            }
            "GET" if path == "json" => Answer::Json(200, json!([])),
            "GET" => {
                let name = path.trim_end_matches("/json");
                match self.image_id(name) {
                    Some(id) => Answer::Json(
                        200,
                        json!({ "Id": id, "RepoTags": [name], "RepoDigests": [], "Created": "2026-01-01T00:00:00Z",
                            "Os": "linux", "Architecture": "amd64", "Size": 1, "Config": {} }),
                    ),
                    None => error(404, format!("No such image: {name}")),
                }
            }
            "DELETE" => match self.images.remove(path) {
                Some(_) => Answer::Json(200, json!([{ "Untagged": path }])),
                None => error(404, format!("No such image: {path}")),
            },
            _ => error(404, "page not found"),
        }
    }
}

fn id_of(name: &str) -> String {
    let digits = name.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    });
    format!("sha256:{digits:0<64.64}")
}

fn fixed(endpoint: &Value) -> Option<Ipv4Addr> {
    endpoint["IPAMConfig"]["IPv4Address"].as_str().and_then(|a| a.parse().ok())
}

fn place(volume: &str) -> String {
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
