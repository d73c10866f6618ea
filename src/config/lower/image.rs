//! The image a service runs, pulled or built.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::ServiceName;
use crate::base::problem::{Problem, Problems};
use crate::config::decode::At;
use crate::config::keys::service::{BuildKey, ServiceKeys};
use crate::model::service::{Build, Image};

/// What `image` or `build` says.
pub(super) fn lower(name: &At<ServiceName>, keys: &At<ServiceKeys>, problems: &mut Problems) -> Option<Image> {
    match (&keys.value.image, &keys.value.build) {
        (Some(image), Some(_)) => {
            problems.push(
                Problem::error("`image` and `build` exclude each other")
                    .at(image.span.clone())
                    .help("keep one of them"),
            );
            None
        }
        (Some(image), None) => {
            let text = &image.value.0;
            let sane = !text.is_empty() && !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_graphic());
            if !sane {
                problems.push(Problem::error(format!("`{text}` is not an image reference")).at(image.span.clone()));
                return None;
            }
            Some(Image::Pull(if text.contains('@') || text.rsplit('/').next().is_some_and(|last| last.contains(':')) {
                text.clone()
            } else {
                format!("{text}:latest")
            }))
        }
        (None, Some(build)) => Some(Image::Build(built(&name.value, &build.value))),
        (None, None) => {
            // A preset that was misspelt has been reported already.
            if keys.value.preset.is_none() && keys.value.like.is_none() {
                problems.push(
                    Problem::error(format!("`{}` has nothing to run", name.value))
                        .at(name.span.clone())
                        .help("give it `image`, `build`, `preset` or `like`")
                        .fix("build = \".\""),
                );
            }
            None
        }
    }
}

fn built(name: &ServiceName, key: &BuildKey) -> Build {
    let mut build = Build {
        name: name.clone(),
        context: ".".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: None,
        args: BTreeMap::new(),
        platform: None,
        secrets: BTreeSet::new(),
    };
    match key {
        BuildKey::Folder(folder) => build.context.clone_from(&folder.0),
        BuildKey::Keys(keys) => {
            if let Some(context) = &keys.context {
                build.context.clone_from(&context.value.0);
            }
            if let Some(dockerfile) = &keys.dockerfile {
                build.dockerfile.clone_from(&dockerfile.value.0);
            }
            build.target = keys.target.as_ref().map(|t| t.value.0.clone());
            build.platform = keys.platform.as_ref().map(|p| p.value.0.clone());
            build.secrets = keys.secrets.iter().flat_map(|list| &list.value).map(|name| name.value.clone()).collect();
            for (key, value) in keys.args.iter().flat_map(|m| &m.value.0) {
                build.args.insert(key.value.0.clone(), value.value.0.clone());
            }
        }
    }
    build
}
