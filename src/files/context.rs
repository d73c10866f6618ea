//! A build context: what of a folder is sent to the builder, its hash, and its archive.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use ring::digest;
use tar::{Builder, EntryType, Header};

use crate::base::hash;

use super::error::FilesError;
use super::ignore::Ignore;

/// The largest context that is sent: it travels in memory.
const LIMIT: u64 = 2 << 30;

/// What of a folder is sent to the builder.
#[derive(Debug)]
pub struct Context {
    dir: PathBuf,
    entries: Vec<Entry>,
    hash: String,
    size: u64,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    kind: Kind,
    mode: u32,
}

#[derive(Debug)]
enum Kind {
    File,
    Folder,
    Link(PathBuf),
}

impl Context {
    /// Looks through a folder, without what `.dockerignore` keeps out. The Dockerfile (relative to the folder) and
    /// `.dockerignore` are always in it: the builder wants them.
    pub fn scan(dir: &Path, dockerfile: &str) -> Result<Self, FilesError> {
        let metadata = fs::metadata(dir).map_err(|error| FilesError::io(dir, error))?;
        if !metadata.is_dir() {
            return Err(FilesError::NotAFolder(dir.to_owned()));
        }
        let dockerfile = below(dockerfile)?;
        let path = dir.join(&dockerfile);
        if !fs::metadata(&path).map_err(|error| FilesError::io(&path, error))?.is_file() {
            return Err(FilesError::IsFolder(path));
        }
        let ignore_path = dir.join(".dockerignore");
        let ignore = match fs::read_to_string(&ignore_path) {
            Ok(text) => Ignore::parse(&text, &ignore_path)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ignore::default(),
            Err(error) => return Err(FilesError::io(&ignore_path, error)),
        };
        let mut scan = Scan { dir, dockerfile: &dockerfile, ignore: &ignore, entries: Vec::new() };
        scan.folder(Path::new(""))?;
        let mut entries = scan.entries;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let (hash, size) = hash_of(dir, &entries)?;
        Ok(Self { dir: dir.to_owned(), entries, hash, size })
    }

    /// SHA-256 over paths, modes and contents: the same on every machine that has the same files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Bytes in all files.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The archive: sorted, owned by root, without times, so that equal contexts are equal to the byte.
    pub fn tar(&self) -> Result<Vec<u8>, FilesError> {
        let mut builder = Builder::new(Vec::new());
        for entry in &self.entries {
            let path = self.dir.join(&entry.path);
            let fail = |error| FilesError::io(&path, error);
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            match &entry.kind {
                Kind::File => {
                    let content = fs::read(&path).map_err(fail)?;
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, &entry.path, content.as_slice())
                }
                Kind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    builder.append_data(&mut header, &entry.path, std::io::empty())
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    builder.append_link(&mut header, &entry.path, target)
                }
            }
            .map_err(fail)?;
        }
        builder.into_inner().map_err(|error| FilesError::io(&self.dir, error))
    }
}

struct Scan<'a> {
    dir: &'a Path,
    dockerfile: &'a Path,
    ignore: &'a Ignore,
    entries: Vec<Entry>,
}

impl Scan<'_> {
    fn folder(&mut self, at: &Path) -> Result<(), FilesError> {
        let full = self.dir.join(at);
        for item in fs::read_dir(&full).map_err(|error| FilesError::io(&full, error))? {
            let item = item.map_err(|error| FilesError::io(&full, error))?;
            let path = at.join(item.file_name());
            let full = item.path();
            let metadata = fs::symlink_metadata(&full).map_err(|error| FilesError::io(&full, error))?;
            let wanted = path == self.dockerfile || path == Path::new(".dockerignore");
            let excluded = !wanted && self.ignore.excludes(&path);
            if metadata.is_dir() {
                if !excluded {
                    self.push(&path, Kind::Folder, &metadata);
                }
                if !excluded || self.ignore.may_bring_back(&path) || self.dockerfile.starts_with(&path) {
                    self.folder(&path)?;
                }
            } else if excluded {
            } else if metadata.is_symlink() {
                let target = fs::read_link(&full).map_err(|error| FilesError::io(&full, error))?;
                self.push(&path, Kind::Link(target), &metadata);
            } else if !is_special(&metadata) {
                self.push(&path, Kind::File, &metadata);
            }
        }
        Ok(())
    }

    fn push(&mut self, path: &Path, kind: Kind, metadata: &Metadata) {
        let mode = if matches!(kind, Kind::Link(_)) { 0o777 } else { metadata.permissions().mode() & 0o7777 };
        self.entries.push(Entry { path: path.to_owned(), kind, mode });
    }
}

fn is_special(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device()
}

