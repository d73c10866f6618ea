//! Images: by reference, and no bytes.

use std::fmt::Write as _;

use serde_json::json;

use super::World;
use super::calls::{Answer, Call, error};

impl World {
    pub(super) fn image_id(&self, reference: &str) -> Option<String> {
        let by_name = self.images.get(reference).cloned();
        by_name.or_else(|| self.images.values().find(|id| *id == reference).cloned())
    }

    pub(super) fn image(&mut self, call: &Call) -> Answer {
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
