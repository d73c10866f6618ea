//! Tar streams for the archive API: written and read in memory, names checked both ways.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use tar::{Archive, Builder, EntryType, Header};

use crate::model::artifact::Artifact;

/// An archive with one executable.
pub(super) fn of_program(name: &str, program: &[u8]) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    let mut header = header(EntryType::Regular, 0o555, 0);
    header.set_size(program.len() as u64);
    builder.append_data(&mut header, name, program)?;
    builder.into_inner()
}

/// Files with their folders, then links. A folder is as closed as the files in it: only its owner sees it if none of
/// them is for others.
pub(super) fn of_files(files: &[Artifact], links: &[(String, String)]) -> io::Result<Vec<u8>> {
    of_files_at(files, links, 0)
}

/// The same, each file as if it had been changed at this time, seconds since 1970.
pub(super) fn of_files_at(files: &[Artifact], links: &[(String, String)], changed: u64) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    add_folders(&mut builder, files, &|_| false)?;
    add_files(&mut builder, files, changed)?;
    for (path, target) in links {
        check(path)?;
        let mut header = header(EntryType::Symlink, 0o777, 0);
        builder.append_link(&mut header, path, target)?;
    }
    builder.into_inner()
}

/// Files among others: folders that are there keep their owner and mode.
pub(super) fn of_files_among(files: &[Artifact], there: &dyn Fn(&str) -> bool) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    add_folders(&mut builder, files, there)?;
    add_files(&mut builder, files, 0)?;
    builder.into_inner()
}

fn add_folders(builder: &mut Builder<Vec<u8>>, files: &[Artifact], there: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let mut folders: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for file in files {
        check(&file.path)?;
        for (at, _) in file.path.match_indices('/') {
            let open = file.mode & 0o077 != 0;
            let folder = folders.entry(&file.path[..at]).or_insert((0o700, file.uid));
            if open || folder.1 != file.uid {
                *folder = (0o755, if folder.1 == file.uid { file.uid } else { 0 });
            }
        }
    }
    for (path, (mode, uid)) in folders.into_iter().filter(|(path, _)| !there(path)) {
        let mut header = header(EntryType::Directory, mode, uid);
        builder.append_data(&mut header, format!("{path}/"), io::empty())?;
    }
    Ok(())
}

fn add_files(builder: &mut Builder<Vec<u8>>, files: &[Artifact], changed: u64) -> io::Result<()> {
    for file in files {
        check(&file.path)?;
        let content = file.content.bytes();
        let mut header = header(EntryType::Regular, file.mode, file.uid);
        header.set_mtime(changed);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, &file.path, content)?;
    }
    Ok(())
}

/// What an archive holds: files by path, without the archive's own top folder.
pub(super) fn read(bytes: &[u8]) -> io::Result<BTreeMap<String, Entry>> {
    let mut out = BTreeMap::new();
    for entry in Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.components().skip(1).collect::<std::path::PathBuf>();
        let Some(path) = path.to_str().filter(|p| !p.is_empty()).map(str::to_owned) else { continue };
        let header = entry.header();
        let changed = header.mtime()?;
        let (mode, uid) = (header.mode()? & 0o7777, u32::try_from(header.uid()?).unwrap_or(u32::MAX));
        let link = if header.entry_type() == EntryType::Symlink {
            entry.link_name()?.and_then(|l| l.to_str().map(str::to_owned))
        } else {
            None
        };
        if link.is_none() && header.entry_type() != EntryType::Regular {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        out.insert(path, Entry { content, mode, uid, link, changed });
    }
    Ok(out)
}

/// What an archive of one file holds.
pub(super) fn read_one(bytes: &[u8]) -> io::Result<Vec<u8>> {
    for entry in Archive::new(bytes).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() == EntryType::Regular {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(content);
        }
    }
    Err(io::Error::other("there is no file in it"))
}

/// A file or link of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its bytes; empty for a link.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Where a link points to.
    pub link: Option<String>,
    /// When it was changed, seconds since 1970; 0 where that was not kept.
    pub changed: u64,
}

impl Entry {
    /// Whether a file is as it was written: content, mode and owner.
    pub fn is(&self, file: &Artifact) -> bool {
        self.link.is_none() && self.content == file.content.bytes() && (self.mode, self.uid) == (file.mode, file.uid)
    }
}

fn header(kind: EntryType, mode: u32, uid: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(u64::from(uid));
    header.set_gid(u64::from(uid));
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// Paths stay below their folder.
fn check(path: &str) -> io::Result<()> {
    let fine = !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    if fine { Ok(()) } else { Err(io::Error::other(format!("`{path}` is not a path below a folder"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn there_and_back() {
        let files =
            [Artifact::plain("top/a/b.conf", "x"), Artifact::secret("top/secrets/pw", Secret::new("s"), Some(7))];
        let bytes = ok(of_files(&files, &[("top/current".into(), "a".into())]));
        let back = ok(read(&bytes));
        assert_eq!(back.keys().map(String::as_str).collect::<Vec<_>>(), ["a/b.conf", "current", "secrets/pw"]);
        assert_eq!(back["secrets/pw"], Entry { content: b"s".to_vec(), mode: 0o400, uid: 7, link: None, changed: 0 });
        assert_eq!(back["current"].link.as_deref(), Some("a"));
    }

    #[test]
    fn a_file_is_its_content_owner_and_mode() {
        let file = Artifact::secret("token", Secret::new("hunter2"), Some(7));
        let entry = Entry { content: b"hunter2".to_vec(), mode: 0o400, uid: 7, link: None, changed: 0 };
        assert!(entry.is(&file));
        for other in [
            Entry { content: b"hunter3".to_vec(), ..entry.clone() },
            Entry { mode: 0o444, ..entry.clone() },
            Entry { uid: 0, ..entry.clone() },
            Entry { link: Some("elsewhere".into()), ..entry.clone() },
        ] {
            assert!(!other.is(&file), "{other:?}");
        }
    }

    #[test]
    fn folders_that_are_there_stay_as_they_are() {
        let files = [Artifact::plain("a/x", ""), Artifact::secret("b/c/y", Secret::new("s"), Some(7))];
        let bytes = ok(of_files_among(&files, &|folder| folder == "b"));
        let paths: Vec<String> =
            ok(Archive::new(bytes.as_slice()).entries()).map(|e| ok(ok(e).path()).display().to_string()).collect();
        assert_eq!(paths, ["a/", "b/c/", "a/x", "b/c/y"]);
    }

    #[test]
    fn one_file() {
        let bytes = ok(of_files(&[Artifact::plain("PG_VERSION", "15\n")], &[]));
        assert_eq!(ok(read_one(&bytes)), b"15\n");
        assert!(read_one(&ok(of_files(&[], &[]))).is_err());
    }

    #[test]
    fn folders_of_secrets_are_closed_and_others_are_not() {
        let files = [Artifact::plain("a/x", ""), Artifact::secret("b/y", Secret::new("s"), Some(7))];
        let bytes = ok(of_files(&files, &[]));
        let modes: BTreeMap<String, u32> = ok(Archive::new(bytes.as_slice()).entries())
            .map(ok)
            .map(|e| (ok(e.path()).display().to_string(), ok(e.header().mode())))
            .collect();
        assert_eq!((modes["a/"], modes["b/"]), (0o755, 0o700));
    }

    #[test]
    fn paths_cannot_leave() {
        for path in ["../x", "/etc/passwd", "", "a/../../b"] {
            assert!(of_files(&[Artifact::plain(path, "")], &[]).is_err(), "{path}");
        }
    }
}
