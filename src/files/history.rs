//! Looking for the values of secrets in a git repository: the values themselves, not patterns that secrets often
//! have, so there is nothing to guess. They never leave this process: git only hands out what it has.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::base::name::SecretName;
use crate::model::history::History;
use crate::model::secrets::SecretValues;

/// Shorter values are found by chance.
const TELLING: usize = 12;

/// Larger files are no configuration.
const LARGEST: u64 = 4 << 20;

/// Most that is read in all; a repository with more takes too long for a checklist.
const MOST: u64 = 512 << 20;

/// Searches every version of every file that the repository around `folder` holds, for at most `patience`. Blocking.
///
/// # Errors
/// In words: git is not installed or fails, or the repository is too large to be searched in time.
pub fn history(folder: &Path, secrets: &SecretValues, patience: Duration) -> Result<History, String> {
    let inside = git(folder, &["rev-parse", "--git-dir"]).output();
    match inside {
        Err(error) => return Err(format!("git cannot be run: {error}")),
        Ok(output) if !output.status.success() => return Ok(History::None),
        Ok(_) => {}
    }
    let values: Vec<(&SecretName, &[u8])> = secrets
        .iter()
        .map(|(name, value)| (name, value.expose().trim().as_bytes()))
        .filter(|(_, value)| value.len() >= TELLING)
        .collect();
    let mut child = git(folder, &["cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    let searched = match child.stdout.take() {
        Some(stdout) => search(BufReader::with_capacity(1 << 16, stdout), &values, patience),
        None => Err("git says nothing".to_owned()),
    };
    // It may still be writing what nobody reads any more.
    let _ = child.kill();
    let _ = child.wait();
    let Searched { files, too_large, found } = searched?;
    let found = found.into_iter().map(|(name, object)| (name, commit_of(folder, &object))).collect();
    Ok(History::Searched { files, too_large, found })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Searched {
    files: usize,
    too_large: usize,
    found: Vec<(SecretName, String)>,
}

/// Reads `ID TYPE SIZE`, that many bytes and a line break, until the end.
fn search(mut stream: impl BufRead, values: &[(&SecretName, &[u8])], patience: Duration) -> Result<Searched, String> {
    let broken = |error: std::io::Error| format!("git broke off: {error}");
    let begin = Instant::now();
    let (mut out, mut total) = (Searched::default(), 0_u64);
    let (mut head, mut body) = (String::new(), Vec::new());
    loop {
        head.clear();
        if stream.read_line(&mut head).map_err(broken)? == 0 {
            return Ok(out);
        }
        let mut words = head.split_ascii_whitespace();
        let (Some(id), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("git says `{}`", head.trim()));
        };
        let size: u64 = size.parse().map_err(|_| format!("git says `{}`", head.trim()))?;
        total += size;
        if total > MOST || begin.elapsed() > patience {
            return Err(format!(
                "the repository is too large: {} files searched in {} s",
                out.files,
                patience.as_secs()
            ));
        }
        let wanted = kind == "blob" && size <= LARGEST;
        if wanted {
            body.clear();
            stream.by_ref().take(size).read_to_end(&mut body).map_err(broken)?;
        } else {
            std::io::copy(&mut stream.by_ref().take(size), &mut std::io::sink()).map_err(broken)?;
        }
        stream.read_exact(&mut [0]).map_err(broken)?;
        if kind != "blob" {
            continue;
        }
        if wanted {
            out.files += 1;
            for (name, value) in values {
                if contains(&body, value) && !out.found.iter().any(|(known, _)| known == *name) {
                    out.found.push(((*name).clone(), id.to_owned()));
                }
            }
        } else {
            out.too_large += 1;
        }
    }
}

/// Whether `value` stands in `text`; looked for by its rarer last byte first would not pay here.
fn contains(text: &[u8], value: &[u8]) -> bool {
    let Some(first) = value.first() else { return false };
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(value) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The commit that brought an object in, shortened; the object itself if no commit has it any more.
fn commit_of(folder: &Path, object: &str) -> String {
    let find = format!("--find-object={object}");
    let output = git(folder, &["log", "--all", "--reverse", "--format=%h", &find]).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    match text.lines().next() {
        Some(commit) => format!("commit {commit}"),
        None => format!("object {object:.10}, in no commit any more"),
    }
}

fn git(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(args)
        // A search changes nothing, and asks nobody.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn secrets() -> SecretValues {
        SecretValues::from([
            (SecretName::parse("token").unwrap(), Secret::new("correct-horse-battery\n")),
            (SecretName::parse("pin").unwrap(), Secret::new("1234")),
        ])
    }

    #[test]
    fn a_value_that_was_committed_is_found_after_it_was_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
            let output = git(folder.path(), &[&identity, args].concat()).output().unwrap();
            assert!(output.status.success(), "{args:?}");
        };
        let all = Duration::from_secs(20);
        assert_eq!(history(folder.path(), &secrets(), all), Ok(History::None));
        run(&["init", "-q"]);
        std::fs::write(folder.path().join("settings.py"), "PIN = 1234\n").unwrap();
        run(&["add", "."]);
        run(&["commit", "-q", "-m", "one"]);
        let clean = history(folder.path(), &secrets(), all);
        assert_eq!(clean, Ok(History::Searched { files: 1, too_large: 0, found: vec![] }));
        std::fs::write(folder.path().join("settings.py"), "TOKEN = 'correct-horse-battery'\n").unwrap();
        run(&["commit", "-qam", "two"]);
        std::fs::write(folder.path().join("settings.py"), "TOKEN = os.environ['TOKEN']\n").unwrap();
        run(&["commit", "-qam", "three"]);
        let Ok(History::Searched { files: 3, found, .. }) = history(folder.path(), &secrets(), all) else {
            unreachable!("three versions were searched")
        };
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.as_str(), "token");
        assert!(found[0].1.starts_with("commit "), "{}", found[0].1);
        // Out of patience is no verdict.
        assert!(history(folder.path(), &secrets(), Duration::ZERO).is_err());
    }

    #[test]
    fn what_git_says_is_read_to_the_byte() {
        let name = SecretName::parse("token").unwrap();
        let values = [(&name, b"aab".as_slice())];
        let read = |bytes: &[u8]| search(bytes, &values, Duration::from_secs(9));
        let found = read(b"1 commit 3\naab\n2 blob 4\naaab\n3 blob 0\n\n").unwrap();
        assert_eq!(found, Searched { files: 2, too_large: 0, found: vec![(name.clone(), "2".into())] });
        assert!(read(b"1 missing\n").is_err());
        assert!(read(b"1 blob 9\nab").is_err());
    }
}
