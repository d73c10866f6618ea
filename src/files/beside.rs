//! Files beside stack.toml, for the keys that name them.

use std::path::{Path, PathBuf};

use crate::config::beside::Beside;
use crate::model::service::FileContent;

use super::error::FilesError;
use super::write::read_text;

/// Most files of one folder: more belong into the image.
const MOST: usize = 256;

/// The folder of stack.toml.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Beside for Folder {
    fn read(&self, path: &str) -> Result<Vec<FileContent>, String> {
        let at = self.0.join(path);
        let mut found = Vec::new();
        if at.is_dir() {
            collect(&at, "", &mut found)?;
            found.sort_by(|a, b| a.path.cmp(&b.path));
        } else {
            found.push(content(&at, String::new()).map_err(in_words)?);
        }
        Ok(found)
    }
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<FileContent>) -> Result<(), String> {
    let fail = |error| in_words(FilesError::io(folder, error));
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_str().ok_or("holds a name that is not UTF-8")?;
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let at = entry.path();
        // Not through links: they could lead in a circle.
        if entry.file_type().map_err(fail)?.is_dir() {
            collect(&at, &path, found)?;
        } else {
            let shown = path.clone();
            found.push(content(&at, path).map_err(|error| format!("holds `{shown}`, which {}", in_words(error)))?);
        }
        if found.len() > MOST {
            return Err(format!("holds more than {MOST} files; put them into the image"));
        }
    }
    Ok(())
}

fn content(at: &Path, path: String) -> Result<FileContent, FilesError> {
    use std::os::unix::fs::PermissionsExt as _;
    let text = read_text(at)?;
    let mode = std::fs::metadata(at).map_err(|error| FilesError::io(at, error))?.permissions().mode();
    Ok(FileContent { path, text, executable: mode & 0o100 != 0 })
}

/// What is wrong, without the path: whoever asked knows it by another name.
fn in_words(error: FilesError) -> String {
    match error {
        FilesError::Missing(_) => "does not exist".to_owned(),
        FilesError::NotText { at, .. } => format!("is not text: byte {at} is not valid UTF-8"),
        FilesError::TooBig { limit, .. } => format!("has more than the {} KiB allowed", limit >> 10),
        FilesError::Io { error, .. } => format!("cannot be read: {error}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_a_folder_and_what_is_neither() {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(dir) = tempfile::tempdir() else { unreachable!("no folder") };
        let write = |path: &str, bytes: &[u8]| {
            let path = dir.path().join(path);
            assert!(path.parent().is_some_and(|parent| std::fs::create_dir_all(parent).is_ok()));
            assert!(std::fs::write(&path, bytes).is_ok());
            path
        };
        write("conf/b/two", b"2");
        let run = write("conf/a.sh", b"1");
        assert!(std::fs::set_permissions(run, std::fs::Permissions::from_mode(0o755)).is_ok());
        write("raw/x", b"a\xff");
        let folder = Folder(dir.path().to_owned());
        let seen = |path: &str| {
            folder.read(path).map(|found| {
                found.into_iter().map(|f| format!("{} {} {}", f.path, f.text, f.executable)).collect::<Vec<_>>()
            })
        };
        assert_eq!(seen("conf"), Ok(vec!["a.sh 1 true".to_owned(), "b/two 2 false".to_owned()]));
        assert_eq!(seen("conf/b/two"), Ok(vec![" 2 false".to_owned()]));
        assert_eq!(seen("no"), Err("does not exist".to_owned()));
        assert_eq!(seen("raw"), Err("holds `x`, which is not text: byte 1 is not valid UTF-8".to_owned()));
    }
}
