//! Numbers and times as people read them.

use jiff::{SignedDuration, Timestamp};

use crate::report::span;
use crate::words::ending;

/// A length of time in its largest two units; one that is short is not nothing.
pub(super) fn length(duration: SignedDuration) -> String {
    match duration.as_secs() {
        0 if duration.as_nanos() > 0 => "<1s".to_owned(),
        _ => span(duration),
    }
}

/// A moment, in the only time zone that is the same for every reader.
pub(super) fn clock(at: Timestamp) -> String {
    format!("{} UTC", at.strftime("%Y-%m-%d %H:%M:%S"))
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of something.
pub(super) fn many(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), ending(number, what))
}

/// US dollars. What an agent says it cost may be no number at all.
pub(super) fn money(dollars: f64) -> String {
    match dollars {
        _ if !dollars.is_finite() => "unknown".to_owned(),
        _ if dollars > 0.0 && dollars < 0.005 => "<$0.01".to_owned(),
        _ => format!("${:.2}", dollars.max(0.0)),
    }
}

/// The beginning of a commit's id.
pub(super) fn short_commit(commit: &str) -> String {
    commit.chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let cases = [
            (0, "0s"),
            (1, "<1s"),
            (59_999, "59s"),
            (60_000, "1m00s"),
            (3_725_000, "1h02m"),
            (90_000_000, "1d01h"),
        ];
        for (millis, wanted) in cases {
            assert_eq!(length(SignedDuration::from_millis(millis)), wanted);
        }
        assert_eq!(length(SignedDuration::from_secs(-5)), "0s");
    }

    #[test]
    fn numbers_and_money() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([many(1, "commit"), many(2, "commit")], ["1 commit", "2 commits"]);
        assert_eq!(
            [0.0, 0.001, 0.005, 1.5, -1.0, f64::NAN].map(money),
            ["$0.00", "<$0.01", "$0.01", "$1.50", "$0.00", "unknown"]
        );
    }
}
