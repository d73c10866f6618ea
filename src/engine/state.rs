//! The project's memory on the engine: a volume, carried by a container that keeps prunes away from it.

use std::collections::BTreeMap;

use bollard::models::{RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::base::hash;
use crate::base::name::{ProjectName, SecretName};
use crate::base::secret::Secret;
use crate::model::artifact::{Artifact, Content};
use crate::model::baseline::Baseline;
use crate::model::container::label;
use crate::model::state::{Release, State};

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;
use super::tarball::{self, Entry};

/// Where the volume appears in its carrier.
const MOUNT: &str = "/state";

/// File names in it.
pub mod file {
    /// Key of fingerprints, hexadecimal.
    pub const KEY: &str = "key";
    /// Stage.
    pub const STAGE: &str = "stage";
    /// Folder of secrets, by name.
    pub const SECRETS: &str = "secrets";
    /// Folder of hashes of what each service was last told to load.
    pub const APPLIED: &str = "applied";
    /// How fast the front door was when somebody stored it.
    pub const BASELINE: &str = "baseline.json";
    /// Folder of releases, `<n>.json`.
    pub const RELEASES: &str = "releases";
}

impl Engine {
    /// Makes the volume, its carrier and its key. What exists stays as it is: a key or a secret is never replaced.
    pub async fn create_state(
        &self,
        project: &ProjectName,
        stage: &str,
        labels: BTreeMap<String, String>,
    ) -> Result<State, EngineError> {
        let labels = own_labels(project, stage, labels);
        let volume = volume_name(project);
        let doing = format!("create the state volume {volume}");
        let request = VolumeCreateRequest {
            name: Some(volume.clone()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.call(&doing, self.docker.create_volume(request)).await?;
        let name = carrier_name(project);
        let mut body = holder::body(labels, Some((&volume, MOUNT)));
        body.open_stdin = Some(true); // not `StdinOnce`: it blocks for ever
        if let Some(config) = &mut body.host_config {
            config.restart_policy =
                Some(RestartPolicy { name: Some(RestartPolicyNameEnum::ALWAYS), maximum_retry_count: None });
        }
        match self.create_holder(&doing, &name, body).await {
            Err(error) if error.kind == ErrorKind::Conflict => {}
            other => drop(other?),
        }
        self.call(&doing, self.docker.start_container(&name, None)).await?;
        if let Some(state) = self.read_state(project).await?
            && !state.key.is_empty()
        {
            return Ok(state);
        }
        let key = random_key(&doing)?;
        let files = [owner_only(file::KEY, hash::hex(&key)), owner_only(file::STAGE, stage.to_owned())];
        self.write_state(project, &files).await?;
        self.read_state(project)
            .await?
            .ok_or_else(|| EngineError::new(ErrorKind::Other, doing, "what was written cannot be read back"))
    }

    /// Writes files into the state volume, paths as in [`file`].
    pub async fn write_state(&self, project: &ProjectName, files: &[Artifact]) -> Result<(), EngineError> {
        let doing = format!("write to the state volume {}", volume_name(project));
        let tar = tarball::of_files(files, &[])
            .map_err(|error| EngineError::new(ErrorKind::Other, &doing, error.to_string()))?;
        self.put_archive(&carrier_name(project), MOUNT, tar, &doing).await
    }

    /// Forgets files of the state volume. The archive API cannot delete: they become empty, and empty files count as
    /// not there.
    pub async fn remove_state_files(&self, project: &ProjectName, paths: &[String]) -> Result<(), EngineError> {
        let files: Vec<Artifact> = paths.iter().map(|path| owner_only(path, String::new())).collect();
        self.write_state(project, &files).await
    }

    /// What earlier runs kept; `None` if there is no state volume. Works while the carrier is stopped or missing.
    pub async fn read_state(&self, project: &ProjectName) -> Result<Option<State>, EngineError> {
        let volume = volume_name(project);
        let doing = format!("read the state volume {volume}");
        let files = match self.get_archive(&carrier_name(project), MOUNT, &doing).await {
            Ok(files) => files,
            Err(error) if error.kind == ErrorKind::NotFound => {
                // Somebody removed the carrier: the secrets are still there, and must not look lost.
                match self.call(&doing, self.docker.inspect_volume(&volume)).await {
                    Ok(_) => self.read_files(&volume, "").await?,
                    Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        parse(files).map(Some).map_err(|message| EngineError::new(ErrorKind::Other, doing, message))
    }
}

/// Name of the state volume.
pub fn volume_name(project: &ProjectName) -> String {
    format!("{project}_stackctl")
}

/// Name of the container that carries it.
pub fn carrier_name(project: &ProjectName) -> String {
    format!("{project}-stackctl")
}

/// A release as a file of the state volume.
pub fn release_file(release: &Release) -> Artifact {
    // Plain data of ours always serialises.
    let text = serde_json::to_string_pretty(release).unwrap_or_default();
    owner_only(&format!("{}/{}.json", file::RELEASES, release.number), text)
}

/// A baseline as a file of the state volume.
pub fn baseline_file(baseline: &Baseline) -> Artifact {
    // Plain data of ours always serialises.
    owner_only(file::BASELINE, serde_json::to_string_pretty(baseline).unwrap_or_default())
}

/// A secret as a file of the state volume.
pub fn secret_file(name: &SecretName, value: &Secret) -> Artifact {
    owner_only(&format!("{}/{name}", file::SECRETS), value.expose().to_owned())
}

fn owner_only(path: &str, text: String) -> Artifact {
    Artifact { path: path.to_owned(), content: Content::Secret(Secret::new(text)), mode: 0o600, uid: 0 }
}

/// Without Compose's labels: `docker compose down -v` must not find what holds the secrets.
fn own_labels(project: &ProjectName, stage: &str, labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> =
        labels.into_iter().filter(|(name, _)| !name.starts_with("com.docker.compose.")).collect();
    labels.insert(label::PROJECT.to_owned(), project.to_string());
    labels.insert(label::ROLE.to_owned(), "carrier".to_owned());
    labels.insert(label::STAGE.to_owned(), stage.to_owned());
    labels
}

fn random_key(doing: &str) -> Result<[u8; 32], EngineError> {
    let mut key = [0; 32];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| EngineError::new(ErrorKind::Other, doing, "this system gives no random numbers"))?;
    Ok(key)
}

fn parse(files: BTreeMap<String, Entry>) -> Result<State, String> {
    let mut state = State::default();
    for (path, entry) in files {
        if entry.content.is_empty() {
            continue;
        }
        let text = String::from_utf8(entry.content).map_err(|_| format!("{path} is not text"))?;
        match path.split_once('/') {
            None if path == file::KEY => state.key = unhex(text.trim()).ok_or("the key is damaged")?,
            // Figures to compare with: damaged ones are as good as none.
            None if path == file::BASELINE => state.baseline = serde_json::from_str(&text).ok(),
            None if path == file::STAGE => text.trim().clone_into(&mut state.stage),
            Some((file::SECRETS, name)) => {
                if let Some(name) = SecretName::parse(name) {
                    state.secrets.insert(name, Secret::new(text));
                }
            }
            Some((file::APPLIED, service)) => {
                state.applied.insert(service.to_owned(), text.trim().to_owned());
            }
            Some((file::RELEASES, _)) => {
                state
                    .releases
                    .push(serde_json::from_str(&text).map_err(|error| format!("{path} is damaged: {error}"))?);
            }
            _ => {}
        }
    }
    state.releases.sort_by_key(|release| release.number);
    Ok(state)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry { content: text.as_bytes().to_vec(), mode: 0o600, uid: 0, link: None }
    }

    #[test]
    fn files_become_a_state() {
        let release = |number| release_file(&Release { number, result: "done".into(), ..Release::default() });
        let mut files = BTreeMap::from([
            ("key".to_owned(), entry("00ff")),
            ("stage".to_owned(), entry("staging")),
            ("secrets/pw".to_owned(), entry("a b\n")),
            ("secrets/gone".to_owned(), entry("")),
            ("applied/proxy".to_owned(), entry("abc\n")),
            ("audit.log".to_owned(), entry("not parsed")),
        ]);
        for number in [10, 9] {
            let file = release(number);
            files.insert(file.path.clone(), entry(file.content.expose()));
        }
        let state = parse(files).unwrap_or_default();
        assert_eq!((state.key.as_slice(), state.stage.as_str()), ([0, 255].as_slice(), "staging"));
        assert_eq!(state.secrets.values().map(Secret::expose).collect::<Vec<_>>(), ["a b\n"], "to the byte");
        assert_eq!(state.applied["proxy"], "abc");
        assert_eq!(state.releases.iter().map(|r| r.number).collect::<Vec<_>>(), [9, 10]);
    }

    #[test]
    fn damage_is_an_error_and_not_an_empty_state() {
        for (path, text) in [("key", "xyz"), ("key", "0"), ("releases/1.json", "{")] {
            assert!(parse(BTreeMap::from([(path.to_owned(), entry(text))])).is_err(), "{path}");
        }
    }

    #[test]
    fn compose_cannot_find_it() {
        let project = ProjectName::parse("p").unwrap_or_else(|| unreachable!());
        let labels = BTreeMap::from([(label::COMPOSE_PROJECT.to_owned(), "p".to_owned())]);
        assert!(!own_labels(&project, "", labels).contains_key(label::COMPOSE_PROJECT));
    }
}
