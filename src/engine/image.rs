//! Local tags: names that hold an image, so that it is there when somebody wants to go back to it.

use bollard::query_parameters::{RemoveImageOptions, TagImageOptions};

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};

impl Engine {
    /// Gives an image (ID or reference) another name, `repository:tag`; a name that is taken moves.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), EngineError> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
        self.call(&format!("tag the image {name}"), self.docker.tag_image(image, Some(options))).await
    }

    /// Takes a name from an image; the image goes with its last name, unless a container uses it. Fine if the name is
    /// not there.
    pub async fn untag(&self, name: &str) -> Result<(), EngineError> {
        let remove = self.docker.remove_image(name, None::<RemoveImageOptions>, None);
        match self.call(&format!("remove the image {name}"), remove).await {
            Err(error)
                if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::ImageNotFound | ErrorKind::Conflict) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}
