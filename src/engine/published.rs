//! What of an image's folder is published: an archive as the engine gives it becomes one that puts plain files into a slot
//! of a files volume, piece by piece.
//!
//! Whatever the image says of them, files are everybody's to read and nobody's to write. Names that begin with a dot stay
//! behind, but for `.well-known` (RFC 8615). Links may lead to other places of the folder, and are written so that they
//! cannot lead out of it: what is beside the folder in the volume are configurations, and keys of certificates.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Builder, EntryType, Header};

use crate::model::assets;

/// Where files go to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// What the folder goes by.
    pub(super) key: String,
    /// Slot to fill.
    pub(super) slot: u8,
    /// ID of the image.
    pub(super) image: String,
    /// When it was made, seconds since 1970; 0 if it does not say.
    pub(super) made: u64,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
    /// One of the files to ask for: text of more than a kilobyte, if there is some.
    pub sample: Option<String>,
}

/// Why nothing is published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There is not a single file.
    #[error("there is no file in it")]
    Empty,
    /// Links that lead elsewhere.
    #[error("links lead out of it: {}", .0.join(", "))]
    Outside(Vec<String>),
}

impl Refused {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Empty => "what a program writes when it runs is not in its image: make the files in the Dockerfile",
            Self::Outside(_) => "copy what they lead to into the folder, in the Dockerfile (`cp -rL`)",
        }
        .to_owned()
    }
}

/// Links that are named in an error.
const NAMED: usize = 3;

/// Files that were changed earlier than this say nothing: a build that wants the same image twice sets all of them to the
/// same moment (ours to 1970). Nginx makes the `ETag` of that moment and the size, and would take a new file for the old.
const TOLD: u64 = 86_400;

/// Smallest text that is worth compressing (`gzip_min_length`, as rendered), in bytes.
const TEXT: u64 = 1024;

/// Reads an archive of a folder and writes the one for the volume.
pub(super) fn publish(from: impl Read, to: impl Write, place: &Place) -> io::Result<Copied> {
    let root = assets::folder(&place.key, place.slot);
    let mut out = Builder::new(to);
    let link = |out: &mut Builder<_>, name: &str, target: &str| {
        out.append_link(&mut header(EntryType::Symlink, 0o777, 0), name, target)
    };
    for folder in ["assets/", "live/"] {
        out.append_data(&mut header(EntryType::Directory, 0o755, 0), folder, io::empty())?;
    }
    // A file in the place of a folder takes away all that was in it.
    out.append_data(&mut header(EntryType::Regular, 0o444, 0), &root, io::empty())?;
    link(&mut out, &assets::image_of(&place.key, place.slot), assets::COPYING)?;
    out.append_data(&mut header(EntryType::Directory, 0o755, 0), format!("{root}/"), io::empty())?;
    let mut copied = Copied::default();
    let mut best = None;
    let mut outside = Vec::new();
    let mut archive = Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(path) = below(&entry.path()?) else { continue };
        let told = entry.header().mtime().ok().filter(|changed| *changed > TOLD);
        let changed = told.unwrap_or(place.made);
        let at = Path::new(&root).join(&path);
        match entry.header().entry_type() {
            EntryType::Directory => {
                out.append_data(&mut header(EntryType::Directory, 0o755, changed), at.join(""), io::empty())?;
            }
            EntryType::Regular => {
                let size = entry.size();
                let mut header = header(EntryType::Regular, 0o444, changed);
                header.set_size(size);
                out.append_data(&mut header, &at, &mut entry)?;
                copied.files += 1;
                copied.bytes += size;
                best = best.max(rank(&path, size));
            }
            kind @ (EntryType::Symlink | EntryType::Link) => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                let inside = if kind == EntryType::Link { below(&target) } else { inside(&path, &target) };
                match inside {
                    // The engine names the first of several names of one file, from the root of the archive.
                    Some(inside) if kind == EntryType::Link => {
                        let mut header = header(EntryType::Link, 0o444, changed);
                        out.append_link(&mut header, &at, Path::new(&root).join(inside))?;
                        copied.files += 1;
                    }
                    Some(inside) => {
                        let up: PathBuf = path.components().skip(1).map(|_| Component::ParentDir).collect();
                        let mut header = header(EntryType::Symlink, 0o777, changed);
                        out.append_link(&mut header, &at, Path::new(".").join(up).join(inside))?;
                    }
                    None => outside.push(format!("{} → {}", path.display(), target.display())),
                }
            }
            // Pipes, sockets, devices.
            _ => {}
        }
    }
    if !outside.is_empty() {
        let more = outside.len().saturating_sub(NAMED);
        outside.truncate(NAMED);
        outside.extend((more > 0).then(|| format!("and {more} more")));
        return Err(io::Error::other(Refused::Outside(outside)));
    }
    if copied.files == 0 {
        return Err(io::Error::other(Refused::Empty));
    }
    copied.sample = best.map(|(_, std::cmp::Reverse(path))| path);
    let sample = copied.sample.as_deref().unwrap_or(assets::NONE);
    link(&mut out, &assets::sample_of(&place.key, place.slot), sample)?;
    // Last: now it is all there.
    link(&mut out, &assets::image_of(&place.key, place.slot), &place.image)?;
    let next = format!("live/{}", assets::link(&place.key, assets::NEXT));
    link(&mut out, &next, &assets::target(&place.key, Some(place.slot)))?;
    out.into_inner()?.flush()?;
    Ok(copied)
}

