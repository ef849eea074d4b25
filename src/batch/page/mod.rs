//! A batch as one page for a browser: when each session waited, ran, was tried again and merged, and what came of it.
//!
//! Made of the journal's entries alone, finished or not. The page stands by itself: no script, nothing from a network,
//! and its own policy forbids both. `telling` folds the entries into a `story`, `scale` places moments, `html` escapes;
//! the rest lays out.

mod file;
mod head;
mod html;
mod look;
mod scale;
mod story;
mod tables;
mod telling;
#[cfg(test)]
mod tests;
mod timeline;
mod words;

use jiff::Timestamp;

use self::html::Html;
use self::look::Look;
use super::event::Entry;

pub use self::file::{ReportError, ReportFile};

/// Nothing is loaded from anywhere and nothing is run; styles stand in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page that these entries of a batch's journal make, as of `now`.
pub fn page(entries: &[Entry], now: Timestamp) -> String {
    let story = telling::tell(entries, now);
    let mut html = Html::default();
    html.constant("<!DOCTYPE html>\n");
    html.within("html", &[("lang", "en")], |html| {
        html.within("head", &[], |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
            html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            html.leaf("title", &[], &head::title(&story));
            html.constant(concat!("\n<style>\n", include_str!("page.css")));
            choices(html);
            html.constant("</style>\n");
        });
        html.within("body", &[], |html| {
            head::header(html, &story);
            html.within("main", &[], |html| {
                head::choice(html, &story);
                timeline::section(html, &story);
                tables::matrix(html, &story);
                tables::tickets(html, &story);
                tables::warnings(html, &story);
                tables::sessions(html, &story);
            });
        });
    });
    html.finish()
}

/// What is chosen above is shown below.
fn choices(html: &mut Html) {
    for look in Look::ALL {
        for part in ["body:has(#show-", look.name(), ":checked) [data-k]:not([data-k=", look.name(), "])"] {
            html.constant(part);
        }
        html.constant("{display:none}\n");
    }
}
