//! What of a stack is left over and can go: nothing that runs, nothing a kept release needs, nothing of anybody else.

use std::collections::BTreeSet;

use crate::base::name::ProjectName;
use crate::model::container::label;
use crate::model::observed::{BuiltImage, ObservedContainer};
use crate::model::state::Release;

/// What can go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Names of one-off containers and jobs that ended.
    pub containers: Vec<String>,
    /// Images: each tag, with the bytes its image takes.
    pub images: Vec<(String, u64)>,
}

/// What can go; images that a recorded release holds stay, so that it can be gone back to. `containers` are the project's;
/// `in_use` are IDs of images that any container of the engine has, whoever owns it.
pub fn prune(
    project: &ProjectName,
    containers: &[ObservedContainer],
    images: &[BuiltImage],
    in_use: &BTreeSet<String>,
    releases: &[Release],
) -> Leftovers {
    let ours = |c: &&ObservedContainer| c.label(label::PROJECT) == project.as_str();
    let ended = |c: &&ObservedContainer| ["exited", "dead"].contains(&c.state.as_str());
    let once = |c: &&ObservedContainer| ["run", "job"].contains(&c.label(label::ROLE));
    let kept: BTreeSet<&str> = releases.iter().flat_map(|r| r.held.iter().map(String::as_str)).collect();
    // A container that goes with them does not keep its image.
    let going: Vec<&ObservedContainer> = containers.iter().filter(ours).filter(once).filter(ended).collect();
    let stays = |id: &str| {
        in_use.contains(id)
            && (containers.iter().any(|c| c.image_id == id && !going.iter().any(|g| g.id == c.id))
                || !containers.iter().any(|c| c.image_id == id))
    };
    // Only what was built here for this project: its tags begin with the project's name, and its label says so.
    let prefix = format!("{project}-");
    let images = images
        .iter()
        .filter(|image| image.labels.get(label::PROJECT).is_some_and(|p| p == project.as_str()))
        .filter(|image| image.labels.contains_key(label::CONTEXT) && !stays(&image.id))
        .filter(|image| !image.tags.iter().any(|tag| kept.contains(tag.as_str())))
        .flat_map(|image| image.tags.iter().map(|tag| (tag.clone(), image.size)))
        .filter(|(tag, _)| tag.starts_with(&prefix))
        .collect();
    Leftovers { containers: going.into_iter().map(|c| c.name.clone()).collect(), images }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn container(name: &str, role: &str, state: &str, image: &str) -> ObservedContainer {
        ObservedContainer {
            id: name.to_owned(),
            name: name.to_owned(),
            state: state.to_owned(),
            image_id: image.to_owned(),
            labels: BTreeMap::from([(label::PROJECT.into(), "p".into()), (label::ROLE.into(), role.into())]),
            ..ObservedContainer::default()
        }
    }

    fn image(id: &str, tag: &str, project: &str) -> BuiltImage {
        BuiltImage {
            id: id.to_owned(),
            tags: vec![tag.to_owned()],
            size: 10,
            labels: BTreeMap::from([(label::PROJECT.into(), project.into()), (label::CONTEXT.into(), "c".into())]),
        }
    }

    fn release(number: u32, result: &str, image: &str) -> Release {
        Release { number, result: result.into(), held: [image.to_owned()].into(), ..Release::default() }
    }

    #[test]
    fn only_what_is_ours_and_needed_by_nobody_goes() {
        let project = ProjectName::parse("p").unwrap_or_else(|| unreachable!());
        let containers = [
            container("p-app-1", "service", "running", "i5"),
            container("p-app-run-1", "run", "exited", "i2"),
            container("p-app-run-2", "run", "running", "i3"),
            container("p-old-1", "service", "exited", "i1"),
        ];
        let images = [
            image("i0", "p-app:0", "p"),
            image("i1", "p-app:1", "p"),
            image("i2", "p-app:2", "p"),
            image("i3", "p-app:3", "p"),
            image("i4", "p-app:4", "p"),
            image("i5", "p-app:5", "p"),
            image("i6", "p-app:6", "p"),
            image("i7", "other-app:1", "other"),
            image("i8", "renamed:1", "p"),
            BuiltImage { labels: BTreeMap::new(), ..image("i9", "p-app:9", "p") },
        ];
        // i6 is some other project's container's image, too.
        let in_use = ["i1", "i2", "i3", "i5", "i6"].map(str::to_owned).into();
        let releases = [release(2, "done", "p-app:4"), release(4, "failed", "p-app:5")];
        let found = prune(&project, &containers, &images, &in_use, &releases);
        assert_eq!(found.containers, ["p-app-run-1"]);
        assert_eq!(found.images, [("p-app:0".to_owned(), 10), ("p-app:2".to_owned(), 10)]);
    }
}
