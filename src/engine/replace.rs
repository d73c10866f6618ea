//! Files and links that somebody may look at in any moment, replaced. The archive API takes away what is there under a
//! name and then writes it anew: between the two there is nothing, and a TLS handshake that begins then fails. So the
//! archive writes under another name, and a program of ours, in a container that has nothing but the volume, renames
//! that, which the kernel does at once (`rename(2)`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::artifact::Artifact;

use super::connect::Engine;
use super::error::{EngineError, ErrorKind};
use super::tarball::Entry;
use super::volume::MOUNT;
use super::{holder, tarball};

/// How long a few renames may take, with the start of the container.
const LIMIT: Duration = Duration::from_secs(60);

impl Engine {
    /// Points links of a volume (by path, with where each leads) elsewhere; each is there all the time. Costs the start
    /// of a container more than [`Engine::write_files`], some 0.3 s.
    ///
    /// # Errors
    ///
    /// If the engine fails, or the kernel refuses: then links lead where they did, except those before the one that
    /// failed.
    pub async fn replace_links(&self, volume: &str, links: &BTreeMap<String, String>) -> Result<(), EngineError> {
        let doing = format!("switch links of the volume {volume}");
        let new: Vec<(String, String)> = links.iter().map(|(path, to)| (beside(path), to.clone())).collect();
        let tar = tarball::of_files(&[], &new);
        self.put_and_rename(volume, tar, links.keys().map(String::as_str), &doing).await
    }

    /// Makes files of a volume what they shall be, while somebody may read them: those that are so stay untouched, others
    /// are replaced at once. Costs one call more than [`Engine::write_files`] where none of them is there.
    ///
    /// # Errors
    ///
    /// As those of [`Engine::replace_links`].
    pub async fn update_files(&self, volume: &str, files: &[Artifact]) -> Result<(), EngineError> {
        let doing = format!("write files into the volume {volume}");
        let id = self.volume_carrier(volume, &doing).await?;
        let written = self.write_what_is_new(&id, files, &doing).await;
        let removed = self.discard(&id).await;
        let changed = written?;
        removed?;
        if changed.is_empty() {
            return Ok(());
        }
        let new: Vec<Artifact> =
            changed.iter().map(|file| Artifact { path: beside(&file.path), ..(*file).clone() }).collect();
        let tar = tarball::of_files_among(&new, &|_| true);
        self.put_and_rename(volume, tar, changed.iter().map(|file| file.path.as_str()), &doing).await
    }

    /// Writes files that are not there; returns those that are, but otherwise.
    async fn write_what_is_new<'f>(
        &self,
        carrier: &str,
        files: &'f [Artifact],
        doing: &str,
    ) -> Result<Vec<&'f Artifact>, EngineError> {
        let there = self.below(carrier, &folder_of(files), doing).await?;
        let (old, new): (Vec<_>, Vec<_>) = files.iter().partition(|file| there.contains_key(&file.path));
        if !new.is_empty() {
            let new: Vec<Artifact> = new.into_iter().cloned().collect();
            let folders: BTreeSet<&str> = there.keys().flat_map(|path| folders(path)).collect();
            let tar = tarball::of_files_among(&new, &|folder| folders.contains(folder));
            let tar = tar.map_err(|error| EngineError::new(ErrorKind::Other, doing, error.to_string()))?;
            self.put_archive(carrier, MOUNT, tar, doing).await?;
        }
        Ok(old.into_iter().filter(|file| !there.get(&file.path).is_some_and(|entry| entry.is(file))).collect())
    }

    /// What is in a folder of the volume, by path in the volume.
    async fn below(&self, carrier: &str, folder: &str, doing: &str) -> Result<BTreeMap<String, Entry>, EngineError> {
        let from = if folder.is_empty() { MOUNT.to_owned() } else { format!("{MOUNT}/{folder}") };
        let there = match self.get_archive(carrier, &from, doing).await {
            Err(error) if error.kind == ErrorKind::NotFound => BTreeMap::new(),
            other => other?,
        };
        let whole = |path: String| if folder.is_empty() { path } else { format!("{folder}/{path}") };
        Ok(there.into_iter().map(|(path, entry)| (whole(path), entry)).collect())
    }

    /// Writes an archive whose names are those of paths until they take their place, and lets them take it.
    async fn put_and_rename(
        &self,
        volume: &str,
        tar: std::io::Result<Vec<u8>>,
        paths: impl Iterator<Item = &str>,
        doing: &str,
    ) -> Result<(), EngineError> {
        let other = |message: String| EngineError::new(ErrorKind::Other, doing, message);
        let tar = tar.map_err(|error| other(error.to_string()))?;
        let mut body = holder::carrier(volume, MOUNT);
        let pairs = paths.flat_map(|path| [beside(path), path.to_owned()]);
        body.cmd = Some(pairs.map(|path| format!("{MOUNT}/{path}")).collect());
        if let Some(config) = &mut body.host_config {
            // A folder may be another user's; Podman gives the volume's root to the first who mounts it.
            config.cap_add = Some(vec!["DAC_OVERRIDE".to_owned()]);
        }
        let id = self.volume_carrier_of(volume, doing, body).await?;
        let rename = async {
            self.put_archive(&id, MOUNT, tar, doing).await?;
            self.start(&id).await?;
            match tokio::time::timeout(LIMIT, self.wait_exit(&id)).await {
                Ok(Ok(0)) => Ok(()),
                Ok(Ok(code)) => Err(other(refused(code))),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(other(format!("the program has not ended after {} s", LIMIT.as_secs()))),
            }
        };
        let renamed = rename.await;
        let removed = self.discard(&id).await;
        renamed.and(removed)
    }
}

/// The name of something until it takes the place of what is there.
fn beside(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.{name}.next"),
        None => format!(".{path}.next"),
    }
}

/// The folders that a path is in.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The folder that all files are in, and no deeper than a release's (`releases/HASH`): in the place of one that was
/// dropped there is a file, which can be asked for, while nothing below it can.
fn folder_of(files: &[Artifact]) -> String {
    let Some((first, rest)) = files.split_first() else { return String::new() };
    let common = |folder: &&str| rest.iter().all(|file| folders(&file.path).any(|f| f == *folder));
    folders(&first.path).take(2).filter(common).last().unwrap_or_default().to_owned()
}

/// What the program's exit code says: an error number of Linux.
fn refused(code: i64) -> String {
    let error = i32::try_from(code).map(std::io::Error::from_raw_os_error);
    error.map_or_else(|_| format!("the program ended with {code}"), |error| format!("rename: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_lies_beside_what_is_there() {
        assert_eq!(beside("current"), ".current.next");
        assert_eq!(beside("live/app.b"), "live/.app.b.next");
    }

    #[test]
    fn the_folder_of_a_release() {
        let cases: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["token"], ""),
            (&["releases/x/nginx.conf", "releases/x/certs/site.pem"], "releases/x"),
            (&["releases/x/certs/site.pem", "releases/x/certs/site.key"], "releases/x"),
            (&["releases/x/a", "releases/y/a"], "releases"),
            (&["releases/x/a", "live/on"], ""),
        ];
        for (paths, folder) in cases {
            let files: Vec<Artifact> = paths.iter().map(|path| Artifact::plain(*path, "")).collect();
            assert_eq!(folder_of(&files), *folder, "{paths:?}");
        }
    }

    #[test]
    fn an_error_number_has_words() {
        assert_eq!(refused(30), "rename: Read-only file system (os error 30)");
    }
}
