//! Volumes and what is in them: the archive calls, and the program that renames.

use std::io::Read as _;

use serde_json::{Value, json};

use super::calls::{Answer, Call, error, place};
use super::{Container, File, Volume, World};

impl World {
    pub(super) fn volume(&mut self, call: &Call, rest: &[&str]) -> Answer {
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

    /// What the holder's program does with its arguments.
    pub(super) fn rename(&mut self, carrier: &Container) {
        let words: Vec<&str> = carrier.body["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for pair in words.chunks_exact(2) {
            let [from, to] = [pair[0], pair[1]].map(|path| Self::in_volume(carrier, path).unwrap());
            let files = &mut self.volumes.get_mut(&from.0).unwrap().files;
            let file = files.remove(&from.1).unwrap_or_else(|| panic!("{} is not there", from.1));
            files.insert(to.1, file);
        }
    }

    /// Volume and path in it of a place in a container.
    pub(super) fn in_volume(container: &Container, path: &str) -> Option<(String, String)> {
        let mut mounts: Vec<_> = container.mounts().collect();
        mounts.sort_by_key(|(_, target)| std::cmp::Reverse(target.len()));
        mounts.into_iter().find_map(|(volume, target)| {
            let rest = path.strip_prefix(target)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (volume.to_owned(), rest.trim_matches('/').to_owned()))
        })
    }

    pub(super) fn read_archive(&self, container: &Container, path: &str) -> Answer {
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

    pub(super) fn write_archive(&mut self, container: &Container, path: &str, bytes: &[u8]) -> Answer {
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
}
