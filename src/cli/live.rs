//! Lines at the end of a terminal's output that are drawn again in place.
//!
//! A drawing is one write: back to the first line, each line over the old one and cleared behind its end, whatever is
//! below cleared too. Nothing is erased before it is drawn, so nothing flickers. A line is cut at the terminal's
//! width, so that it stays one line.

use std::io;

use anstream::{AutoStream, ColorChoice};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::error::CliResult;
use super::exit::Exit;
use super::render::{Cell, Out, on_terminal};

/// Where the terminal does not tell its width.
const USUAL_WIDTH: usize = 80;
/// Lines are not drawn in place in a terminal that has fewer.
const FEWEST_LINES: u16 = 12;

/// Between two cells of a row.
const GAP: usize = 2;

/// A line: cells, each with the width of its column.
pub type Row = Vec<(Cell, usize)>;

/// Lines that are drawn in place.
pub struct Live {
    drawn: usize,
    colours: Colours,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Shown,
    Stripped,
}

impl Live {
    /// Lines on standard output; `None` where that is no terminal, or one that cannot go back. `kind` is what TERM
    /// says.
    pub fn on_output(kind: Option<&str>) -> Option<Self> {
        let too_low = |size: rustix::termios::Winsize| (1..FEWEST_LINES).contains(&size.ws_row);
        if !on_terminal() || matches!(kind, None | Some("" | "dumb")) || size().is_some_and(too_low) {
            return None;
        }
        let colours = match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => Colours::Stripped,
            ColorChoice::Auto | ColorChoice::Always | ColorChoice::AlwaysAnsi => Colours::Shown,
        };
        Some(Self { drawn: 0, colours })
    }

    /// Draws the rows in the place of those that were drawn before.
    pub fn draw(&mut self, rows: &[Row], out: &Out) -> CliResult {
        let bytes = frame(self.drawn, rows, width(), self.colours);
        self.drawn = rows.len();
        out.raw(bytes.as_bytes())?;
        Ok(Exit::Done)
    }
}

/// How many columns the terminal has.
pub fn width() -> usize {
    size().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(USUAL_WIDTH)
}

fn size() -> Option<rustix::termios::Winsize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok()
}

/// What is written to draw `rows` where `drawn` lines stand before the cursor.
fn frame(drawn: usize, rows: &[Row], width: usize, colours: Colours) -> String {
    let mut frame = String::new();
    if drawn > 0 {
        frame.push_str(&format!("\r\u{1b}[{drawn}A"));
    }
    for row in rows {
        // The last column stays free: a terminal may go to the next line once it is filled.
        frame.push_str(&line(row, width.saturating_sub(1), colours));
        frame.push_str("\u{1b}[K\n");
    }
    frame.push_str("\u{1b}[J");
    frame
}

/// A row as one line of at most `room` columns.
fn line(row: &Row, room: usize, colours: Colours) -> String {
    let mut line = String::new();
    let mut left = room;
    for (number, (cell, width)) in row.iter().enumerate() {
        let gap = if number == 0 { 0 } else { GAP.min(left) };
        left -= gap;
        let text = cut(cell.text(), left);
        let used = text.width();
        let padding = width.saturating_sub(used).min(left - used);
        left -= used + padding;
        let style = match colours {
            Colours::Shown => cell.tone().style(),
            Colours::Stripped => anstyle::Style::new(),
        };
        line.push_str(&format!("{:gap$}{style}{text}{style:#}{:padding$}", "", ""));
    }
    line.trim_end().to_owned()
}

/// `text` cut to `room` columns; one that was cut ends in `…`.
fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        // One column is left for the sign.
        if kept.width() + c.width().unwrap_or(0) >= room {
            break;
        }
        kept.push(c);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::Tone;
    use proptest::prelude::*;

    fn row(texts: &[(&str, usize)]) -> Row {
        texts.iter().map(|(text, width)| (Cell::toned(*text, Tone::Good), *width)).collect()
    }

    #[test]
    fn cells_stand_in_columns_and_the_last_takes_what_is_left() {
        let shown =
            |room| line(&row(&[("T-1", 5), ("running", 9), ("does something", 0)]), room, Colours::Stripped);
        assert_eq!(shown(80), "T-1    running    does something");
        assert_eq!(shown(32), "T-1    running    does something");
        assert_eq!(shown(31), "T-1    running    does somethi…");
        assert_eq!(shown(20), "T-1    running    d…");
        assert_eq!(shown(12), "T-1    runn…");
        assert_eq!(shown(1), "…");
        assert_eq!(shown(0), "");
    }

    #[test]
    fn a_frame_goes_back_over_the_one_before_and_erases_nothing_first() {
        let rows = [row(&[("one", 0)]), row(&[("two", 0)])];
        assert_eq!(frame(0, &rows, 80, Colours::Stripped), "one\u{1b}[K\ntwo\u{1b}[K\n\u{1b}[J");
        let again = frame(2, &rows, 80, Colours::Stripped);
        assert_eq!(again, format!("\r\u{1b}[2A{}", frame(0, &rows, 80, Colours::Stripped)));
        let narrow = frame(0, &[row(&[("abcdef", 0)])], 5, Colours::Stripped);
        assert_eq!(narrow, "abc…\u{1b}[K\n\u{1b}[J", "the last column stays free");
        let coloured = frame(0, &rows[..1], 80, Colours::Shown);
        assert!(coloured.contains("\u{1b}[32mone\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_its_room(texts: Vec<(String, u8)>, room in 0usize..200) {
            let texts: Vec<(&str, usize)> = texts.iter().map(|(t, w)| (t.as_str(), usize::from(*w))).collect();
            let line = line(&row(&texts), room, Colours::Stripped);
            prop_assert!(line.width() <= room, "{} columns in {room}: {line:?}", line.width());
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}
