//! What people see when Nginx itself has to answer.

use serde::Serialize;

use crate::model::proxy::Proxy;

/// What the templates see.
#[derive(Debug, Serialize)]
pub(super) struct Pages {
    list: Vec<Page>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Serialize)]
struct Page {
    status: u16,
    html: &'static str,
    /// Instead of `html`, a word of variables that hold the page.
    own: Option<String>,
}

/// A part of a page, and the variable that holds it.
#[derive(Debug, Serialize)]
struct Piece {
    name: String,
    text: String,
}

/// Most bytes of a piece. Nginx reads words of up to 4095, and quoting doubles what has to be quoted.
const PIECE: usize = 2000;

macro_rules! page {
    ($heading:literal, $advice:literal) => {
        concat!(
            "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            "<title>",
            $heading,
            "</title><h1>",
            $heading,
            "</h1><p>",
            $advice,
            "</p></html>"
        )
    };
}

/// What there is where nothing is declared. No word about what stands behind: that is for the log. Without styles: the
/// site's own Content-Security-Policy holds for them, too.
const FRIENDLY: [(u16, &str); 8] = [
    (403, page!("Not for everyone", "You are not admitted here.")),
    (404, page!("Not found", "There is nothing at this address.")),
    (413, page!("Too large", "This is more than can be sent here at once.")),
    (429, page!("Too many requests", "Please wait a moment, then try again.")),
    (500, page!("Something went wrong", "This did not work. Please try again in a moment.")),
    (502, page!("Something went wrong", "We could not get an answer. Please try again in a moment.")),
    (503, page!("We will be right back", "The site is being worked on. Please try again in a few minutes.")),
    (504, page!("This takes too long", "There was no answer in time. Please try again in a moment.")),
];

impl Pages {
    pub(super) fn of(proxy: &Proxy) -> Self {
        let mut pieces = Vec::new();
        let mut own = |status, text: &str| {
            let mut word = String::from("\"");
            for (text, number) in cut(text).into_iter().zip(1u32..) {
                let name = format!("stackctl_page_{status}_{number}");
                word.push('$');
                word.push_str(&name);
                pieces.push(Piece { name, text: text.to_owned() });
            }
            word + "\""
        };
        let list = FRIENDLY
            .iter()
            .map(|(status, html)| Page {
                status: *status,
                html,
                own: proxy.pages.get(status).map(|text| own(status, text)),
            })
            .collect();
        Self { list, pieces }
    }
}

/// Cut into pieces, never within a character.
fn cut(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = (0..=PIECE.min(rest.len())).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        out.push(piece);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_short_and_all_of_it() {
        for text in ["", "a", &"ä€".repeat(4000), &"x".repeat(PIECE)] {
            let pieces = cut(text);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
        }
    }
}
