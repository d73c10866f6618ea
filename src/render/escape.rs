//! How a value becomes a token of a format: quoted whole, or refused.

use std::fmt;
use std::io::{self, Write};

/// A value refused by an escape function; it travels through Tera inside an [`io::Error`].
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) format: &'static str,
    pub(super) value: String,
    pub(super) why: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot hold {:?}: {}", self.format, self.value, self.why)
    }
}

impl std::error::Error for Refused {}

fn refuse(format: &'static str, value: &str, why: &'static str) -> io::Result<()> {
    Err(io::Error::other(Refused { format, value: value.to_owned(), why }))
}

/// One Nginx parameter: bare where nothing in it means anything, else in double quotes.
///
/// # Errors
/// `$` starts a variable even inside quotes and has no escape; control characters would end lines of the log or the
/// response.
pub fn nginx(value: &str, out: &mut dyn Write) -> io::Result<()> {
    if value.contains('$') {
        return refuse("nginx", value, "`$` starts a variable there and cannot be escaped");
    }
    if value.chars().any(char::is_control) {
        return refuse("nginx", value, "it contains a control character");
    }
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@,+".contains(&b);
    if !value.is_empty() && value.bytes().all(bare) {
        return out.write_all(value.as_bytes());
    }
    nginx_quoted(value, out)
}

/// The value of a variable that nobody looks into: in Nginx's `geo`, `$` is a sign like others. Line breaks and tabs
/// are text.
///
/// # Errors
/// Other control characters.
pub fn nginx_value(value: &str, out: &mut dyn Write) -> io::Result<()> {
    if value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return refuse("nginx", value, "it contains a control character");
    }
    nginx_quoted(value, out)
}

fn nginx_quoted(value: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    for c in value.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            _ => write!(out, "{c}")?,
        }
    }
    out.write_all(b"\"")
}

/// One YAML scalar: a double-quoted string, JSON's escapes, everything that some YAML version takes for a line break
/// or cannot print escaped.
///
/// # Errors
/// Only those of `out`.
pub fn yaml(value: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    for c in value.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                write!(out, "\\u{:04x}", u32::from(c))?;
            }
            _ => write!(out, "{c}")?,
        }
    }
    out.write_all(b"\"")
}

/// One YAML scalar of a Compose file: as [`yaml`], and `$` doubled, since Compose replaces variables everywhere.
///
/// # Errors
/// Only those of `out`.
pub fn compose(value: &str, out: &mut dyn Write) -> io::Result<()> {
    yaml(&value.replace('$', "$$"), out)
}

/// A part of a Compose value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// A variable of whoever runs Compose, which refuses to start without it.
    Required(String),
    /// A variable that may be missing.
    Optional(String),
}

/// One YAML scalar of a Compose file with variables in it.
pub fn compose_parts(parts: &[Part]) -> String {
    let text = parts.iter().fold(String::new(), |mut text, part| {
        match part {
            Part::Text(plain) => text.push_str(&plain.replace('$', "$$")),
            Part::Required(name) => {
                text.push_str("${");
                text.push_str(name);
                text.push_str(":?is a secret: set it in .env}");
            }
            Part::Optional(name) => {
                text.push_str("${");
                text.push_str(name);
                text.push_str(":-}");
            }
        }
        text
    });
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = yaml(&text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// One YAML scalar of a Prometheus file.
///
/// # Errors
/// `$`: Prometheus 3 replaces variables in external labels and 2 does not, so no spelling suits both.
pub fn prometheus(value: &str, out: &mut dyn Write) -> io::Result<()> {
    if value.contains('$') {
        return refuse("prometheus", value, "`$` means a variable to some versions and not to others");
    }
    yaml(value, out)
}

/// One argument of `ExecStart=` and its kin: in double quotes, C escapes, `%` and `$` doubled.
///
/// # Errors
/// NUL: no program can get it as an argument.
pub fn systemd(value: &str, out: &mut dyn Write) -> io::Result<()> {
    unit(value, &['%', '$'], out)
}

/// One word of another setting of a unit, where `$` means itself.
///
/// # Errors
/// NUL: no path has it.
pub fn setting(value: &str, out: &mut dyn Write) -> io::Result<()> {
    unit(value, &['%'], out)
}

fn unit(value: &str, doubled: &[char], out: &mut dyn Write) -> io::Result<()> {
    if value.contains('\0') {
        return refuse("systemd", value, "it contains a NUL character");
    }
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@,+".contains(&b);
    if !value.is_empty() && value.bytes().all(bare) {
        return out.write_all(value.as_bytes());
    }
    out.write_all(b"\"")?;
    for c in value.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            c if doubled.contains(&c) => write!(out, "{c}{c}")?,
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                write!(out, "\\u{:04x}", u32::from(c))?;
            }
            _ => write!(out, "{c}")?,
        }
    }
    out.write_all(b"\"")
}

/// One value of an `EnvironmentFile=`: in double quotes, in which the signs that a shell would read are escaped.
///
/// # Errors
/// Control characters but tab and line break: systemd drops a variable that has one (systemd.exec(5)).
pub fn environment(value: &str, out: &mut dyn Write) -> io::Result<()> {
    if value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
        return refuse("an environment file of systemd", value, "it contains a control character");
    }
    out.write_all(b"\"")?;
    for c in value.chars() {
        match c {
            '"' | '\\' | '`' | '$' => write!(out, "\\{c}")?,
            _ => write!(out, "{c}")?,
        }
    }
    out.write_all(b"\"")
}

/// One word of a file that knows no quotes.
///
/// # Errors
/// Anything but letters, digits and `.:_-`.
pub fn word(value: &str, out: &mut dyn Write) -> io::Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b".:_-".contains(&b);
    if value.is_empty() || !value.bytes().all(fine) {
        return refuse("a list of hosts", value, "it is no name and no address");
    }
    out.write_all(value.as_bytes())
}
