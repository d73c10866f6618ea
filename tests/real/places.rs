//! Where a secret could be that others can read: what the engine tells, processes, files. And what to look for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::Site;

/// Marks the environment of a user of secrets: our own program, and what that starts.
pub(crate) const OWN: (&str, &str) = ("LEAK_SEARCH", "own");

/// Secrets that the engine keeps, by name: of a key in PEM, the part that differs from other keys.
pub(crate) fn kept(state: &[(String, String)]) -> Vec<(String, String)> {
    let secrets = state.iter().filter_map(|(path, text)| Some((path.strip_prefix("now/secrets/")?, text)));
    secrets
        .filter(|(name, text)| !text.is_empty() && name.strip_suffix(".pub").is_none())
        .map(|(name, text)| {
            // An account with an authority, of which the key is secret.
            if let Some(account) = text.split("\"key_pkcs8\":\"").nth(1) {
                return (name.to_owned(), account.split('"').next().unwrap_or_default().to_owned());
            }
            let key: Vec<&str> = text.lines().take_while(|line| !line.starts_with("-----END")).collect();
            let pem = text.starts_with("-----BEGIN") && !text.starts_with("-----BEGIN PUBLIC");
            (
                name.to_owned(),
                if pem { (*key.iter().rev().find(|line| line.len() >= 32).unwrap()).to_owned() } else { text.clone() },
            )
        })
        .collect()
}

/// None of the values is in any of the places, neither as it is nor as it travels in JSON's binary fields.
#[track_caller]
pub(crate) fn nowhere(places: &[(String, String)], secrets: &[(String, String)]) {
    for (place, text) in places {
        for (name, value) in secrets {
            assert!(!text.contains(value.as_str()), "{name} is in {place}");
            assert!(!text.contains(&base64(value.as_bytes())), "{name} is in {place}, as base64");
        }
    }
    let empty: Vec<&str> = places.iter().filter(|(_, text)| text.trim().is_empty()).map(|(p, _)| p.as_str()).collect();
    println!("{} places searched for {} secrets; empty: {empty:?}", places.len(), secrets.len());
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Whole groups of three bytes: the end depends on what follows.
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]))
    });
    groups.collect()
}

/// Everything that others can see after a run, by place: what the engine tells, logs, its store but for the values.
pub(crate) fn everywhere(site: &Site, state: &[(String, String)]) -> Vec<(String, String)> {
    let mut places = Vec::new();
    for (kind, list) in
        [("container", site.list("containers")), ("network", site.list("network")), ("volume", site.list("volume"))]
    {
        for name in list {
            places.push((format!("inspect {name}"), site.docker(&[kind, "inspect", &name])));
            if kind == "container" {
                let image = site.docker(&["inspect", "-f", "{{.Image}}", &name]);
                places.push((format!("history of {name}"), site.docker(&["history", "--no-trunc", image.trim()])));
                places.push((format!("image of {name}"), site.docker(&["image", "inspect", image.trim()])));
                let logs = Command::new("docker").args(["logs", &name]).output().unwrap();
                places.push((format!("output of {name}"), String::from_utf8_lossy(&logs.stdout).into_owned()));
                places.push((format!("errors of {name}"), String::from_utf8_lossy(&logs.stderr).into_owned()));
            }
        }
    }
    for (path, text) in state {
        // Old values are kept with their releases, in a file of their own.
        if !path.starts_with("now/secrets/") && !path.ends_with("/secrets.json") {
            places.push((format!("state {path}"), text.clone()));
        }
    }
    places
}

/// Looks all the time at what everybody on the machine can see: arguments and environments of all processes, the
/// containers' too, and temporary files.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<(String, String)>>>,
    thread: Option<JoinHandle<u32>>,
}

impl Watch {
    pub(crate) fn new(temporary: &Path) -> Self {
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeSet<_>>>::default());
        let (stopped, all, folders) =
            (Arc::clone(&stop), Arc::clone(&seen), [temporary.to_owned(), PathBuf::from("/dev/shm")]);
        let thread = std::thread::spawn(move || {
            let mut rounds = 0;
            while !stopped.load(Ordering::Relaxed) {
                let found = processes().into_iter().chain(folders.iter().flat_map(|folder| files(folder)));
                all.lock().unwrap().extend(found);
                rounds += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            rounds
        });
        Self { stop, seen, thread: Some(thread) }
    }

    /// Ends it: what was there at any time.
    pub(crate) fn ends(mut self) -> Vec<(String, String)> {
        self.stop.store(true, Ordering::Relaxed);
        let rounds = self.thread.take().unwrap().join().unwrap();
        let seen: Vec<(String, String)> = self.seen.lock().unwrap().iter().cloned().collect();
        let arguments = seen.iter().filter(|(place, _)| place.starts_with("arguments")).count();
        println!("{rounds} looks at all processes: {arguments} command lines");
        assert!(rounds > 20 && arguments > 20);
        seen
    }
}

/// Arguments of all processes, and environments of all but our own program, which is given values that way.
fn processes() -> Vec<(String, String)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| {
            let bytes = std::fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', "\n")
        };
        let arguments = read("cmdline");
        if arguments.is_empty() {
            continue;
        }
        let name = arguments.lines().next().unwrap_or_default().to_owned();
        out.push((format!("arguments of {name}"), arguments));
        let environment = read("environ");
        // The entrypoint of PostgreSQL's image hands its password on while it makes the database.
        let user = |line: &str| line == format!("{}={}", OWN.0, OWN.1) || line.starts_with("PGDATA=");
        if !environment.lines().any(user) {
            out.push((format!("environment of {name}"), environment));
        }
    }
    out
}

pub(crate) fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// All files below a folder, by path.
pub(crate) fn files(folder: &Path) -> Vec<(String, String)> {
    walk(folder).into_iter().map(|path| (format!("file {}", path.display()), read(&path))).collect()
}

/// Text of all files of a volume, by path.
pub(crate) fn volume_files(site: &Site, volume: &str) -> Vec<(String, String)> {
    let mount = site.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", volume]);
    let mount = PathBuf::from(mount.trim());
    walk(&mount)
        .into_iter()
        .map(|file| (file.strip_prefix(&mount).unwrap().display().to_string(), read(&file)))
        .collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    // One that is gone by now has nothing in it.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            out.extend(walk(&path));
        } else if path.is_file() {
            out.push(path);
        }
    }
    out
}