/// A path of the archive below its own top folder; nothing for that folder itself, and for names that are not published.
fn below(path: &Path) -> Option<PathBuf> {
    let parts: Vec<Component<'_>> = path.components().skip(1).collect();
    let public = |part: &Component<'_>| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b".") || *name == ".well-known",
        _ => false,
    };
    (!parts.is_empty() && parts.iter().all(public)).then(|| parts.into_iter().collect())
}

/// Where a link of the folder leads, as a path below the folder that needs no way up; nothing if it leads out.
fn inside(link: &Path, target: &Path) -> Option<PathBuf> {
    let mut parts: Vec<&std::ffi::OsStr> = link.parent()?.iter().collect();
    for part in target.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => drop(parts.pop()?),
            Component::CurDir => {}
            // Where the folder is in the image, nobody else knows.
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.into_iter().collect())
}

/// How good a file is to ask for: whether it is text that is worth compressing, and of equals the first by name. Only
/// names that stand in a URL as they are.
fn rank(path: &Path, size: u64) -> Option<(bool, std::cmp::Reverse<String>)> {
    let path = path.to_str().filter(|p| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)))?;
    let text = [".css", ".js", ".svg"].iter().any(|end| path.ends_with(end));
    Some((text && size >= TEXT, std::cmp::Reverse(path.to_owned())))
}

