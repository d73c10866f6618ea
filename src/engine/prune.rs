//! Images that were built here, and what uses them.

use std::collections::{BTreeSet, HashMap};

use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, RemoveImageOptions};

use crate::base::name::ProjectName;
use crate::model::container::label;
use crate::model::observed::BuiltImage;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::observe;

impl Engine {
    /// Images that were built for a project, newest first.
    pub async fn built_images(&self, project: &ProjectName) -> Result<Vec<BuiltImage>, EngineError> {
        let options = ListImagesOptions { filters: Some(observe::filter(project)), ..ListImagesOptions::default() };
        let mut list = self.call("list images", self.docker.list_images(Some(options))).await?;
        list.sort_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
        let image = |summary: bollard::models::ImageSummary| BuiltImage {
            id: summary.id,
            tags: summary.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect(),
            size: u64::try_from(summary.size).unwrap_or(0),
            labels: summary.labels.into_iter().collect(),
        };
        Ok(list.into_iter().map(image).collect())
    }

    /// IDs of the images of all containers of the engine.
    pub async fn images_in_use(&self) -> Result<BTreeSet<String>, EngineError> {
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let list = self.call("list containers", self.docker.list_containers(Some(options))).await?;
        Ok(list.into_iter().filter_map(|c| c.image_id).collect())
    }

    /// Takes a tag from an image, and the image away if that was its last one. `false` if something needs it after all.
    pub async fn remove_image(&self, tag: &str) -> Result<bool, EngineError> {
        let remove = self.docker.remove_image(tag, None::<RemoveImageOptions>, None);
        match self.call(&format!("remove the image {tag}"), remove).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::ImageNotFound) => Ok(true),
            Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Helpers of runs that were killed before the engine took notice: they belong to no project.
    pub async fn stray_helpers(&self) -> Result<Vec<String>, EngineError> {
        let mut filters = HashMap::from([("label".to_owned(), vec![format!("{}=relay", label::ROLE)])]);
        filters.insert("status".to_owned(), ["created", "exited", "dead"].map(str::to_owned).to_vec());
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let list = self.call("list containers", self.docker.list_containers(Some(options))).await?;
        Ok(list.into_iter().filter_map(|c| c.id).collect())
    }
}
