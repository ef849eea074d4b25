//! Text from elsewhere, made fit for a terminal.

use crate::agent::printable::printable;

/// Text without anything that a terminal would act on.
pub fn clean(text: &str) -> String {
    printable(text)
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| format!("{word:?}"), |quoted| quoted.into_owned())
}

/// Text on one line, without anything that a terminal would act on.
pub fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
