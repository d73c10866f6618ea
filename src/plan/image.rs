//! Image references.

use crate::model::service::{Image, Service};
use crate::model::stack::Stack;

use super::Inputs;

/// The reference a service runs: what the file says (through the mirror, if there is one), or for a built image a
/// tag that names the content it was built from.
pub fn reference(service: &Service, inputs: &Inputs<'_>) -> String {
    match &service.image {
        Image::Pull(reference) => mirrored(reference, inputs.mirror),
        Image::Build(build) => {
            let context = inputs.contexts.get(&build.name).map_or("", String::as_str);
            built(inputs.stack, build.name.as_str(), context)
        }
    }
}

/// The tag of a built image.
pub fn built(stack: &Stack, service: &str, context: &str) -> String {
    format!("{}-{service}:{}", stack.project, context.get(..12).unwrap_or("unknown"))
}

/// Docker Hub's images by way of a mirror, as registries that mirror it name them: official ones below `library/`.
/// References that name another registry stay as they are.
pub fn mirrored(reference: &str, mirror: Option<&str>) -> String {
    let Some(mirror) = mirror else { return reference.to_owned() };
    let mirror = mirror.trim_end_matches('/');
    match reference.split_once('/') {
        None => format!("{mirror}/library/{reference}"),
        Some(("docker.io", rest)) if rest.contains('/') => format!("{mirror}/{rest}"),
        Some(("docker.io", rest)) => format!("{mirror}/library/{rest}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => reference.to_owned(),
        Some(_) => format!("{mirror}/{reference}"),
    }
}

/// The same image by its digest instead of its tag.
pub fn at_digest(reference: &str, digest: &str) -> String {
    let start = reference.rfind('/').map_or(0, |at| at + 1);
    let name = reference[start..].split([':', '@']).next().unwrap_or_default();
    format!("{}{name}@{digest}", &reference[..start])
}

#[cfg(test)]
mod tests {
    use super::{at_digest, mirrored};

    #[test]
    fn a_digest_takes_the_place_of_the_tag() {
        for (reference, expected) in [
            ("nginx:1.30", "nginx@sha256:0"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b@sha256:0"),
            ("localhost:5000/a/b", "localhost:5000/a/b@sha256:0"),
            ("a@sha256:1", "a@sha256:0"),
        ] {
            assert_eq!(at_digest(reference, "sha256:0"), expected, "{reference}");
        }
    }

    #[test]
    fn only_docker_hub_is_mirrored() {
        for (reference, expected) in [
            ("nginx:1.30", "m.test/library/nginx:1.30"),
            ("prom/prometheus:v2", "m.test/prom/prometheus:v2"),
            ("docker.io/library/redis:7", "m.test/library/redis:7"),
            ("docker.io/redis:7", "m.test/library/redis:7"),
            ("ghcr.io/acme/x:1", "ghcr.io/acme/x:1"),
            ("localhost:5000/x", "localhost:5000/x"),
        ] {
            assert_eq!(mirrored(reference, Some("m.test/")), expected, "{reference}");
            assert_eq!(mirrored(reference, None), reference);
        }
    }
}
