//! Files encrypted with age: opened with whatever identity this person has, written for everybody on the list beside
//! them. Inside is TOML, `name = "value"` a line, so that `age --decrypt` shows something readable, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient, ssh, x25519};

use crate::base::name::SecretName;
use crate::base::secret::Secret;

use super::private::read_private;
use super::write::{read_bytes, read_text};

/// Values by name.
pub type Entries = BTreeMap<SecretName, Secret>;

/// Variable that holds an identity itself: for CI.
pub const IDENTITY: &str = "STACKCTL_AGE_IDENTITY";

/// Variable that names a file with identities.
pub const IDENTITY_FILE: &str = "STACKCTL_AGE_IDENTITY_FILE";

/// Where this person's identities may be. Read only when there is something to open.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// An identity as text.
    pub text: Option<Secret>,
    /// A file that was named: it has to be there.
    pub named: Option<PathBuf>,
    /// The person's home folder: `~/.config/stackctl/identity.txt`, then the SSH keys in `~/.ssh`.
    pub home: Option<PathBuf>,
}

/// What was found: identities, and the recipients that they stand for.
struct Keys {
    identities: Vec<Box<dyn Identity>>,
    recipients: Vec<String>,
    /// Keys that could not be used, and why.
    skipped: Vec<String>,
}

impl Keyring {
    /// The public halves of this person's native identities (`age1…`): a list of recipients begins with them.
    ///
    /// # Errors
    /// In words, if an identity that was named cannot be read.
    pub fn recipients(&self) -> Result<Vec<String>, String> {
        Ok(self.keys()?.recipients)
    }

    fn keys(&self) -> Result<Keys, String> {
        let mut keys = Keys { identities: Vec::new(), recipients: Vec::new(), skipped: Vec::new() };
        if let Some(text) = &self.text {
            keys.add(text, IDENTITY)?;
            return Ok(keys);
        }
        if let Some(path) = &self.named {
            keys.add(&read_private(path)?, &path.display().to_string())?;
            return Ok(keys);
        }
        let Some(home) = &self.home else { return Ok(keys) };
        for path in [".config/stackctl/identity.txt", ".ssh/id_ed25519", ".ssh/id_rsa"] {
            let path = home.join(path);
            if path.exists() {
                let added = read_private(&path).and_then(|text| keys.add(&text, &path.display().to_string()));
                keys.skipped.extend(added.err());
            }
        }
        Ok(keys)
    }
}

impl Keys {
    fn add(&mut self, text: &Secret, from: &str) -> Result<(), String> {
        let text = text.expose();
        if text.contains("-----BEGIN") {
            return match ssh::Identity::from_buffer(text.as_bytes(), None) {
                Ok(ssh::Identity::Unencrypted(key)) => {
                    self.identities.push(Box::new(ssh::Identity::from(key)));
                    Ok(())
                }
                Ok(ssh::Identity::Encrypted(_)) => Err(format!(
                    "{from} is protected by a passphrase, which nobody can be asked for here; use an identity of age"
                )),
                _ => Err(format!("{from} is not an SSH key that age can use (ssh-ed25519 or ssh-rsa)")),
            };
        }
        let bad = || format!("{from} holds no identity; one looks like `AGE-SECRET-KEY-1…` (`age-keygen` makes it)");
        let file = IdentityFile::from_buffer(text.as_bytes()).map_err(|_| bad())?;
        self.recipients
            .extend(text.lines().filter_map(|line| line.trim().parse::<x25519::Identity>().ok()).map(public));
        let found = file.into_identities().map_err(|_| bad())?;
        if found.is_empty() {
            return Err(bad());
        }
        self.identities.extend(found);
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a name for a closure over an iterator of values")]
fn public(identity: x25519::Identity) -> String {
    identity.to_public().to_string()
}

/// The list of those who can open a file, beside it: one recipient a line, as `age --recipients-file` reads it.
pub fn recipients_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".recipients");
    PathBuf::from(name)
}

/// Opens a file.
///
/// # Errors
/// In words: no such file, not an age file, cut off, for somebody else, or not what is expected inside.
pub fn open(path: &Path, keyring: &Keyring) -> Result<Entries, String> {
    parse(&open_text(path, keyring)?, path)
}

