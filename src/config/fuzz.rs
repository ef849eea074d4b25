//! What holds of settings whatever is in their files: what is taken is within bounds, is read again as it is shown, and
//! what is refused is told in a line that a terminal can show.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::duration;
use super::size::Size;
use super::sources::parse;
use super::ticketflow::{self, Ticketflow};
use super::words::Words;
use super::{Command, Key};

/// A settings file, and values as a flag or a variable gives them.
pub(crate) fn settings(data: &[u8]) {
    match parse(Path::new("ralph.toml"), data) {
        Ok(layer) => {
            for key in Key::ALL {
                let shown = layer.shown(*key);
                assert_eq!(shown.is_some(), layer.canonical(*key).is_some());
                assert!(shown.is_none_or(|text| is_safe(&text)), "{key:?}");
            }
        }
        Err(error) => assert!(is_safe(&error.to_string()), "{error:?}"),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(time) = duration::parse(text) {
        assert!(time <= duration::LONGEST);
        assert_eq!(duration::parse(&duration::shown(time)), Ok(time), "shown and read again");
    }
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.to_string().parse(), Ok(size), "shown and read again");
    }
    if let Ok(words) = Words::from_str(text) {
        assert!(words.as_slice().iter().all(|word| !word.contains('\0')), "no argument holds a NUL");
    }
    if let Ok(command) = text.parse::<Command>() {
        assert!(!command.program().is_empty());
    }
}

/// A pi-ticketflow project's settings.
pub(crate) fn ticketflow(data: &[u8]) {
    let Ok(settings) = serde_json::from_slice(data) else { return };
    let found = ticketflow::parse(&settings);
    let Ticketflow { timeout, retries, jobs, tickets, unknown, unusable, .. } = &found;
    assert!(timeout.is_none_or(|time| time > Duration::ZERO && time <= duration::LONGEST), "{timeout:?}");
    assert!(retries.is_none_or(|most| most <= 100) && jobs.is_none_or(|most| (1..=1000).contains(&most)));
    assert!(*tickets != Some(0));
    assert!(unknown.len() + unusable.len() <= settings.len());
}

fn is_safe(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
