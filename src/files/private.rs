//! Files that only their owner may read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::base::secret::Secret;

use super::write::read_text;

/// Reads a file that holds a secret: refused if others can read it, with the command that mends it. A certificate is
/// public; what looks like a private key, or like anything else, is not.
///
/// # Errors
/// In words, with the path.
pub fn read_private(path: &Path) -> Result<Secret, String> {
    let text = read_text(path).map_err(|error| match std::fs::read_link(path) {
        Ok(target) if !path.exists() => {
            format!("{} is a link to {}, which does not exist", path.display(), target.display())
        }
        _ => error.to_string(),
    })?;
    let mode = std::fs::metadata(path).map_or(0, |m| m.permissions().mode());
    if mode & 0o077 != 0 && !text.starts_with("-----BEGIN CERTIFICATE-----") {
        return Err(format!("others can read {0}; run `chmod 600 {0}`", path.display()));
    }
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_defect_has_its_words() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &[u8], mode: u32| {
            let _ = fs::write(at(name), text);
            let _ = fs::set_permissions(at(name), fs::Permissions::from_mode(mode));
        };
        write("good", b"value\n", 0o600);
        write("open", b"value", 0o644);
        write("empty", b"\n\n", 0o600);
        write("binary", b"\xff\xfe", 0o600);
        write("public.pem", b"-----BEGIN CERTIFICATE-----\n", 0o644);
        let _ = symlink("nowhere", at("dangling"));
        let _ = symlink("good", at("link"));
        let _ = symlink("open", at("link-to-open"));
        assert_eq!(read_private(&at("good")), Ok(Secret::new("value")));
        assert_eq!(read_private(&at("link")), Ok(Secret::new("value")));
        assert!(read_private(&at("public.pem")).is_ok());
        for (name, words) in [
            ("open", "others can read"),
            ("link-to-open", "others can read"),
            ("empty", "is empty"),
            ("binary", "is not text"),
            ("missing", "does not exist"),
            ("dangling", "is a link to nowhere, which does not exist"),
        ] {
            let why = read_private(&at(name)).err().unwrap_or_default();
            assert!(why.contains(words), "{name}: {why}");
        }
    }
}
