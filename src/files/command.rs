//! A value that a program prints: a secret manager's client, mostly.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::base::secret::Secret;

/// More than any value on one line, or any message about why there is none.
const LIMIT: u64 = 64 << 10;

/// Runs a program without a shell and without input, and takes the one line it prints. Arguments are not quoted in
/// errors: a variable may have been filled into them.
///
/// # Errors
/// In words: it is not there, fails, takes too long, or prints anything but one line of text.
pub async fn line_of(words: &[String], folder: &Path, longest: Duration) -> Result<Secret, String> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    one_line(program, output_of(words, folder, longest).await?)
}

/// Runs a program without a shell and without input, for what it does.
///
/// # Errors
/// In words: it is not there, fails, or takes too long.
pub async fn run_to_end(words: &[String], folder: &Path, longest: Duration) -> Result<(), String> {
    output_of(words, folder, longest).await.map(drop)
}

async fn output_of(words: &[String], folder: &Path, longest: Duration) -> Result<Vec<u8>, String> {
    let [program, arguments @ ..] = words else { return Err("the command is empty".to_owned()) };
    let ended = tokio::time::timeout(longest, run(program, arguments, folder)).await;
    let seconds = longest.as_secs_f64();
    let (status, out, err) = ended.map_err(|_| {
        format!("`{program}` did not end within {seconds} s; give it longer with `timeout`, if that is all it needs")
    })??;
    if !status.success() {
        let how = status.code().map_or_else(|| "was killed".to_owned(), |code| format!("failed with code {code}"));
        return Err(format!("`{program}` {how}{}", last_words(&err, &out)));
    }
    Ok(out)
}

/// What a program started goes with it: a child that holds its output open would outlive the timeout. Not by a process
/// group of its own: such a program could not ask at the terminal.
struct Offspring(Option<u32>);

impl Drop for Offspring {
    fn drop(&mut self) {
        for pid in self.0.map(descendants).unwrap_or_default() {
            // It may be gone by now, which is fine.
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }
}

/// All that a process started, and they in turn; nothing where the system does not tell (`/proc`).
fn descendants(of: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // "pid (name) state ppid …", and a name may hold anything.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut out = vec![of];
    let mut next = 0;
    while let Some(&parent) = out.get(next) {
        out.extend(
            parents
                .iter()
                .filter(|(pid, of)| *of == parent && !out.contains(pid))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        next += 1;
    }
    out.split_off(1)
}

async fn run(program: &str, arguments: &[String], folder: &Path) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no program `{program}`"),
        _ => format!("`{program}` cannot be run: {error}"),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut offspring = Offspring(child.id());
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (out, err, status) = tokio::join!(text(out.as_mut()), text(err.as_mut()), child.wait());
    // Ended by itself: what it left running on purpose is its own business, and its number may be another's by now.
    offspring.0 = None;
    Ok((status.map_err(failed)?, out, err))
}

/// All of it is read, so that the program is not stuck; only the beginning is kept.
async fn text(stream: Option<&mut (impl AsyncRead + Unpin)>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(stream) = stream {
        let _ = (&mut *stream).take(LIMIT).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
    }
    kept
}

fn one_line(program: &str, out: Vec<u8>) -> Result<Secret, String> {
    let text = String::from_utf8(out).map_err(|_| format!("`{program}` printed bytes that are no text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.lines().count() {
        _ if text.trim().is_empty() => Err(format!("`{program}` printed nothing")),
        0 | 1 if text.len() as u64 >= LIMIT => Err(format!("`{program}` printed more than 64 KiB")),
        0 | 1 if text.chars().any(char::is_control) => {
            Err(format!("`{program}` printed control characters, not a value"))
        }
        0 | 1 => Ok(Secret::new(text)),
        n => Err(format!("`{program}` printed {n} lines; a value is one (keep a longer one in a `file`)")),
    }
}

/// The last line a program wrote about its failure, without what it had printed as a value.
fn last_words(err: &[u8], out: &[u8]) -> String {
    let err = String::from_utf8_lossy(err);
    let Some(line) = err.lines().rev().map(str::trim).find(|line| !line.is_empty()) else { return String::new() };
    let printed = String::from_utf8_lossy(out);
    if printed.lines().map(str::trim).any(|value| !value.is_empty() && line.contains(value)) {
        return String::new();
    }
    format!(": {}", line.chars().filter(|c| !c.is_control()).take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(script: &str) -> Result<Secret, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        line_of(&words, Path::new("/tmp"), Duration::from_millis(1500)).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_line_of_text_and_nothing_else() {
        assert_eq!(told("echo value; echo talk >&2").await, Ok(Secret::new("value")));
        assert_eq!(told("printf 'a b'").await, Ok(Secret::new("a b")));
        assert_eq!(told("cat").await, Err("`sh` printed nothing".to_owned()), "there is no input to wait for");
        for (script, words) in [
            ("echo one; echo two", "printed 2 lines"),
            ("printf '\\377\\376'", "bytes that are no text"),
            ("printf 'a\\033b'", "control characters"),
            ("echo 'vault is sealed' >&2; exit 3", "`sh` failed with code 3: vault is sealed"),
            ("echo hunter22; echo got hunter22 >&2; exit 1", "`sh` failed with code 1"),
            ("sleep 20", "`sh` did not end within 1.5 s"),
            ("sleep 20 & echo value", "did not end within 1.5 s"),
            ("yes | head -c 300000 | tr -d '\\n'", "more than 64 KiB"),
        ] {
            let why = told(script).await.err().unwrap_or_default();
            assert!(why.contains(words) && !why.contains("hunter22"), "{script}: {why}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn grandchildren_do_not_outlive_the_timeout() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let script = "sleep 60 & echo $! >child; wait".to_owned();
        let words = ["sh".to_owned(), "-c".to_owned(), script];
        assert!(line_of(&words, folder.path(), Duration::from_millis(500)).await.is_err());
        let child = std::fs::read_to_string(folder.path().join("child")).unwrap_or_default();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        assert!(!child.trim().is_empty());
        for _ in 0..50 {
            // Gone, or dead and not yet collected by whoever inherited it.
            if state().is_empty() || state().contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        unreachable!("{child} still runs: {}", state());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn there_is_no_shell() {
        let words = ["printf", "%s", "$HOME; `id`"].map(str::to_owned);
        let value = line_of(&words, Path::new("/"), Duration::from_secs(5)).await;
        assert_eq!(value, Ok(Secret::new("$HOME; `id`")));
        let missing = line_of(&["no-such-program".to_owned()], Path::new("/"), Duration::from_secs(5)).await;
        assert_eq!(missing, Err("there is no program `no-such-program`".to_owned()));
    }
}
