//! `like`: one service takes over from another before anything is decoded, so that what it takes is checked as its own.

use crate::base::problem::{Problem, Problems};
use crate::base::suggest::nearest;
use crate::config::tree::{Node, Value};

/// What is taken over: what makes the program the same. Not what makes its job another one (command, port, replicas,
/// health check, hooks, limits).
const TAKEN: &[&str] = &[
    "image",
    "build",
    "environment",
    "env_file",
    "secrets",
    "files",
    "user",
    "working_dir",
    "init",
    "pull_policy",
    "depends_on",
    "volumes",
    "tmpfs",
    "read_only",
    "cap_add",
    "shm_size",
    "ulimits",
    "devices",
    "extra_hosts",
    "dns",
    "logging",
    "egress",
    "stop_signal",
    "stop_grace_period",
];

/// Applies every `like` of the file. One step only: a service that is `like` another cannot be the model of a third.
pub(in crate::config) fn apply_like(root: &mut Node, problems: &mut Problems) {
    let Some(services) = root.get("services").map(|e| e.node.clone()) else { return };
    let Value::Table(entries) = &services.value else { return };
    let Value::Table(tops) = &mut root.value else { return };
    let Some(target) = tops.iter_mut().find(|e| e.key == "services") else { return };
    let Value::Table(targets) = &mut target.node.value else { return };
    for entry in entries {
        let Some(like) = entry.node.get("like") else { continue };
        let Some(model_name) = like.node.plain() else { continue };
        let model = entries.iter().find(|e| e.key == model_name && e.key != entry.key);
        let Some(model) = model else {
            let mut problem =
                Problem::error(format!("there is no other service `{model_name}`")).at(like.node.span.clone());
            let names = entries.iter().map(|e| e.key.as_str()).filter(|k| *k != entry.key);
            if let Some(near) = nearest(&model_name, names) {
                problem = problem.fix(format!("\"{near}\""));
            }
            problems.push(problem);
            continue;
        };
        if model.node.get("like").is_some() {
            problems.push(
                Problem::error(format!("`{model_name}` is itself `like` another service"))
                    .at(like.node.span.clone())
                    .help("name the service that has the image"),
            );
            continue;
        }
        let Some(own) = targets.iter_mut().find(|e| e.key == entry.key) else { continue };
        take_over(&mut own.node, &model.node);
    }
}

fn take_over(own: &mut Node, model: &Node) {
    let own_image = own.get("image").is_some() || own.get("build").is_some();
    let Value::Table(entries) = &mut own.value else { return };
    for key in TAKEN {
        let Some(theirs) = model.get(key) else { continue };
        if own_image && (*key == "image" || *key == "build") {
            continue;
        }
        match entries.iter_mut().find(|e| e.key == *key) {
            // An environment is merged name by name; everything else that is written here replaces.
            Some(mine) if *key == "environment" => {
                let mut merged = theirs.node.clone();
                merged.overlay(mine.node.clone());
                mine.node = merged;
            }
            Some(_) => {}
            None => entries.push(theirs.clone()),
        }
    }
}
