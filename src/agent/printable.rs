//! Text that is safe to show on a terminal.
//!
//! What an agent, a branch or a repository wrote may hold sequences that move the cursor, set the clipboard or the
//! window title, or hide text. [`printable`] and [`Printable`] take them out: ANSI escape sequences (CSI, OSC, DCS and
//! the other strings, in their 7-bit and C1 forms), every other control character, and the characters that reorder
//! text. Tabs and newlines stay; a carriage return that would overwrite a line ends it instead. Bytes that are not
//! UTF-8 come out as U+FFFD. The stored bytes are never changed: this is for showing them.

/// How much of an unfinished string sequence is swallowed before what follows is shown again: without a bound, one
/// stray byte would hide the rest of a log.
const LONGEST_STRING: usize = 16 * 1024;
/// The same for a control sequence, which in practice has a dozen characters.
const LONGEST_CSI: usize = 256;

/// `text` without anything that a terminal would act on.
pub fn printable(text: &str) -> String {
    let mut filter = Filter::default();
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| filter.take(c, &mut out));
    out
}

/// The same for bytes that arrive in pieces: a sequence or a character that is cut by the end of one piece is
/// recognised when the next arrives.
#[derive(Debug, Default)]
pub struct Printable {
    filter: Filter,
    cut: Vec<u8>,
}

impl Printable {
    /// A stream at its beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// What of `bytes`, with what came before, can be shown now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let joined;
        let mut rest = bytes;
        if !self.cut.is_empty() {
            joined = [std::mem::take(&mut self.cut).as_slice(), bytes].concat();
            rest = &joined;
        }
        let mut out = String::with_capacity(rest.len());
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    text.chars().for_each(|c| self.filter.take(c, &mut out));
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    String::from_utf8_lossy(good).chars().for_each(|c| self.filter.take(c, &mut out));
                    let Some(length) = error.error_len() else {
                        self.cut = bad.to_vec();
                        break;
                    };
                    self.filter.take(char::REPLACEMENT_CHARACTER, &mut out);
                    rest = bad.get(length..).unwrap_or_default();
                }
            }
        }
        out
    }

    /// What is left when the stream has ended.
    pub fn finish(mut self) -> String {
        let mut out = String::new();
        if !self.cut.is_empty() {
            self.filter.take(char::REPLACEMENT_CHARACTER, &mut out);
        }
        out
    }
}

#[derive(Debug, Default)]
struct Filter {
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// A carriage return was seen: a newline follows, or the line would be overwritten.
    Return,
    Escape,
    /// Within `ESC ( B` and its like: intermediate characters, then a final one.
    EscapeIntermediate,
    Csi(usize),
    /// An OSC, DCS, SOS, PM or APC string.
    Str(usize),
    /// `ESC` within a string: `\` ends it, anything else begins another sequence.
    StrEscape,
}

impl Filter {
    fn take(&mut self, c: char, out: &mut String) {
        self.state = match self.state {
            State::Text => text(c, out),
            State::Return if c == '\n' => {
                out.push('\n');
                State::Text
            }
            State::Return => {
                out.push('\n');
                text(c, out)
            }
            State::Escape => escape(c, out),
            State::EscapeIntermediate => match c {
                ' '..='/' => State::EscapeIntermediate,
                '0'..='~' => State::Text,
                _ => text(c, out),
            },
            State::Csi(seen) => match c {
                ' '..='?' if seen < LONGEST_CSI => State::Csi(seen + 1),
                '@'..='~' => State::Text,
                _ => text(c, out),
            },
            State::Str(seen) => match c {
                '\u{7}' | '\u{9c}' | '\u{18}' | '\u{1a}' => State::Text,
                '\u{1b}' => State::StrEscape,
                // No terminal's string holds a newline; a log line that only looks like one does.
                '\n' => text(c, out),
                _ if seen >= LONGEST_STRING => text(c, out),
                _ => State::Str(seen + 1),
            },
            State::StrEscape if c == '\\' => State::Text,
            State::StrEscape => escape(c, out),
        };
    }
}

