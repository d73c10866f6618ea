//! An image's archive as it passes by: a tar stream (POSIX.1-2001, `pax`) in pieces of any size, of which some files
//! are left out. Nothing is kept but the few small files that say what is in it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// Size of a header, and what contents are filled up to.
const BLOCK: usize = 512;

/// The file that says which files are the layers.
const MANIFEST: &str = "manifest.json";

/// Largest manifest that is read: one line a layer.
const LARGEST: usize = 4 << 20;

/// A file as its header has it.
struct Entry {
    name: String,
    kind: u8,
    link: String,
    size: u64,
}

impl Entry {
    fn read(block: &[u8]) -> Result<Option<Self>, String> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let text = |from: usize, length: usize| {
            let field = &block[from..from + length];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8_lossy(&field[..end]).into_owned()
        };
        if &block[257..262] != b"ustar" {
            return Err("the engine's archive of the image is no tar archive".to_owned());
        }
        let (name, prefix) = (text(0, 100), text(345, 155));
        let size = if block[124] & 0x80 == 0 {
            u64::from_str_radix(text(124, 12).trim(), 8)
                .map_err(|_| "a size in the engine's archive is no number".to_owned())?
        } else {
            block[128..136].iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        Ok(Some(Self { name, kind: block[156], link: text(157, 100), size }))
    }

    /// It says something about the file that follows it.
    fn is_about_the_next(&self) -> bool {
        matches!(self.kind, b'x' | b'g' | b'L' | b'K')
    }

    /// Contents, filled up.
    fn room(&self) -> u64 {
        self.size.div_ceil(BLOCK as u64) * BLOCK as u64
    }
}

/// What an archive holds.
#[derive(Default)]
pub(super) struct Contents {
    header: BytesMut,
    /// Bytes until the next header.
    left: u64,
    manifest: Option<(Vec<u8>, usize)>,
    links: BTreeMap<String, String>,
}

impl Contents {
    /// The next piece.
    pub(super) fn read(&mut self, mut piece: &[u8]) -> Result<(), String> {
        while !piece.is_empty() {
            if self.left > 0 {
                let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
                if let Some((text, wanted)) = self.manifest.as_mut().filter(|(text, wanted)| text.len() < *wanted) {
                    text.extend_from_slice(&piece[..now.min(*wanted - text.len())]);
                }
                self.left -= now as u64;
                piece = &piece[now..];
                continue;
            }
            let now = (BLOCK - self.header.len()).min(piece.len());
            self.header.extend_from_slice(&piece[..now]);
            piece = &piece[now..];
            if self.header.len() < BLOCK {
                return Ok(());
            }
            let block = self.header.split();
            let Some(entry) = Entry::read(&block)? else { continue };
            self.left = entry.room();
            if entry.kind == b'2' {
                self.links.insert(entry.name, entry.link);
            } else if entry.name == MANIFEST {
                let size = usize::try_from(entry.size).ok().filter(|size| *size <= LARGEST);
                self.manifest = Some((Vec::new(), size.ok_or("the archive's manifest is too large")?));
            }
        }
        Ok(())
    }

    /// The files of so many of the lowest layers; none where the archive does not say, or where a layer above is the
    /// same file once more.
    pub(super) fn files(&self, lowest: usize) -> BTreeSet<String> {
        let manifest: Value =
            self.manifest.as_ref().and_then(|(text, _)| serde_json::from_slice(text).ok()).unwrap_or_default();
        let layers = manifest[0]["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let layers: Vec<String> = layers.map(str::to_owned).collect();
        let (below, above) = layers.split_at(lowest.min(layers.len()));
        // `../ID/layer.tar`: the same contents are in an archive once.
        let real = |file: &String| {
            self.links.get(file).map_or_else(|| file.clone(), |to| to.trim_start_matches("../").to_owned())
        };
        let needed: BTreeSet<String> = above.iter().map(real).collect();
        below.iter().filter(|file| !needed.contains(*file) && !self.links.contains_key(*file)).cloned().collect()
    }
}

/// Passes an archive on without some of its files.
pub(super) struct Filter {
    drop: BTreeSet<String>,
    /// Headers that wait for the file they belong to.
    waiting: BytesMut,
    header: BytesMut,
    left: u64,
    /// What is passing is kept, is dropped, or waits with the header before it.
    now: Passing,
}

#[derive(Clone, Copy, PartialEq)]
enum Passing {
    Kept,
    Dropped,
    Waits,
}

impl Filter {
    pub(super) fn new(drop: BTreeSet<String>) -> Self {
        Self { drop, waiting: BytesMut::new(), header: BytesMut::new(), left: 0, now: Passing::Kept }
    }

