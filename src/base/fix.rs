//! Where a problem's fix goes: the one edit of the file that pasting it means. People read it in words, programs
//! (SARIF) as an edit, and a test applies it and checks that the problem is gone.

use std::ops::Range;

use super::problem::Problem;

/// An edit of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty where something is put in.
    pub range: Range<usize>,
    /// What comes there.
    pub text: String,
    /// The same in words.
    pub way: Way,
}

/// What a user has to do with a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Write it instead of what stands at the place.
    Instead,
    /// Add it below this line, from 1.
    Below(usize),
    /// Add it inside the braces on this line, from 1.
    Inside(usize),
    /// Add it at the top of the file.
    Top,
    /// Add it at the end of the file.
    End,
}

impl Edit {
    /// The file with the edit.
    pub fn apply(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.range.start], self.text, &text[self.range.end..])
    }
}

/// The edit a problem's fix means; `None` without a fix, or if its place is not in the text.
pub fn edit(text: &str, problem: &Problem) -> Option<Edit> {
    let fix = problem.fix.as_deref()?;
    if let Some((header, rest)) = fix.split_once('\n').filter(|(first, _)| first.starts_with('[')) {
        return Some(table(text, header, rest, fix));
    }
    let place = problem.fix_at.as_ref().or(problem.span.as_ref())?;
    text.get(place.clone())?;
    match key_and_value(fix) {
        Some((key, value)) if follows(text, place, key) => {
            Some(Edit { range: place.clone(), text: value.to_owned(), way: Way::Instead })
        }
        Some(_) => Some(insert(text, place, fix)),
        None => Some(Edit { range: place.clone(), text: fix.to_owned(), way: Way::Instead }),
    }
}

/// A whole table: below its header if the file has it, else at the end.
fn table(text: &str, header: &str, rest: &str, whole: &str) -> Edit {
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        at += line.len();
        if line.trim() == header {
            let gap = if line.ends_with('\n') { "" } else { "\n" };
            return Edit { range: at..at, text: format!("{gap}{rest}\n"), way: Way::Below(index + 1) };
        }
    }
    let gap = if text.ends_with('\n') { "\n" } else { "\n\n" };
    Edit { range: text.len()..text.len(), text: format!("{gap}{whole}\n"), way: Way::End }
}

fn insert(text: &str, place: &Range<usize>, fix: &str) -> Edit {
    if *place == (0..0) {
        return Edit { range: 0..0, text: format!("{fix}\n"), way: Way::Top };
    }
    let line = text[..place.start].matches('\n').count() + 1;
    // The place is an inline table, or a key whose value is one.
    let after = &text[place.end..];
    let brace = if text[place.clone()].starts_with('{') {
        Some(place.start + 1)
    } else {
        let value = after.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
        value
            .strip_prefix('=')
            .and_then(|v| v.trim_start_matches([' ', '\t']).strip_prefix('{'))
            .map(|v| text.len() - v.len())
    };
    if let Some(at) = brace {
        let empty = text[at..].trim_start().starts_with('}');
        let text = if empty { format!(" {fix}") } else { format!(" {fix},") };
        return Edit { range: at..at, text, way: Way::Inside(line) };
    }
    let end = text[place.start..].find('\n').map_or(text.len(), |n| place.start + n);
    Edit { range: end..end, text: format!("\n{fix}"), way: Way::Below(line) }
}

/// `key = value`, if the fix is that.
fn key_and_value(fix: &str) -> Option<(&str, &str)> {
    let (key, value) = fix.split_once('=')?;
    let key = key.trim();
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let quoted = key.len() > 2 && key.starts_with('"') && key.ends_with('"') && !key[1..key.len() - 1].contains('"');
    (quoted || (!key.is_empty() && key.bytes().all(bare))).then(|| (key, value.trim()))
}

/// Whether the place is the value of this key already: `key = PLACE`, also after a dot.
fn follows(text: &str, place: &Range<usize>, key: &str) -> bool {
    let Some(before) = text[..place.start].trim_end_matches([' ', '\t']).strip_suffix('=') else { return false };
    let before = before.trim_end_matches([' ', '\t']);
    before
        .strip_suffix(key)
        .is_some_and(|rest| !rest.ends_with(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str, at: &str, fix: &str) -> String {
        let start = text.find(at).unwrap_or(0);
        let problem = Problem::error("x").at(start..start + at.len()).fix(fix);
        edit(text, &problem).map_or("no edit".to_owned(), |edit| edit.apply(text))
    }

    #[test]
    fn a_fix_has_one_place() {
        for (text, at, fix, expected) in [
            ("a = \"ap\"\n", "\"ap\"", "\"app\"", "a = \"app\"\n"),
            ("p.tls = 1\n", "1", "tls = \"off\"", "p.tls = \"off\"\n"),
            ("[a]\nx = 1\n", "[a]", "y = 2", "[a]\ny = 2\nx = 1\n"),
            ("a = { x = 1 }\n", "{ x = 1 }", "y = 2", "a = { y = 2, x = 1 }\n"),
            ("a = {}\n", "{}", "y = 2", "a = { y = 2}\n"),
            ("s.a = { x = 1 }\n", "a", "y = 2", "s.a = { y = 2, x = 1 }\n"),
            ("a = 1", "1", "[s]\nx = 1", "a = 1\n\n[s]\nx = 1\n"),
            ("[s]\ny = 1\n", "1", "[s]\nx = 1", "[s]\nx = 1\ny = 1\n"),
            ("x = 1\n", "", "name = \"a\"", "name = \"a\"\nx = 1\n"),
            ("a = 1\n", "1", "{ y = 2 }", "a = { y = 2 }\n"),
        ] {
            assert_eq!(fixed(text, at, fix), expected, "{fix} in {text}");
        }
    }

    #[test]
    fn no_place_no_edit() {
        assert_eq!(edit("a", &Problem::error("x").fix("b")), None);
        assert_eq!(edit("a", &Problem::error("x").at(5..9).fix("b")), None);
    }
}