/// Hashes contents as they are read; lengths go in, so that nothing runs together.
fn hash_of(dir: &Path, entries: &[Entry]) -> Result<(String, u64), FilesError> {
    let mut all = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    for entry in entries {
        let part = |to: &mut digest::Context, bytes: &[u8]| {
            to.update(&(bytes.len() as u64).to_be_bytes());
            to.update(bytes);
        };
        part(&mut all, entry.path.as_os_str().as_encoded_bytes());
        all.update(&entry.mode.to_be_bytes());
        match &entry.kind {
            Kind::Folder => all.update(b"d"),
            Kind::Link(target) => {
                all.update(b"l");
                part(&mut all, target.as_os_str().as_encoded_bytes());
            }
            Kind::File => {
                all.update(b"f");
                let path = dir.join(&entry.path);
                let mut file = File::open(&path).map_err(|error| FilesError::io(&path, error))?;
                let mut content = digest::Context::new(&digest::SHA256);
                loop {
                    let read = file.read(&mut buffer).map_err(|error| FilesError::io(&path, error))?;
                    if read == 0 {
                        break;
                    }
                    content.update(&buffer[..read]);
                    total += read as u64;
                    if total > LIMIT {
                        return Err(FilesError::TooBig { path: dir.to_owned(), size: total, limit: LIMIT });
                    }
                }
                all.update(content.finish().as_ref());
            }
        }
    }
    Ok((hash::hex(all.finish().as_ref()), total))
}

/// A path below the folder, without `.` parts.
fn below(path: &str) -> Result<PathBuf, FilesError> {
    let mut out = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            _ => return Err(FilesError::Outside(path.to_owned())),
        }
    }
    if out.as_os_str().is_empty() { Err(FilesError::Outside(path.to_owned())) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
        result.unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = ok(tempfile::tempdir());
        for (path, text) in files {
            let path = dir.path().join(path);
            ok(fs::create_dir_all(path.parent().unwrap_or(dir.path())));
            ok(fs::write(&path, text));
            ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o644)));
        }
        dir
    }

    fn names(tar: &[u8]) -> Vec<String> {
        ok(tar::Archive::new(tar).entries()).map(ok).map(|e| ok(e.path()).display().to_string()).collect()
    }

    const FILES: &[(&str, &str)] = &[
        ("Dockerfile", "FROM a"),
        (".dockerignore", "*\n!src"),
        ("src/main.py", "x"),
        ("src/b/c", "y"),
        ("junk/big", "z"),
    ];

    #[test]
    fn only_what_is_wanted_is_sent_sorted() {
        let dir = folder(FILES);
        let tar = ok(ok(Context::scan(dir.path(), "./Dockerfile")).tar());
        assert_eq!(names(&tar), [".dockerignore", "Dockerfile", "src", "src/b", "src/b/c", "src/main.py"]);
    }

    #[test]
    fn a_dockerfile_in_an_excluded_folder_is_sent() {
        let dir = folder(&[("docker/Dockerfile", ""), ("docker/x", ""), (".dockerignore", "docker\n*.md")]);
        let tar = ok(ok(Context::scan(dir.path(), "docker/Dockerfile")).tar());
        assert_eq!(names(&tar), [".dockerignore", "docker/Dockerfile"]);
    }

    #[test]
    fn equal_folders_are_equal_to_the_byte() {
        let (one, two) = (folder(FILES), folder(FILES));
        ok(symlink("src/main.py", one.path().join("src/link")));
        ok(symlink("src/main.py", two.path().join("src/link")));
        let (a, b) = (ok(Context::scan(one.path(), "Dockerfile")), ok(Context::scan(two.path(), "Dockerfile")));
        assert_eq!(a.hash(), b.hash());
        assert_eq!(ok(a.tar()), ok(b.tar()));
    }

    #[test]
    fn what_matters_changes_the_hash_and_what_does_not_does_not() {
        let dir = folder(FILES);
        let hash = || ok(Context::scan(dir.path(), "Dockerfile")).hash().to_owned();
        let before = hash();
        ok(fs::write(dir.path().join("junk/big"), "other"));
        assert_eq!(hash(), before, "ignored");
        ok(fs::set_permissions(dir.path().join("src/main.py"), fs::Permissions::from_mode(0o755)));
        let executable = hash();
        assert_ne!(executable, before, "mode");
        ok(fs::write(dir.path().join("src/main.py"), "changed"));
        assert_ne!(hash(), executable, "content");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let dir = folder(FILES);
        let error = |dir: &Path, file| Context::scan(dir, file).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error(&dir.path().join("no"), "Dockerfile").ends_with("/no does not exist"));
        assert!(error(&dir.path().join("Dockerfile"), "x").ends_with("Dockerfile is not a folder"));
        assert!(error(dir.path(), "no").ends_with("/no does not exist"));
        assert!(error(dir.path(), "src").ends_with("/src is a folder, not a file"));
        assert!(error(dir.path(), "../Dockerfile").contains("not a path below"));
    }
}