    /// What of a piece goes on.
    pub(super) fn pass(&mut self, piece: &Bytes) -> Result<Bytes, String> {
        if self.drop.is_empty() {
            return Ok(piece.clone());
        }
        let (mut piece, mut out) = (piece.as_ref(), BytesMut::new());
        while !piece.is_empty() {
            if self.left > 0 {
                let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
                match self.now {
                    Passing::Kept => out.extend_from_slice(&piece[..now]),
                    Passing::Waits => self.waiting.extend_from_slice(&piece[..now]),
                    Passing::Dropped => {}
                }
                self.left -= now as u64;
                piece = &piece[now..];
                continue;
            }
            let now = (BLOCK - self.header.len()).min(piece.len());
            self.header.extend_from_slice(&piece[..now]);
            piece = &piece[now..];
            if self.header.len() < BLOCK {
                break;
            }
            let block = self.header.split();
            let Some(entry) = Entry::read(&block)? else {
                out.extend_from_slice(&block);
                continue;
            };
            self.left = entry.room();
            self.now = if entry.is_about_the_next() {
                Passing::Waits
            } else if self.drop.contains(&entry.name) {
                Passing::Dropped
            } else {
                Passing::Kept
            };
            match self.now {
                Passing::Waits => self.waiting.extend_from_slice(&block),
                Passing::Kept => {
                    out.extend_from_slice(&self.waiting.split());
                    out.extend_from_slice(&block);
                }
                Passing::Dropped => self.waiting.clear(),
            }
        }
        Ok(out.freeze())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content).unwrap();
        };
        add("a/layer.tar", &[1; 700]);
        add("b/layer.tar", &[2; 512]);
        add("c/layer.tar", b"");
        add("config.json", b"{}");
        add(
            MANIFEST,
            br#"[{"Config":"config.json","Layers":["a/layer.tar","b/layer.tar","d/layer.tar","c/layer.tar"]}]"#,
        );
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "d/layer.tar", "../b/layer.tar").unwrap();
        tar.into_inner().unwrap()
    }

    #[test]
    fn pieces_of_any_size_tell_the_same() {
        let whole = archive();
        for size in [1, 7, 511, 512, 513, 4096, whole.len()] {
            let mut contents = Contents::default();
            whole.chunks(size).for_each(|piece| contents.read(piece).unwrap());
            assert_eq!(contents.files(1), BTreeSet::from(["a/layer.tar".to_owned()]), "{size}");
            assert_eq!(contents.files(2), BTreeSet::from(["a/layer.tar".to_owned()]), "the third is the second again");
            assert_eq!(contents.files(3).len(), 2, "a link is no file");
            let mut filter = Filter::new(contents.files(3));
            let out: Vec<u8> =
                whole.chunks(size).flat_map(|piece| filter.pass(&Bytes::copy_from_slice(piece)).unwrap()).collect();
            let mut tar = tar::Archive::new(out.as_slice());
            let names: Vec<(String, usize)> = tar
                .entries()
                .unwrap()
                .map(|entry| {
                    let mut entry = entry.unwrap();
                    let mut text = Vec::new();
                    entry.read_to_end(&mut text).unwrap();
                    (entry.path().unwrap().display().to_string(), text.len())
                })
                .collect();
            let wanted = [("c/layer.tar", 0), ("config.json", 2), (MANIFEST, 93), ("d/layer.tar", 0)];
            assert_eq!(names, wanted.map(|(name, size)| (name.to_owned(), size)), "{size}");
        }
    }

    #[test]
    fn nothing_is_left_out_of_what_says_nothing() {
        let contents = Contents::default();
        assert!(contents.files(3).is_empty());
        assert!(Contents::default().read(&[1; BLOCK]).is_err(), "no archive");
        let whole = Bytes::from(archive());
        assert_eq!(Filter::new(BTreeSet::new()).pass(&whole).unwrap(), whole);
    }
}
