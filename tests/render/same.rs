//! The same stack gives the same bytes, whoever renders it and when.

use std::collections::BTreeMap;
use std::path::Path;

use crate::judges::rendered;

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                out.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

#[test]
fn two_processes_write_the_same_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["storm", "sum", "aigov", "ai-search", "research-assistant"] {
        let file = format!("tests/stacks/{name}.toml");
        // The same place: paths to the project are among what is written.
        let once = || {
            let folder = tempfile::Builder::new().prefix("same").rand_bytes(0).tempdir_in(scratch.path()).unwrap();
            files(&rendered(&file, folder.path()))
        };
        let (first, second) = (once(), once());
        assert!(first.len() > 5, "{name}: {:?}", first.keys());
        assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>(), "{name}");
        for (path, bytes) in &first {
            assert!(second[path] == *bytes, "{name}: {path} differs");
        }
    }
}
