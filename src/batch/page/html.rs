//! Markup that nothing which stands in it can break.
//!
//! Names of tags and attributes are literals; text and the values of attributes get in only cleaned, bounded and
//! escaped; what is opened is closed. So a page is well formed whatever a ticket, a branch or an agent says, as HTML
//! and as XML.

use crate::agent::printable::printable;

/// Where text is cut unless more of it was asked for, in characters.
const MOST_TEXT: usize = 300;
/// The longest text that gets in at all.
const MOST_LONG_TEXT: usize = 2000;
/// Cleaning takes characters out, so that it is given more than may stay.
const BEFORE_CLEANING: usize = 4;

/// Names and values.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

/// Markup in the making.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// An element with content.
    pub(super) fn within(
        &mut self,
        tag: &'static str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Self),
    ) {
        self.start(tag, attributes);
        self.0.push('>');
        content(self);
        self.0.extend(["</", tag, ">"]);
        if matches!(tag, "tr" | "li" | "section" | "div" | "header" | "table") {
            self.0.push('\n');
        }
    }

    /// An element with nothing but text.
    pub(super) fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.within(tag, attributes, |html| html.text(text));
    }

    /// An element without content, one of those that have none in HTML either or belong to a drawing.
    pub(super) fn void(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.start(tag, attributes);
        self.0.push_str("/>");
    }

    /// Text, on one line, cut where it is very long.
    pub(super) fn text(&mut self, text: &str) {
        if is_plain(text) && !text.contains("  ") {
            self.0.push_str(text.trim());
        } else {
            self.escaped(&one_line(text, MOST_TEXT));
        }
    }

    /// The same, for text of which more may be wanted.
    pub(super) fn long_text(&mut self, text: &str) {
        self.escaped(&one_line(text, MOST_LONG_TEXT));
    }

    /// Text that others wrote. Whatever direction it is written in, what stands around it stays where it is.
    pub(super) fn foreign(&mut self, text: &str) {
        self.leaf("bdi", &[], text);
    }

    /// A line of a drawing.
    pub(super) fn path(&mut self, class: &'static str, path: &Path) {
        self.0.extend(["<path class=\"", class, "\" d=\"", &path.0, "\"/>"]);
    }

    /// Markup that is known when ralph is built.
    pub(super) fn constant(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// The markup.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn start(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.0.extend(["<", tag]);
        for (name, value) in attributes {
            self.0.extend([" ", name, "=\""]);
            if is_plain(value) {
                self.0.push_str(value);
            } else {
                self.escaped(&cut(&printable(&cut(value, MOST_LONG_TEXT * BEFORE_CLEANING)), MOST_LONG_TEXT));
            }
            self.0.push('"');
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' => self.0.push_str("&#10;"),
                _ if is_hidden(c) => {}
                _ => self.0.push(c),
            }
        }
    }
}

/// A line of a drawing: numbers, however many.
#[derive(Debug, Default)]
pub(super) struct Path(String);

impl Path {
    /// Goes to a point without drawing.
    pub(super) fn move_to(&mut self, x: f64, y: f64) {
        self.0.push_str(&format!("M{x:.1} {y:.1}"));
    }

    /// Draws to the right, or to the left.
    pub(super) fn across(&mut self, x: f64) {
        self.0.push_str(&format!("H{x:.1}"));
    }

    /// Draws up or down.
    pub(super) fn upright(&mut self, y: f64) {
        self.0.push_str(&format!("V{y:.1}"));
    }
}

/// The text on one line, without control characters, at most so many characters long.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let clean = printable(&cut(text, most.saturating_mul(BEFORE_CLEANING)));
    cut(&clean.split_whitespace().collect::<Vec<_>>().join(" "), most)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Whether there is nothing to clean, to cut or to escape, as in nearly all of a page.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
    text.len() <= MOST_TEXT && text.bytes().all(is_plain)
}

/// Marks that change the direction of text, and characters that stand for none.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(make: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::default();
        make(&mut html);
        html.finish()
    }

    #[test]
    fn text_stays_text_and_values_stay_values() {
        let hostile = "\"'></p><script>&";
        let escaped = "&quot;&#39;&gt;&lt;/p&gt;&lt;script&gt;&amp;";
        assert_eq!(made(|html| html.leaf("p", &[], hostile)), format!("<p>{escaped}</p>"));
        assert_eq!(
            made(|html| html.leaf("p", &[("title", hostile)], "")),
            format!("<p title=\"{escaped}\"></p>")
        );
    }

    #[test]
    fn what_cannot_be_seen_is_taken_out() {
        let hostile = "\u{1b}[31mred\u{202e} \u{200f}left\u{0}\r\n\tright\u{ffff}\u{2028}end";
        assert_eq!(made(|html| html.text(hostile)), "red left right end");
        assert_eq!(made(|html| html.void("p", &[("title", "a\u{1b}[0m\nb\u{7}")])), "<p title=\"a&#10;b\"/>");
    }

    proptest! {
        #[test]
        fn plain_text_comes_out_as_all_other_does(text in "[ -~]{0,40}") {
            let mut slowly = Html::default();
            slowly.escaped(&one_line(&text, MOST_TEXT));
            prop_assert_eq!(made(|html| html.text(&text)), slowly.finish());
            let title = made(|html| html.leaf("p", &[("title", &text)], ""));
            prop_assert!(!title["<p title=\"".len()..title.len() - "\"></p>".len()].contains(['<', '>', '"', '\'']));
        }
    }

    #[test]
    fn nothing_is_longer_than_it_may_be() {
        let long = "x".repeat(100_000);
        assert_eq!(made(|html| html.text(&long)).chars().count(), MOST_TEXT);
        assert_eq!(made(|html| html.long_text(&long)).chars().count(), MOST_LONG_TEXT);
        assert!(made(|html| html.void("p", &[("title", &long)])).chars().count() < MOST_LONG_TEXT + 20);
        assert_eq!(one_line("four", 4), "four");
        assert_eq!(one_line("fives", 4), "fiv…");
    }
}