fn header(kind: EntryType, mode: u32, changed: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(changed);
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// An archive as the engine makes one: the folder first, everything below it.
    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut out = Builder::new(Vec::new());
        // The archive's own top folder, as the engine writes it; the library leaves `./` away.
        let top = |path: &str| path.replacen("./", "public/", 1);
        for (path, kind, text) in entries {
            let path = top(path);
            let text = if *kind == Link { top(text) } else { (*text).to_owned() };
            let mut header = header(*kind, 0o4600, 77);
            header.set_uid(1000);
            let done = match kind {
                EntryType::Symlink | EntryType::Link => out.append_link(&mut header, path, text),
                _ => {
                    header.set_size(text.len() as u64);
                    out.append_data(&mut header, path, text.as_bytes())
                }
            };
            done.unwrap_or_else(|error| unreachable!("{error}"));
        }
        out.into_inner().unwrap_or_default()
    }

    /// Mode, time, and text or target of each entry by its path.
    type Seen = BTreeMap<String, (u32, u64, String)>;

    fn run(entries: &[(&str, EntryType, &str)]) -> (io::Result<Copied>, Seen) {
        let mut to = Vec::new();
        let place = Place { key: "app.1a".into(), slot: 2, image: "sha256:9".into(), made: 1_700_000_000 };
        let result = publish(archive(entries).as_slice(), &mut to, &place);
        let mut seen = Seen::new();
        for entry in Archive::new(to.as_slice()).entries().into_iter().flatten().map_while(Result::ok) {
            let mut entry = entry;
            let path = entry.path().map(|p| p.display().to_string()).unwrap_or_default();
            let link = entry.link_name().ok().flatten().map(|l| l.display().to_string());
            let mut text = String::new();
            let _ = entry.read_to_string(&mut text);
            let (mode, uid) = (entry.header().mode().unwrap_or(0), entry.header().uid().unwrap_or(9));
            assert_eq!(uid, 0, "{path}");
            seen.insert(path, (mode, entry.header().mtime().unwrap_or(0), link.unwrap_or(text)));
        }
        (result, seen)
    }

    use EntryType::{Directory, Fifo, Link, Regular, Symlink};

    #[test]
    fn files_are_published_and_what_is_private_is_not() {
        let text = "a".repeat(2000);
        let (copied, seen) = run(&[
            ("./", Directory, ""),
            ("./css/", Directory, ""),
            ("./css/z.css", Regular, &text),
            ("./css/app.css", Regular, &text),
            ("./a.png", Regular, "png"),
            ("./same.png", Link, "./a.png"),
            ("./.env", Regular, "PASSWORD=x"),
            ("./.git/config", Regular, "x"),
            ("./.well-known/security.txt", Regular, "x"),
            ("./pipe", Fifo, ""),
            ("./css/logo.png", Symlink, "../a.png"),
            ("./latest", Symlink, "css"),
        ]);
        let copied = copied.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(copied, Copied { files: 5, bytes: 4004, sample: Some("css/app.css".into()) });
        let below: Vec<&str> = seen.keys().filter_map(|p| p.strip_prefix("assets/app.1a.2/")).collect();
        let expected = [
            "",
            ".well-known/security.txt",
            "a.png",
            "css/",
            "css/app.css",
            "css/logo.png",
            "css/z.css",
            "latest",
            "same.png",
        ];
        assert_eq!(below, expected);
        let of = |path: &str| seen[&format!("assets/app.1a.2/{path}")].clone();
        assert_eq!(of("a.png"), (0o444, 1_700_000_000, "png".into()), "no bit of the image's own, and its time");
        assert_eq!(of("same.png").2, "assets/app.1a.2/a.png");
        assert_eq!((of("css/logo.png").2.as_str(), of("latest").2.as_str()), ("./../a.png", "./css"));
        // What was there before goes first, and what it is comes last.
        assert!(seen.contains_key("assets/app.1a.2"));
        assert_eq!(seen["live/app.1a.2.image"].2, "sha256:9");
        assert_eq!(seen["live/app.1a.2.sample"].2, "css/app.css");
        assert_eq!(seen["live/app.1a.next"].2, "../assets/app.1a.2");
    }

    #[test]
    fn links_stay_inside() {
        for (path, target, expected) in [
            ("a", "b", Some("b")),
            ("x/a", "../b", Some("b")),
            ("x/a", "./y/../z", Some("x/z")),
            ("x/y/a", "../../b/c", Some("b/c")),
            ("a", "../b", None),
            ("x/a", "../../b", None),
            ("x/a", "../x/../../b", None),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(inside(Path::new(path), Path::new(target)), expected.map(PathBuf::from), "{path} → {target}");
        }
        let (refused, seen) = run(&[
            ("./", Directory, ""),
            ("./ok", Regular, "x"),
            ("./site.key", Symlink, "../../current/certs/site.key"),
            ("./passwd", Symlink, "/etc/passwd"),
            ("./b", Symlink, "../b"),
            ("./c", Symlink, "../c"),
        ]);
        let refused = refused.map_err(|error| error.to_string());
        let expected =
            "links lead out of it: site.key → ../../current/certs/site.key, passwd → /etc/passwd, b → ../b, and 1 more";
        assert_eq!(refused, Err(expected.to_owned()));
        assert_eq!(seen["live/app.1a.2.image"].2, assets::COPYING, "nobody takes it for whole");
    }

    #[test]
    fn nothing_is_no_release() {
        for entries in [&[("./", Directory, "")][..], &[("./", Directory, ""), ("./.keep", Regular, "")]] {
            assert_eq!(run(entries).0.map_err(|error| error.to_string()), Err("there is no file in it".to_owned()));
        }
    }

    #[test]
    fn paths_of_the_archive_cannot_leave() {
        for path in ["./../x", "top/a/../../b", "./.hidden/x", "."] {
            assert_eq!(below(Path::new(path)), None, "{path}");
        }
        assert_eq!(below(Path::new("static/a/b")), Some(PathBuf::from("a/b")));
    }
}
