//! The project's memory on the engine: a volume, carried by a container that keeps prunes away from it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::{RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::base::hash;
use crate::base::name::{ProjectName, SecretName};
use crate::base::secret::Secret;
use crate::model::artifact::{Artifact, Content};
use crate::model::baseline::Baseline;
use crate::model::certificate::Attempts;
use crate::model::container::label;
use crate::model::state::{AuditEntry, Record, Release, State};
use crate::model::verdicts::Verdicts;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::holder;
use super::tarball::{self, Entry};

/// Where the volume appears in its carrier.
const MOUNT: &str = "/state";

/// Folder of what every run reads: small, and as large after a thousand releases as after ten.
const NOW: &str = "now";

/// Folder of what is read when somebody asks for it: a numbered folder for each release, and the audit log.
const HISTORY: &str = "history";

/// Most lines of the audit log that are kept.
const AUDIT_LINES: usize = 1000;

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
    /// How asking for a certificate failed.
    pub const ATTEMPTS: &str = "attempts.json";
    /// End of the names of files that hold what that was, part by part.
    pub const PARTS: &str = ".parts";
    /// End of the name of the file that says where the front door is about to ask.
    pub const ABOUT: &str = ".about";
    /// Releases that are kept.
    pub const RELEASES: &str = "releases.json";
    /// All of a release but its secrets.
    pub const RECORD: &str = "record.json";
    /// The secrets of a release.
    pub const RECORD_SECRETS: &str = "secrets.json";
    /// What `verify` found while a release ran.
    pub const VERDICTS: &str = "verify.json";
    /// Who did what.
    pub const AUDIT: &str = "log.jsonl";
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
        let files: Vec<Artifact> = files.iter().map(|file| below(NOW, file)).collect();
        self.write_volume(project, &files).await
    }

    async fn write_volume(&self, project: &ProjectName, files: &[Artifact]) -> Result<(), EngineError> {
        let doing = format!("write to the state volume {}", volume_name(project));
        // The age of a secret is that of its file.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let tar = tarball::of_files_at(files, &[], now)
            .map_err(|error| EngineError::new(ErrorKind::Other, &doing, error.to_string()))?;
        self.put_archive(&carrier_name(project), MOUNT, tar, &doing).await
    }

    /// Keeps a release: first its record, then the list that leads to it.
    pub async fn write_release(
        &self,
        project: &ProjectName,
        record: &Record,
        releases: &[Release],
    ) -> Result<(), EngineError> {
        let folder = format!("{HISTORY}/{}", record.release.slot);
        // Plain data of ours always serialises.
        let text = serde_json::to_string(record).unwrap_or_default();
        let secrets: BTreeMap<&str, &str> =
            record.secrets.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let secrets = serde_json::to_string(&secrets).unwrap_or_default();
        let files = [
            owner_only(&format!("{folder}/{}", file::RECORD), text),
            owner_only(&format!("{folder}/{}", file::RECORD_SECRETS), secrets),
            below(NOW, &releases_file(releases)),
        ];
        self.write_volume(project, &files).await
    }

    /// A release that is kept; `None` if its place holds another one by now.
    pub async fn read_release(&self, project: &ProjectName, release: &Release) -> Result<Option<Record>, EngineError> {
        let doing = format!("read release {}", release.number);
        let files = self.read_below(project, &format!("{HISTORY}/{}", release.slot), &doing).await?;
        let damaged = |what: String| EngineError::new(ErrorKind::Other, &doing, what);
        let Some(entry) = files.get(file::RECORD) else { return Ok(None) };
        let mut record: Record = serde_json::from_slice(&entry.content).map_err(|error| {
            damaged(format!("its record cannot be read: {error}"))
                .with_hint("another version of stackctl wrote it; that one can read it")
        })?;
        let secrets = files.get(file::RECORD_SECRETS).map_or(b"{}".as_slice(), |e| e.content.as_slice());
        let secrets: BTreeMap<SecretName, String> =
            serde_json::from_slice(secrets).map_err(|_| damaged("its secrets cannot be read".to_owned()))?;
        record.secrets = secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Ok((record.release.number == release.number).then_some(record))
    }

    /// Keeps what `verify` found while a release ran, with its record.
    pub async fn write_verdicts(
        &self,
        project: &ProjectName,
        release: &Release,
        verdicts: &Verdicts,
    ) -> Result<(), EngineError> {
        // Plain data of ours always serialises.
        let text = serde_json::to_string(verdicts).unwrap_or_default();
        let path = format!("{HISTORY}/{}/{}", release.slot, file::VERDICTS);
        self.write_volume(project, &[owner_only(&path, text)]).await
    }

    /// What `verify` found while a release ran; `None` if nothing was kept.
    pub async fn read_verdicts(
        &self,
        project: &ProjectName,
        release: &Release,
    ) -> Result<Option<Verdicts>, EngineError> {
        let doing = format!("read what verify found of release {}", release.number);
        let files = self.read_below(project, &format!("{HISTORY}/{}", release.slot), &doing).await?;
        let text = files.get(file::VERDICTS).map(|entry| entry.content.as_slice()).unwrap_or_default();
        // Damaged ones are as good as none; a place that is used again has those of the release before.
        let kept: Option<Verdicts> = serde_json::from_slice(text).ok();
        Ok(kept.filter(|kept| kept.release == release.number))
    }

    /// Adds a line to the audit log.
    pub async fn write_audit(&self, project: &ProjectName, entry: &AuditEntry) -> Result<(), EngineError> {
        let mut entries = self.read_audit(project).await?;
        entries.push(entry.clone());
        let start = entries.len().saturating_sub(AUDIT_LINES);
        let lines: Vec<String> = entries[start..].iter().filter_map(|e| serde_json::to_string(e).ok()).collect();
        let log = owner_only(&format!("{HISTORY}/audit/{}", file::AUDIT), lines.join("\n") + "\n");
        self.write_volume(project, &[log]).await
    }

    /// The audit log, oldest first. Lines that cannot be read are left out.
    pub async fn read_audit(&self, project: &ProjectName) -> Result<Vec<AuditEntry>, EngineError> {
        let files = self.read_below(project, &format!("{HISTORY}/audit"), "read the audit log").await?;
        let text = files.get(file::AUDIT).map(|e| String::from_utf8_lossy(&e.content).into_owned()).unwrap_or_default();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Files of a folder of the state volume; none if it is not there. Works while the carrier is stopped or missing.
    async fn read_below(
        &self,
        project: &ProjectName,
        folder: &str,
        doing: &str,
    ) -> Result<BTreeMap<String, Entry>, EngineError> {
        match self.get_archive(&carrier_name(project), &format!("{MOUNT}/{folder}"), doing).await {
            Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
            // The carrier is there, the folder is not.
            Err(error) if error.message.to_lowercase().contains("could not find the file") => {
                return Ok(BTreeMap::new());
            }
            Err(_) => {}
            Ok(files) => return Ok(files),
        }
        // Somebody removed the carrier: what is kept is still there, and must not look lost.
        let volume = volume_name(project);
        match self.call(doing, self.docker.inspect_volume(&volume)).await {
            Ok(_) => match self.read_files(&volume, folder).await {
                Err(error) if error.kind == ErrorKind::NotFound => Ok(BTreeMap::new()),
                other => other,
            },
            Err(error) if error.kind == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
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
        let files = self.read_below(project, NOW, &doing).await?;
        if files.is_empty() {
            // Nothing was written yet: with a volume, a run was killed in between; without, there was none.
            return match self.call(&doing, self.docker.inspect_volume(&volume)).await {
                Ok(_) => Ok(Some(State::default())),
                Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
        }
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

/// The list of releases as a file of the state.
fn releases_file(releases: &[Release]) -> Artifact {
    owner_only(file::RELEASES, serde_json::to_string(releases).unwrap_or_default())
}

fn below(folder: &str, file: &Artifact) -> Artifact {
    Artifact { path: format!("{folder}/{}", file.path), ..file.clone() }
}

/// A baseline as a file of the state volume.
pub fn baseline_file(baseline: &Baseline) -> Artifact {
    // Plain data of ours always serialises.
    owner_only(file::BASELINE, serde_json::to_string_pretty(baseline).unwrap_or_default())
}

/// How asking for a certificate failed, as a file of the state volume; nothing to keep after it did not.
pub fn attempts_file(attempts: &Attempts) -> Artifact {
    let text = if attempts.failures == 0 { String::new() } else { serde_json::to_string(attempts).unwrap_or_default() };
    owner_only(file::ATTEMPTS, text)
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
            // Worth a question too many at most.
            None if path == file::ATTEMPTS => state.attempts = serde_json::from_str(&text).unwrap_or_default(),
            None if path == file::STAGE => text.trim().clone_into(&mut state.stage),
            None if path == file::RELEASES => {
                state.releases = serde_json::from_str(&text).map_err(|error| format!("{path} is damaged: {error}"))?;
            }
            Some((file::SECRETS, name)) => {
                if let Some(name) = SecretName::parse(name) {
                    state.changed.insert(name.clone(), entry.changed);
                    state.secrets.insert(name, Secret::new(text));
                }
            }
            Some((file::APPLIED, service)) if service.ends_with(file::PARTS) => {
                // Only a reason in words hangs on it: what cannot be read is as good as nothing.
                let parts = serde_json::from_str(&text).unwrap_or_default();
                state.loaded.insert(service.trim_end_matches(file::PARTS).to_owned(), parts);
            }
            Some((file::APPLIED, name)) if name.ends_with(file::ABOUT) => {
                // Written in the middle of a run, which may end in the middle of it: what went before still holds.
                state.about = serde_json::from_str(&text).unwrap_or_default();
            }
            Some((file::APPLIED, service)) => {
                state.applied.insert(service.to_owned(), text.trim().to_owned());
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
        Entry { content: text.as_bytes().to_vec(), mode: 0o600, uid: 0, link: None, changed: 7 }
    }

    #[test]
    fn files_become_a_state() {
        let release = |number| Release { number, result: "done".into(), ..Release::default() };
        let releases = releases_file(&[release(10), release(9)]);
        let mut files = BTreeMap::from([
            ("key".to_owned(), entry("00ff")),
            ("stage".to_owned(), entry("staging")),
            ("secrets/pw".to_owned(), entry("a b\n")),
            ("secrets/gone".to_owned(), entry("")),
            ("applied/proxy".to_owned(), entry("abc\n")),
            ("applied/proxy.parts".to_owned(), entry(r#"{"limit.rate":"10/s"}"#)),
            ("applied/proxy.about".to_owned(), entry(r#"[{"upstream app-1":"10.83.0.2:80 10.83.0.96:80"}]"#)),
            ("later.version".to_owned(), entry("not parsed")),
        ]);
        files.insert(releases.path.clone(), entry(releases.content.expose()));
        let state = parse(files).unwrap_or_default();
        assert_eq!((state.key.as_slice(), state.stage.as_str()), ([0, 255].as_slice(), "staging"));
        assert_eq!(state.secrets.values().map(Secret::expose).collect::<Vec<_>>(), ["a b\n"], "to the byte");
        assert_eq!(state.changed.values().copied().collect::<Vec<_>>(), [7]);
        assert_eq!(state.applied["proxy"], "abc");
        assert_eq!(state.loaded["proxy"]["limit.rate"], "10/s");
        assert_eq!(state.about[0]["upstream app-1"], "10.83.0.2:80 10.83.0.96:80");
        assert_eq!(state.applied.len(), 1);
        assert_eq!(state.releases.iter().map(|r| r.number).collect::<Vec<_>>(), [9, 10]);
    }

    #[test]
    fn damage_is_an_error_and_not_an_empty_state() {
        for (path, text) in [("key", "xyz"), ("key", "0"), ("releases.json", "{")] {
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
