//! Containers that hold images of earlier releases. A tag keeps an image from `docker image prune`; from `docker system
//! prune -a` only a container keeps it that runs. So one does, in the image, with the holder's program, which waits.

use std::collections::BTreeSet;

use bollard::models::{HealthConfig, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::CreateContainerOptions;

use crate::base::name::ProjectName;
use crate::model::container::label;
use crate::model::observed::ObservedContainer;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::{holder, tarball};

/// What such a container has in its label of roles.
const ROLE: &str = "hold";

/// The program's name at the root of the container: nothing of the image is meant to have it.
const PROGRAM: &str = ".stackctl-hold";

/// Somebody who owns nothing in most images (`nobody` of Debian and Alpine).
const NOBODY: &str = "65534:65534";

impl Engine {
    /// Holds exactly these images, by ID, for a project; those that are not there are left out.
    pub async fn hold_images(&self, project: &ProjectName, images: &BTreeSet<String>) -> Result<(), EngineError> {
        let there = self.containers(project).await?;
        let there: Vec<&ObservedContainer> = there.iter().filter(|c| c.label(label::ROLE) == ROLE).collect();
        let wanted: BTreeSet<String> = images.iter().map(|image| name(project, image)).collect();
        for container in there.iter().filter(|c| !wanted.contains(&c.name) || !c.running()) {
            self.remove_with_volumes(&container.name).await?;
        }
        for image in images {
            let holds = there.iter().any(|c| c.name == name(project, image) && c.running());
            if !holds && self.image(image).await?.is_some() {
                self.hold_one(project, image).await?;
            }
        }
        Ok(())
    }

    async fn hold_one(&self, project: &ProjectName, image: &str) -> Result<(), EngineError> {
        let name = name(project, image);
        let doing = format!("hold the image {image} by {name}");
        let other = |message: String| EngineError::new(ErrorKind::Other, &doing, message);
        let program = holder::program(&self.facts().arch)
            .ok_or_else(|| other("there is no holder for its architecture".into()))?;
        let labels = [(label::PROJECT, project.as_str()), (label::ROLE, ROLE)];
        let mut body = holder::body(labels.map(|(k, v)| (k.to_owned(), v.to_owned())), None);
        body.image = Some(image.to_owned());
        body.entrypoint = Some(vec![format!("/{PROGRAM}")]);
        body.cmd = Some(Vec::new());
        body.user = Some(NOBODY.to_owned());
        body.working_dir = Some("/".to_owned());
        body.open_stdin = Some(true); // not `StdinOnce`: it blocks for ever
        body.healthcheck = Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() });
        if let Some(config) = &mut body.host_config {
            config.restart_policy =
                Some(RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), maximum_retry_count: None });
            // The program is written into its layer.
            config.readonly_rootfs = Some(false);
            config.pids_limit = Some(2);
        }
        let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
        let id = self.call(&doing, self.docker.create_container(Some(options), body)).await?.id;
        let tar = tarball::of_program(PROGRAM, &program).map_err(|error| other(error.to_string()))?;
        self.put_archive(&id, "/", tar, &doing).await?;
        self.call(&doing, self.docker.start_container(&id, None)).await
    }
}

fn name(project: &ProjectName, image: &str) -> String {
    let short: String = image.trim_start_matches("sha256:").chars().take(12).collect();
    format!("{project}-hold-{short}")
}
