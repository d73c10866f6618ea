//! Text for people: made harmless, measured, wrapped.

use dialoguer::console::measure_text_width;

use crate::base::date::Date;

/// Makes text from outside harmless for a terminal: control characters (escape sequences among them) and marks that
/// turn the direction of writing are shown as `\u{…}`, tabs and line breaks as blanks.
pub fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\t' | '\n' | '\r' => out.push(' '),
            c if hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        out
    })
}

/// Like [`clean`], but keeps line breaks.
pub fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    lines.join("\n")
}

fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Columns a text takes.
pub fn columns(text: &str) -> usize {
    measure_text_width(text)
}

/// Fills up with blanks to a width.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Cuts to a width; an ellipsis says that something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if columns(&out) + columns(c.encode_utf8(&mut [0; 4])) + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Breaks at blanks so that no line is wider; a word that is wider alone stands alone. All lines but the first begin
/// with `indent` blanks, which count.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut used = indent;
    for word in text.split_whitespace() {
        let length = columns(word);
        if used > indent && used + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        }
        if used > indent {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

/// `1 service`, `2 services`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A time for people: `0.4s`, `12s`, `3m05s`.
pub fn duration(millis: u64) -> String {
    match millis {
        0..=9_949 => format!("{}.{}s", (millis + 50) / 1000, (millis + 50) % 1000 / 100),
        9_950..=59_499 => format!("{}s", (millis + 500) / 1000),
        _ => {
            let seconds = (millis + 500) / 1000;
            format!("{}m{:02}s", seconds / 60, seconds % 60)
        }
    }
}

/// A moment (seconds since 1970) as `2026-11-20T12:48:38`, UTC.
pub fn utc(seconds: u64) -> String {
    let rest = seconds % 86_400;
    format!("{}T{:02}:{:02}:{:02}", Date::of_seconds(seconds), rest / 3600, rest / 60 % 60, rest % 60)
}

/// A path as a URI reference (RFC 3986).
pub(super) fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_not_obeyed() {
        assert_eq!(clean("a\x1b[2Jb\tc\u{202e}d\u{85}é"), "a\\u{1b}[2Jb c\\u{202e}d\\u{85}é");
        assert_eq!(clean_lines("a\r\nb\x07"), "a\nb\\u{7}");
    }

    #[test]
    fn lines_fit() {
        assert_eq!(wrap("one two three", 9, 2), "one two\n  three");
        assert_eq!(wrap("", 9, 2), "");
        assert_eq!(wrap("verylongword x", 5, 0), "verylongword\nx");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }

    #[test]
    fn times() {
        let shown = [0, 40, 50, 949, 9_949, 9_950, 59_499, 59_500, 185_000].map(duration);
        assert_eq!(shown, ["0.0s", "0.0s", "0.1s", "0.9s", "9.9s", "10s", "59s", "1m00s", "3m05s"]);
    }

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_799, "2000-02-29T23:59:59"),
            (1_709_164_800, "2024-02-29T00:00:00"),
            (1_795_178_918, "2026-11-20T12:48:38"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }
}
