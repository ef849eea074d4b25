//! Splitting a growing file into lines without ever holding more than one, or a line that is too long to be real.

/// The longest line that is kept. pi writes an image that a tool returned into one line; nothing it writes is larger.
pub(super) const LONGEST: usize = 16 << 20;

/// A line, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The line.
    Whole(&'a [u8]),
    /// It was longer than the bound and was not kept.
    TooLong,
}

/// The lines of a stream of bytes. Only a line that has ended is given out.
#[derive(Debug)]
pub(super) struct Lines {
    held: Vec<u8>,
    longest: usize,
    dropping: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_longest(LONGEST)
    }
}

impl Lines {
    pub fn with_longest(longest: usize) -> Self {
        Self { held: Vec::new(), longest, dropping: false }
    }

    /// Takes the next bytes and gives every line that ended with them to `each`.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, ended) = match piece.split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (piece, false),
            };
            if self.dropping || self.held.len() + line.len() > self.longest {
                self.dropping = true;
                self.held = Vec::new();
            } else if ended && self.held.is_empty() {
                each(Line::Whole(line));
                continue;
            } else {
                self.held.extend_from_slice(line);
            }
            if ended {
                each(if self.dropping { Line::TooLong } else { Line::Whole(&self.held) });
                self.held.clear();
                self.dropping = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(lines: &mut Lines, pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece, |line| {
                found.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
            });
        }
        found
    }

    #[test]
    fn a_line_is_given_out_when_it_has_ended() {
        let found = lines_of(&mut Lines::default(), &[b"a\nb", b"c", b"\n\nd"]);
        assert_eq!(found, [Some(b"a".to_vec()), Some(b"bc".to_vec()), Some(b"".to_vec())]);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_held() {
        let mut lines = Lines::with_longest(4);
        let found = lines_of(&mut lines, &[b"abc", b"de", b"fg", b"h\nok\nabcd\nabcde\n"]);
        assert_eq!(found, [None, Some(b"ok".to_vec()), Some(b"abcd".to_vec()), None]);
        lines_of(&mut lines, &[&[b'x'; 100]]);
        assert!(lines.held.capacity() <= 4, "{}", lines.held.capacity());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(pieces in proptest::collection::vec("[ab\n]{0,9}", 0..9)) {
            let cut: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
            let whole = cut.concat();
            prop_assert_eq!(
                lines_of(&mut Lines::with_longest(5), &cut),
                lines_of(&mut Lines::with_longest(5), &[&whole])
            );
        }
    }
}
