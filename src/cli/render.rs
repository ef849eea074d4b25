//! Printing: results, notes and errors. Lines that are drawn in place on standard error are indicatif's (`files_line`,
//! `batch/live`), and help is clap's.
//!
//! What people read goes to standard output, progress and notes to standard error. Colour appears only on a terminal
//! and never with NO_COLOR. Nothing that came from a file or a process reaches a terminal with its control
//! characters, unless `--raw` asks for the bytes as they are. A reader that has gone away is no error.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::error::{CliError, CliResult};
use super::exit::Exit;
pub use super::text::{clean, one_line, quoted};
use crate::report::span;
use crate::session::manifest::Outcome;

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    form: Form,
}

/// The good, the bad and the doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Done as hoped.
    Good,
    /// To be looked at.
    Doubtful,
    /// Failed.
    Bad,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
    /// Nothing of these.
    Plain,
}

impl Out {
    /// Prints JSON if it was asked for.
    pub fn new(json: bool) -> Self {
        Self { form: if json { Form::Json } else { Form::Text } }
    }

    /// The form that was asked for.
    pub fn form(&self) -> Form {
        self.form
    }

    /// One JSON document.
    pub fn json<T: Serialize>(&self, value: &T) -> CliResult {
        let mut text = serde_json::to_vec_pretty(value).map_err(|e| bug(&e))?;
        text.push(b'\n');
        self.raw(&text)
    }

    /// One JSON document on a line of its own.
    pub fn json_line<T: Serialize>(&self, value: &T) -> CliResult {
        let mut text = serde_json::to_string(value).map_err(|e| bug(&e))?;
        text.push('\n');
        self.raw(text.as_bytes())
    }

    /// A line for people. Whoever made it of what, it holds nothing that a terminal would act on but ralph's own styles.
    pub fn line(&self, text: &str) -> CliResult {
        let mut stdout = anstream::stdout().lock();
        written(writeln!(stdout, "{}", clean_but_for_styles(text)))
    }

    /// Bytes, as they are.
    pub fn raw(&self, bytes: &[u8]) -> CliResult {
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// An error, in the form that was asked for.
    pub fn error(&self, error: &CliError) {
        match self.form {
            Form::Text => {
                let mut stderr = anstream::stderr().lock();
                let style = Tone::Bad.style();
                let hint = error.hint.as_deref().map(clean).map(|hint| format!("\nhint: {hint}"));
                let (message, hint) = (clean(&error.message), hint.unwrap_or_default());
                // There is no one left to tell.
                drop(writeln!(stderr, "{style}ralph:{style:#} {message}{hint}"));
            }
            Form::Json => {
                let body = serde_json::json!({ "error": {
                    "kind": error.exit.kind(), "message": error.message, "hint": error.hint,
                } });
                drop(writeln!(io::stderr(), "{body}"));
            }
        }
    }

    /// A note for people, on standard error; programs read the result instead.
    pub fn note(&self, text: &str) {
        if self.form == Form::Text {
            note(text);
        }
    }
}

/// A note on standard error.
pub fn note(text: &str) {
    // There is no one left to tell.
    drop(writeln!(anstream::stderr().lock(), "ralph: {}", clean(text)));
}

/// Whether standard output is a terminal.
pub fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

fn written(result: io::Result<()>) -> CliResult {
    match result {
        Ok(()) => Ok(Exit::Done),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(e) => Err(CliError::new(Exit::CannotDo, format!("could not write to standard output: {e}"))),
    }
}

fn bug(error: &serde_json::Error) -> CliError {
    CliError::new(Exit::Bug, format!("could not encode the result: {error}"))
}

impl Tone {
    /// How it looks on a terminal.
    pub fn style(self) -> Style {
        let colour = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
        match self {
            Self::Good => colour(AnsiColor::Green),
            Self::Doubtful => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red).bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Plain => Style::new(),
        }
    }

    /// All that its styles are made of.
    const SEQUENCES: [&str; 6] =
        ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

    /// The tone of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Good,
            Outcome::NoChanges | Outcome::Uncommitted | Outcome::Stopped | Outcome::Unknown(_) => {
                Self::Doubtful
            }
            Outcome::Failed | Outcome::TimedOut | Outcome::LaunchFailed | Outcome::Lost => Self::Bad,
        }
    }
}

/// Text that a terminal acts on by its styles only. What stands between two of them is cleaned by itself.
fn clean_but_for_styles(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices('\u{1b}') {
        let is_here = |sequence: &&&str| text.get(at..).is_some_and(|rest| rest.starts_with(**sequence));
        if let Some(sequence) = Tone::SEQUENCES.iter().find(is_here) {
            shown.push_str(&clean(text.get(from..at).unwrap_or_default()));
            shown.push_str(sequence);
            from = at + sequence.len();
        }
    }
    shown.push_str(&clean(text.get(from..).unwrap_or_default()));
    shown
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell without colour.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    /// A cell in a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: one_line(&text.into()), tone }
    }

    /// Its text: one line, without anything that a terminal would act on.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its tone.
    pub fn tone(&self) -> Tone {
        self.tone
    }
}

/// Lines a table up: columns as wide as their widest cell, two spaces between, nothing behind the last.
pub fn table(heads: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    let head: Vec<Cell> = heads.iter().map(|text| Cell::toned(*text, Tone::Faint)).collect();
    let all: Vec<&Vec<Cell>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|c| c.text.width()).max();
    let widths: Vec<usize> = (0..heads.len()).map(|column| width(column).unwrap_or(0)).collect();
    all.iter()
        .map(|row| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                if !cell.text.is_empty() {
                    let style = cell.tone.style();
                    line.push_str(&format!("{style}{}{style:#}", cell.text));
                }
                if column + 1 < row.len() {
                    let missing = widths.get(column).map_or(0, |w| w.saturating_sub(cell.text.width()));
                    line.push_str(&" ".repeat(missing + 2));
                }
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// How long ago something was.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then))
}

/// The word for an outcome, as in the manifest.
pub fn outcome_word(outcome: &Outcome) -> String {
    match serde_json::to_value(outcome) {
        Ok(serde_json::Value::String(word)) => word,
        _ => format!("{outcome:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_the_styles_of_every_tone_and_nothing_else_that_a_terminal_acts_on() {
        for tone in [Tone::Good, Tone::Doubtful, Tone::Bad, Tone::Faint, Tone::Strong, Tone::Plain] {
            let style = tone.style();
            let line = format!("{style}what\tit is{style:#}: so");
            assert_eq!(clean_but_for_styles(&line), line, "{tone:?}");
            let hostile = format!("{style}a\u{1b}]0;b\u{7}c\u{1b}[8md\u{9b}2Je\u{202e}f{style:#}\u{1b}]0;g");
            assert_eq!(clean_but_for_styles(&hostile), format!("{style}acdef{style:#}"), "{tone:?}");
        }
        assert_eq!(clean_but_for_styles("a\u{1b}]0;\u{1b}[0mb"), "a\u{1b}[0mb");
    }
}
