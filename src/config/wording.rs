//! What messages to people need: text that cannot play tricks on a terminal, and the name that was likely meant.

use std::path::Path;

/// Whether a character changes how others are shown instead of being shown: control characters, and those that
/// turn the direction of writing or break lines. A name or title that holds one can pretend to be another.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with every unprintable character written out (`\n`, `\u{1b}`), so that it is safe on a terminal.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// [`escaped`], cut after `most` characters.
pub fn shortened(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    escaped(&short)
}

/// A path as a message names it.
pub fn path(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

/// The names that are so close to `typed` that they were likely meant, the closest first, at most `most`.
///
/// Case does not count; a third of the typed characters may differ, but never all of them nor more than two.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let typed = typed.to_lowercase();
    let length = typed.chars().count();
    let allowed = (length / 3).clamp(1, 2).min(length.saturating_sub(1));
    let mut close: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| name.chars().count().abs_diff(length) <= allowed)
        .map(|name| (strsim::osa_distance(&typed, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    close.sort_unstable();
    close.into_iter().take(most).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_cannot_move_the_cursor_or_turn_the_text() {
        assert_eq!(escaped("a\u{1b}[31mb\n\u{202e}"), r"a\u{1b}[31mb\n\u{202e}");
        assert_eq!(escaped("Ünïcode 🦀 'x'"), "Ünïcode 🦀 'x'");
        assert_eq!(shortened("abcdef", 3), "abc…");
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        let keys = ["timeout", "idle-timeout", "grace", "output", "flags"];
        assert_eq!(nearest("timout", keys, 3), ["timeout"]);
        assert_eq!(nearest("idletimeout", keys, 1), ["idle-timeout"]);
        assert_eq!(nearest("GRACE", keys, 1), ["grace"]);
        assert!(nearest("colour", keys, 3).is_empty());
        assert!(nearest("output-dir", ["output-cap"], 3).is_empty());
        assert!(nearest("", keys, 3).is_empty());
        assert_eq!(nearest("pt-9ynj", ["pt-9yjn", "pt-0000", "pt-9yjm"], 3), ["pt-9yjn", "pt-9yjm"]);
    }

    proptest! {
        #[test]
        fn escaped_text_holds_nothing_unprintable(text in any::<String>()) {
            prop_assert!(!escaped(&text).chars().any(is_unprintable));
        }
    }
}
