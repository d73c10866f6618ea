//! Reading texts with care, and writing artifacts so that a failure leaves the old ones whole.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use crate::model::artifact::Artifact;

use super::error::FilesError;

/// The largest text that is read: a `stack.toml`, a certificate, a secret.
const LIMIT: u64 = 1 << 20;

/// Reads a UTF-8 text of at most 1 MiB.
pub fn read_text(path: &Path) -> Result<String, FilesError> {
    String::from_utf8(read_bytes(path)?)
        .map_err(|error| FilesError::NotText { path: path.to_owned(), at: error.utf8_error().valid_up_to() })
}

/// Reads a file of at most 1 MiB.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FilesError> {
    let fail = |error| FilesError::io(path, error);
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(FilesError::IsFolder(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > LIMIT {
        let size = metadata.len().max(bytes.len() as u64);
        return Err(FilesError::TooBig { path: path.to_owned(), size, limit: LIMIT });
    }
    Ok(bytes)
}

/// Makes a folder that others cannot enter, unless it is there. Whether the one there is such a folder: then what is
/// in it can be readable by all, as containers need it that run as somebody else.
pub fn closed_folder(dir: &Path) -> Result<bool, FilesError> {
    let fail = |error| FilesError::io(dir, error);
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    }
    let others = fs::metadata(dir).map_err(fail)?.permissions().mode() & 0o077;
    Ok(others == 0)
}

/// Writes all artifacts below a folder, with their modes: first all of them beside their places, then all into them.
/// If one cannot be written, none of the old ones has changed. All are on the disk before they take their places.
pub fn write_all(dir: &Path, artifacts: &[Artifact]) -> Result<(), FilesError> {
    write(dir, artifacts, |_| true)
}

/// The same for what can be made again: only what replaces a file is on the disk before it does. A power cut takes
/// nothing that was there.
pub fn write_out(dir: &Path, artifacts: &[Artifact]) -> Result<(), FilesError> {
    write(dir, artifacts, |replaces| replaces)
}

/// `lasting` says whether a file has to be on the disk, by whether it replaces one.
fn write(dir: &Path, artifacts: &[Artifact], lasting: impl Fn(bool) -> bool) -> Result<(), FilesError> {
    let mut staged = Staged(Vec::new());
    let mut folders = BTreeSet::new();
    for artifact in artifacts {
        let relative = Path::new(&artifact.path);
        if artifact.path.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(FilesError::Outside(artifact.path.clone()));
        }
        let target = dir.join(relative);
        let there = fs::metadata(&target);
        if there.as_ref().is_ok_and(fs::Metadata::is_dir) {
            return Err(FilesError::IsFolder(target));
        }
        let temporary = beside(&target);
        if let Some(folder) = target.parent()
            && folders.insert(folder.to_owned())
        {
            fs::create_dir_all(folder).map_err(|error| FilesError::io(folder, error))?;
        }
        let fail = |error| FilesError::io(&target, error);
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let mut file = match create() {
            // Left by a run that was killed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary).map_err(fail)?;
                create()
            }
            made => made,
        }
        .map_err(fail)?;
        staged.0.push((temporary.clone(), target.clone()));
        file.write_all(artifact.content.bytes()).map_err(fail)?;
        file.set_permissions(Permissions::from_mode(artifact.mode)).map_err(fail)?;
        if lasting(there.is_ok()) {
            file.sync_all().map_err(fail)?;
        }
    }
    while let Some((temporary, target)) = staged.0.first().cloned() {
        fs::rename(&temporary, &target).map_err(|error| FilesError::io(&target, error))?;
        staged.0.remove(0);
    }
    Ok(())
}

/// Files that are written but not in their places; what is left of them goes away.
struct Staged(Vec<(PathBuf, PathBuf)>);

impl Drop for Staged {
    fn drop(&mut self) {
        for (temporary, _) in &self.0 {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    target.with_file_name(format!(".{name}.stackctl-new"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn everything(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            ok(fs::read_dir(dir)).map(|e| ok(e).file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_and_modes_arrive() {
        let dir = ok(tempfile::tempdir());
        let files = [Artifact::plain("a/b.conf", "one"), Artifact::secret("pw", Secret::new("s"), Some(0))];
        ok(write_all(dir.path(), &files));
        ok(write_all(dir.path(), &files)); // over read-only files, too
        assert_eq!(ok(read_text(&dir.path().join("a/b.conf"))), "one");
        assert_eq!(ok(fs::metadata(dir.path().join("pw"))).permissions().mode() & 0o777, 0o400);
        assert_eq!(everything(dir.path()), ["a", "pw"]);
    }

    #[test]
    fn a_failure_changes_nothing() {
        let dir = ok(tempfile::tempdir());
        ok(write_all(dir.path(), &[Artifact::plain("x", "old")]));
        ok(fs::create_dir(dir.path().join("y")));
        let error = write_all(dir.path(), &[Artifact::plain("x", "new"), Artifact::plain("y", "new")]);
        assert!(matches!(error, Err(FilesError::IsFolder(_))));
        assert_eq!(ok(read_text(&dir.path().join("x"))), "old");
        assert_eq!(everything(dir.path()), ["x", "y"]);
        assert!(write_all(dir.path(), &[Artifact::plain("../z", "")]).is_err());
    }

    #[test]
    fn texts_that_are_none() {
        let dir = ok(tempfile::tempdir());
        let path = dir.path().join("t");
        let error = |path: &Path| read_text(path).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error(&path).ends_with("/t does not exist"));
        assert!(error(dir.path()).ends_with("is a folder, not a file"));
        ok(fs::write(&path, b"ab\xff"));
        assert!(error(&path).ends_with("/t is not text: byte 2 is not valid UTF-8"));
        ok(fs::write(&path, vec![b'a'; (1 << 20) + 1]));
        assert!(error(&path).contains("has 1048577 bytes, more than the 1048576 allowed"));
    }
}
