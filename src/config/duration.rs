//! Durations as people write them: `30m`, `1h30m`, `500ms`, `2d`; a plain number is seconds.
//!
//! A day is 24 hours and a week 7 days. Months and years are refused: they have no one length. Nothing negative,
//! and nothing longer than [`LONGEST`], so that adding one to a clock cannot overflow.

use std::time::Duration;

use jiff::fmt::friendly::{Spacing, SpanPrinter};
use jiff::{Span, SpanRelativeTo};

/// The longest duration that is taken: 3650 days.
pub const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Longer texts are no duration, and are not looked at.
const LONGEST_TEXT: usize = 64;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not written like one.
    #[error("it must be a duration such as 30m, 90s, 1h30m or 500ms (a plain number is seconds)")]
    Form,
    /// Its unit has no one length.
    #[error("months and years have no fixed length: give days, as in 30d")]
    Calendar,
    /// It lies in the past.
    #[error("a duration cannot be negative")]
    Negative,
    /// It is longer than [`LONGEST`].
    #[error("it is longer than 3650 days")]
    TooLong,
}

/// Reads a duration.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return Err(DurationError::Form);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = text.parse().map_err(|_| DurationError::TooLong)?;
        return bounded(Duration::from_secs(seconds));
    }
    let span: Span = text.parse().map_err(|_| DurationError::Form)?;
    if span.is_negative() {
        return Err(DurationError::Negative);
    }
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| DurationError::Calendar)?;
    bounded(Duration::try_from(exact).map_err(|_| DurationError::Negative)?)
}

/// Writes a duration so that [`parse`] reads the same one.
pub fn shown(duration: Duration) -> String {
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

fn bounded(duration: Duration) -> Result<Duration, DurationError> {
    if duration > LONGEST { Err(DurationError::TooLong) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("30m", 1_800_000),
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("90", 90_000),
            ("0", 0),
            (" 5 minutes ", 300_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for text in ["", "soon", "m", "30M", "1s1m", "1d 1d", "30m\u{1b}", "١٠m", &"9".repeat(65)] {
            assert_eq!(parse(text), Err(DurationError::Form), "{text:?}");
        }
        assert_eq!(parse("1mo"), Err(DurationError::Calendar));
        assert_eq!(parse("1y"), Err(DurationError::Calendar));
        assert_eq!(parse("-5m"), Err(DurationError::Negative));
        assert_eq!(parse("5m ago"), Err(DurationError::Negative));
        assert_eq!(parse("99999999999999999999"), Err(DurationError::TooLong));
        assert_eq!(parse("3651d"), Err(DurationError::TooLong));
        assert_eq!(parse("3650d"), Ok(LONGEST));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_shown_is_read_back(milliseconds in 0..=LONGEST.as_millis() as u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&shown(duration)), Ok(duration));
        }

        #[test]
        fn nothing_near_the_form_panics(text in "[-+0-9.a-zA-Zµ: ]{0,24}") {
            if let Ok(duration) = parse(&text) {
                prop_assert!(duration <= LONGEST);
            }
        }
    }
}