fn text(c: char, out: &mut String) -> State {
    match c {
        '\u{1b}' => return State::Escape,
        '\u{9b}' => return State::Csi(0),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => return State::Str(0),
        '\r' => return State::Return,
        '\t' | '\n' => out.push(c),
        _ if c.is_control() || reorders(c) => {}
        _ => out.push(c),
    }
    State::Text
}

fn escape(c: char, out: &mut String) -> State {
    match c {
        '[' => State::Csi(0),
        ']' | 'P' | 'X' | '^' | '_' => State::Str(0),
        ' '..='/' => State::EscapeIntermediate,
        '0'..='~' => State::Text,
        _ => text(c, out),
    }
}

/// The characters that change the order in which text is shown, so that a line reads as something it is not.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASES: &[(&str, &str)] = &[
        ("plain ünïcode 🙂\tx\n", "plain ünïcode 🙂\tx\n"),
        ("\u{1b}[31mred\u{1b}[0m", "red"),
        ("\u{1b}[38;2;1;2;3mx\u{1b}[2J\u{1b}[1;1H", "x"),
        ("\u{9b}31mred", "red"),
        ("\u{1b}]0;title\u{7}after", "after"),
        ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
        ("\u{9d}52;c;AAAA\u{9c}after", "after"),
        ("\u{1b}Pq#0;1;2\u{1b}\\after", "after"),
        ("\u{1b}_apc\u{1b}\\\u{1b}^pm\u{1b}\\\u{1b}Xsos\u{1b}\\.", "."),
        ("\u{1b}(Bx\u{1b}cy\u{1b}=z", "xyz"),
        ("bell\u{7}back\u{8}del\u{7f}nul\u{0}", "bellbackdelnul"),
        ("one\r\ntwo\rthree\r", "one\ntwo\nthree"),
        ("\u{1b}]0;never ended\nnext line", "\nnext line"),
        ("\u{1b}]0;cut by another \u{1b}[31mred", "red"),
        ("\u{1b}[31\nx", "\nx"),
        ("\u{1b}\u{1b}[31mx", "x"),
        ("user\u{202e}txt.exe", "usertxt.exe"),
        ("\u{85}\u{99}", ""),
    ];

    #[test]
    fn control_sequences_are_taken_out_and_text_stays() {
        for (given, wanted) in CASES {
            assert_eq!(printable(given), *wanted, "{given:?}");
        }
    }

    #[test]
    fn a_string_that_never_ends_does_not_hide_the_rest() {
        let given = format!("\u{1b}]0;{}visible", "x".repeat(LONGEST_STRING));
        assert!(printable(&given).ends_with("isible"));
    }

    #[test]
    fn bytes_that_are_not_text_are_marked() {
        let mut stream = Printable::new();
        let shown = stream.push(b"a\xffb\xc3");
        assert_eq!(shown + &stream.finish(), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_sequence_is_recognised_wherever_it_is_cut() {
        for (given, wanted) in CASES {
            for at in 0..=given.len() {
                let mut stream = Printable::new();
                let mut shown = stream.push(&given.as_bytes()[..at]);
                shown.push_str(&stream.push(&given.as_bytes()[at..]));
                shown.push_str(&stream.finish());
                assert_eq!(shown, *wanted, "{given:?} cut at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_acts_on_comes_out_of_any_bytes(pieces: Vec<Vec<u8>>) {
            let mut stream = Printable::new();
            let mut shown: String = pieces.iter().map(|piece| stream.push(piece)).collect();
            shown.push_str(&stream.finish());
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
        }

        #[test]
        fn what_is_printable_stays_as_it_is(text in "[^\\p{Cc}\u{202a}-\u{202e}\u{2066}-\u{2069}]*") {
            prop_assert_eq!(printable(&text), text);
        }
    }
}
