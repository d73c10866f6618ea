//! What people see when Nginx itself has to answer.

use serde::Serialize;

/// What the template sees.
#[derive(Debug, Serialize)]
pub(super) struct Pages {
    list: Vec<Page>,
}

#[derive(Debug, Serialize)]
struct Page {
    status: u16,
    html: String,
}

/// Status, heading, advice. No word about what stands behind: that is for the log.
const TEXTS: [(u16, &str, &str); 7] = [
    (403, "Not for everyone", "You are not admitted here."),
    (404, "Not found", "There is nothing at this address."),
    (413, "Too large", "This is more than can be sent here at once."),
    (429, "Too many requests", "Please wait a moment, then try again."),
    (502, "Something went wrong", "We could not get an answer. Please try again in a moment."),
    (503, "We will be right back", "The site is being worked on. Please try again in a few minutes."),
    (504, "This takes too long", "There was no answer in time. Please try again in a moment."),
];

impl Pages {
    /// The pages there are. Without styles: the site's own Content-Security-Policy holds for them, too.
    pub(super) fn new() -> Self {
        let page = |(status, heading, advice): &(u16, &str, &str)| Page {
            status: *status,
            html: format!(
                "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
                 <title>{heading}</title><h1>{heading}</h1><p>{advice}</p></html>"
            ),
        };
        Self { list: TEXTS.iter().map(page).collect() }
    }
}
