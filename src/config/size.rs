//! Sizes as people write them: `64M`, `1G`, `512k`, bytes.
//!
//! `K`, `M`, `G`, `T` are powers of 1024, as in coreutils; `KiB` … say the same; `kB`, `MB` … are powers of 1000.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is not written like one.
    #[error("it must be a size such as 64M, 1G, 512k or a number of bytes")]
    Form,
    /// It is more than a file can hold.
    #[error("it is larger than any file can be")]
    TooLarge,
}

const BINARY: [(&str, u64); 4] = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];

impl Size {
    /// The size of so many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes it is.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::Form);
        }
        let factor = factor(unit.trim_start()).ok_or(SizeError::Form)?;
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        // File offsets are signed.
        bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).map(Self).ok_or(SizeError::TooLarge)
    }
}

fn factor(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_uppercase();
    if unit.is_empty() || unit == "B" {
        return Some(1);
    }
    BINARY.iter().zip((1..=4).rev()).find_map(|((letter, binary), power)| {
        match unit.strip_prefix(letter)? {
            "" | "IB" => Some(*binary),
            "B" => Some(1000u64.pow(power)),
            _ => None,
        }
    })
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BINARY.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            Some((letter, factor)) => write!(f, "{}{letter}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512k", 512 << 10),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("64MB", 64_000_000),
            ("1G", 1 << 30),
            ("2 t", 2 << 40),
            ("7B", 7),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_says_why() {
        for text in ["", "M", "-1", "1.5G", "64Q", "64Mi", "0x10", "6 4M", "64M!", "１M"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Form), "{text:?}");
        }
        for text in ["9223372036854775808", "99999999999999999999999", "9999999999T"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::TooLarge), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = text.parse::<Size>();
        }

        #[test]
        fn what_is_shown_is_read_back(bytes in 0..=i64::MAX as u64) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
