//! The texts of stack.toml and `.env`, with an answer in words for every way in which they cannot be had.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::base::problem::line_column;
use crate::ui::error::Failure;

/// Far more than any stack needs; a file larger than this was named by mistake.
const LARGEST: u64 = 1 << 20;

/// The text of the stack file; `shown` is its name for messages.
pub(super) fn stack_file(path: &Path, shown: &Path) -> Result<String, Failure> {
    let name = shown.display();
    let wrong = |what: String| Failure::usage(format!("`{name}` {what}"));
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(path, shown)),
        Err(error) => return Err(wrong("cannot be read".to_owned()).because(error)),
    };
    if meta.is_dir() {
        let failure = wrong("is a folder".to_owned());
        let inside = shown.join("stack.toml");
        return Err(if path.join("stack.toml").is_file() {
            failure.hint(format!("the stack file in it is `{}`", inside.display()))
        } else {
            failure.hint("name the file itself")
        });
    }
    if meta.len() > LARGEST {
        return Err(wrong(format!("is larger than 1 MiB ({} bytes); it cannot be a stack file", meta.len())));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong("cannot be read".to_owned()).because(error))?;
    // Devices and pipes have no length to look at beforehand.
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("is larger than 1 MiB; it cannot be a stack file".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (line, _) = line_column(&String::from_utf8_lossy(error.as_bytes()), at);
        wrong(format!("is not UTF-8: byte {at} (line {line})")).hint("save it as UTF-8 in your editor")
    })?;
    // Some editors put a byte order mark in front; it means nothing in UTF-8, and would shift every place by one.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    if text.trim().is_empty() {
        return Err(wrong("is empty".to_owned()).hint("`stackctl init` writes a first one; remove this one before"));
    }
    Ok(text)
}

fn missing(path: &Path, shown: &Path) -> Failure {
    let failure = Failure::usage(format!("there is no `{}`", shown.display()));
    let folder = path.parent().unwrap_or(Path::new("/"));
    let above = folder.ancestors().skip(1).map(|f| f.join("stack.toml")).find(|f| f.is_file());
    match above {
        Some(above) => failure.hint(format!("there is one above: pass `--file {}`", above.display())),
        None if !folder.is_dir() => failure.hint(format!("the folder `{}` is not there either", folder.display())),
        None => failure.hint("`stackctl init` writes a first one"),
    }
}

/// The text of `.env` in this folder; empty if there is no such file. Refused where others can read it: it is where
/// people keep passwords.
pub(super) fn environment_file(folder: &Path, shown: &str) -> Result<String, Failure> {
    let path = folder.join(".env");
    if let Ok(target) = std::fs::read_link(&path) {
        return Err(Failure::usage(format!("`{shown}` is a link to {}", target.display()))
            .hint("who may read it is decided elsewhere then; put the file itself there, with mode 0600"));
    }
    let meta = match std::fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(Failure::usage(format!("`{shown}` cannot be read")).because(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Failure::usage(format!("others can read `{shown}` (its mode is {mode:04o})"))
                .hint(format!("it is a place for secrets: `chmod 600 {}`", quoted(shown))));
        }
    }
    if meta.len() > LARGEST {
        return Err(Failure::usage(format!("`{shown}` is larger than 1 MiB")));
    }
    std::fs::read_to_string(&path).map_err(|error| Failure::usage(format!("`{shown}` cannot be read")).because(error))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    if word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+=:@%".contains(&b)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        assert_eq!(super::quoted("/srv/app/.env"), "/srv/app/.env");
        assert_eq!(super::quoted("/my app/it's"), "'/my app/it'\\''s'");
    }
}