/// Opens a file, and gives its text as it is.
///
/// # Errors
/// As [`open`], but for what is inside.
pub fn open_text(path: &Path, keyring: &Keyring) -> Result<Secret, String> {
    let shown = path.display();
    let bytes = read_bytes(path).map_err(|e| e.to_string())?;
    if bytes.is_empty() {
        return Err(format!("{shown} is empty"));
    }
    let keys = keyring.keys()?;
    let damaged = || format!("{shown} is cut off or damaged; take it from version control again");
    let failed = |error: DecryptError| match error {
        DecryptError::NoMatchingKeys if keys.identities.is_empty() => {
            let skipped: Vec<String> = keys.skipped.iter().map(|why| format!("; {why}")).collect();
            format!(
                "{shown} is encrypted and there is no identity to open it: set {IDENTITY_FILE} or {IDENTITY}, or put one \
                 into ~/.config/stackctl/identity.txt{}",
                skipped.concat()
            )
        }
        DecryptError::NoMatchingKeys => format!(
            "{shown} is encrypted for others; somebody who can open it adds you: `stackctl secrets recipients --add …`"
        ),
        _ if !looks_like_age(&bytes) => format!("{shown} is not a file of age"),
        _ => damaged(),
    };
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(bytes.as_slice())).map_err(failed)?;
    if decryptor.is_scrypt() {
        return Err(format!("{shown} is encrypted with a passphrase; encrypt it for recipients instead"));
    }
    let mut text = Vec::new();
    let mut reader = decryptor.decrypt(keys.identities.iter().map(|i| i.as_ref() as &dyn Identity)).map_err(failed)?;
    reader.read_to_end(&mut text).map_err(|_| damaged())?;
    String::from_utf8(text).map(Secret::new).map_err(|_| format!("{shown} holds no text"))
}

fn looks_like_age(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/") || bytes.trim_ascii_start().starts_with(b"-----BEGIN AGE")
}

/// Entries from the text inside. Errors name lines, never what is on them.
///
/// # Errors
/// In words.
pub fn parse(text: &Secret, path: &Path) -> Result<Entries, String> {
    let shown = path.display();
    let text = text.expose();
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| crate::base::problem::line_column(text, span.start).0);
        format!("what {shown} holds is not TOML: line {line} is not `name = \"value\"`")
    })?;
    let mut out = Entries::new();
    for (name, value) in table {
        let parsed = SecretName::parse(&name)
            .ok_or_else(|| format!("{shown} has an entry `{name}`, which cannot be the name of a secret"))?;
        let toml::Value::String(value) = value else {
            return Err(format!("`{name}` in {shown} is not a string"));
        };
        out.insert(parsed, Secret::new(value));
    }
    Ok(out)
}

/// The text of entries, sorted.
pub fn text_of(entries: &Entries) -> Secret {
    let mut out = String::new();
    for (name, value) in entries {
        // A dotted name is one key, not tables.
        let _ = writeln!(out, "\"{name}\" = {}", quoted(value.expose()));
    }
    Secret::new(out)
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    text.chars().fold(String::from("\""), |mut out, c| {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
        out
    }) + "\""
}

/// Encrypts a text for these recipients, as ASCII armour: it is committed, and diffs of binaries frighten people.
///
/// # Errors
/// In words, if there is no recipient, or one is not valid.
pub fn seal(text: &Secret, recipients: &[String]) -> Result<String, String> {
    let parsed = recipients.iter().map(|r| recipient(r)).collect::<Result<Vec<_>, _>>()?;
    let failed = |error: std::io::Error| format!("cannot encrypt: {error}");
    let encryptor = Encryptor::with_recipients(parsed.iter().map(|r| r.as_ref() as &dyn Recipient))
        .map_err(|_| "there is nobody to encrypt for: `stackctl secrets recipients --add age1…`".to_owned())?;
    let mut out = Vec::new();
    let armour = ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor).map_err(failed)?;
    let mut writer = encryptor.wrap_output(armour).map_err(failed)?;
    writer.write_all(text.expose().as_bytes()).map_err(failed)?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(failed)?;
    String::from_utf8(out).map_err(|_| "cannot encrypt: the armour is not text".to_owned())
}

