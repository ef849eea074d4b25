//! Text that arrives in pieces, line by line.

/// A longer line is told in parts of this length: what has no line ends must not be kept whole.
const LONGEST: usize = 1 << 20;

/// The lines of a text, and of the last one what has come so far.
#[derive(Debug, Default)]
pub struct Lines {
    begun: String,
}

impl Lines {
    /// The lines that have ended with the next piece.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in text.split_inclusive('\n') {
            let ended = piece.strip_suffix('\n');
            self.begun.push_str(ended.unwrap_or(piece));
            while self.begun.len() > LONGEST {
                let rest = self.begun.split_off(self.begun.floor_char_boundary(LONGEST));
                lines.push(std::mem::replace(&mut self.begun, rest));
            }
            if ended.is_some() {
                lines.push(std::mem::take(&mut self.begun));
            }
        }
        lines
    }

    /// What has no end yet, where there is anything.
    pub fn rest(&mut self) -> Option<String> {
        Some(std::mem::take(&mut self.begun)).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_as_they_end_however_the_pieces_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.push("on"), Vec::<String>::new());
        assert_eq!(lines.push("e\n\ntwo\nth"), ["one", "", "two"]);
        assert_eq!(lines.rest().as_deref(), Some("th"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn no_more_is_kept_than_a_line_may_have() {
        let mut lines = Lines::default();
        // Of characters that do not end where a part would.
        let piece = "\u{20ac}".repeat(100_000);
        let mut told = Vec::new();
        for _ in 0..20 {
            told.extend(lines.push(&piece));
            assert!(lines.begun.len() <= LONGEST, "{}", lines.begun.len());
        }
        assert!(told.iter().all(|line| (LONGEST - 2..=LONGEST).contains(&line.len())));
        told.extend(lines.rest());
        assert_eq!(told.concat(), piece.repeat(20));
    }
}