/// A recipient: `age1…`, or a public SSH key as it stands in `authorized_keys`.
///
/// # Errors
/// In words.
pub fn recipient(text: &str) -> Result<Box<dyn Recipient + Send>, String> {
    let text = text.trim();
    if text.starts_with("AGE-SECRET-KEY-") {
        return Err("this is an identity, the secret half: give its public half, `age1…`".to_owned());
    }
    if let Ok(found) = text.parse::<x25519::Recipient>() {
        return Ok(Box::new(found));
    }
    if let Ok(found) = text.parse::<ssh::Recipient>() {
        return Ok(Box::new(found));
    }
    let start: String = text.chars().take(16).collect();
    Err(format!("`{start}…` is not a recipient: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`"))
}

/// The recipients a file is written for; none if there is no list.
///
/// # Errors
/// In words.
pub fn recipients_of(path: &Path) -> Result<Vec<String>, String> {
    let list = recipients_file(path);
    if !list.exists() {
        return Ok(Vec::new());
    }
    let text = read_text(&list).map_err(|e| e.to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match recipient(line) {
            Ok(_) => Ok(line.to_owned()),
            Err(why) => Err(format!("{}: {why}", list.display())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;

    use super::*;

    fn entries() -> Entries {
        let name = |n: &str| SecretName::parse(n).unwrap_or_else(|| unreachable!());
        Entries::from([
            (name("api.key"), Secret::new("s3cret \"quoted\" \\ and\nsecond line")),
            (name("other"), Secret::new("x")),
        ])
    }

    fn keyring(identity: &x25519::Identity) -> Keyring {
        Keyring { text: Some(Secret::new(identity.to_string().expose_secret())), ..Keyring::default() }
    }

    #[test]
    fn each_recipient_can_open_and_nobody_else() {
        let (a, b, c) = (x25519::Identity::generate(), x25519::Identity::generate(), x25519::Identity::generate());
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let path = folder.path().join("secrets.age");
        let sealed = seal(&text_of(&entries()), &[a.to_public().to_string(), b.to_public().to_string()]);
        let sealed = sealed.unwrap_or_else(|e| unreachable!("{e}"));
        assert!(!sealed.contains("s3cret"));
        std::fs::write(&path, &sealed).unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!(open(&path, &keyring(&a)), Ok(entries()));
        assert_eq!(open(&path, &keyring(&b)), Ok(entries()));
        let why = open(&path, &keyring(&c)).err().unwrap_or_default();
        assert!(
            why.ends_with(
                "is encrypted for others; somebody who can open it adds you: `stackctl secrets recipients --add …`"
            ),
            "{why}"
        );
        let why = open(&path, &Keyring::default()).err().unwrap_or_default();
        assert!(why.contains("there is no identity to open it: set STACKCTL_AGE_IDENTITY_FILE"), "{why}");
        // Cut anywhere, it is damaged, and says so.
        for cut in [30, sealed.len() / 2, sealed.len() - 40] {
            std::fs::write(&path, &sealed[..cut]).unwrap_or_else(|e| unreachable!("{e}"));
            let why = open(&path, &keyring(&a)).err().unwrap_or_default();
            assert!(why.contains("cut off or damaged"), "{cut}: {why}");
        }
        std::fs::write(&path, "api = 1").unwrap_or_else(|e| unreachable!("{e}"));
        assert!(open(&path, &keyring(&a)).is_err_and(|why| why.ends_with("is not a file of age")));
    }

    #[test]
    fn what_is_inside_is_never_quoted() {
        let path = Path::new("secrets.age");
        for (text, expected) in [
            ("a = 1", "`a` in secrets.age is not a string"),
            ("ok = \"x\"\nhunter2", "what secrets.age holds is not TOML: line 2 is not `name = \"value\"`"),
            ("\"A b\" = \"x\"", "secrets.age has an entry `A b`, which cannot be the name of a secret"),
        ] {
            assert_eq!(parse(&Secret::new(text), path), Err(expected.to_owned()));
        }
    }

    #[test]
    fn recipients_are_checked() {
        let public = x25519::Identity::generate().to_public().to_string();
        assert!(recipient(&public).is_ok());
        assert!(
            recipient("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN me").is_ok()
        );
        assert!(recipient("age1nonsense").is_err());
        assert!(recipient("AGE-SECRET-KEY-1QQ").is_err_and(|why| !why.contains("1QQ")));
    }
}
