//! What git changes in a file's content on its way into a worktree: keywords (`ident`) and line ends. Pure.
//!
//! The rules are git's own (`convert.c`), those included by which it finds other keywords in a file that it reads bit by
//! bit than in one that it has whole; the `git` program is the tests' oracle. Encodings and filters are not here: what
//! they ask for is left to the program.

use std::borrow::Cow;

use git2::Oid;

/// What is changed in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::git) struct Conversion {
    /// What becomes of line ends.
    pub(in crate::git) ends: Ends,
    /// Whether `$Id$` becomes the name of the content.
    pub(in crate::git) keywords: Keywords,
}

/// What becomes of line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::git) enum Ends {
    /// They stay.
    #[default]
    Kept,
    /// Every line ends with CR LF.
    CrLf,
    /// The same, where the content is text by its looks and has no CR yet.
    CrLfIfText,
}

/// What becomes of keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::git) enum Keywords {
    /// They stay.
    #[default]
    Kept,
    /// They are expanded, as git does it in a file that it reads bit by bit.
    InStream,
    /// They are expanded, as git does it in a file that it has to look at as a whole for its line ends.
    InWhole,
}

impl Conversion {
    /// The content as it is in a worktree; `id` is its name as an object.
    pub(super) fn apply(self, content: &[u8], id: Oid) -> Cow<'_, [u8]> {
        let expanded = match self.keywords {
            Keywords::Kept => None,
            Keywords::InStream => expand_in_stream(content, id),
            Keywords::InWhole => expand_in_whole(content, id),
        };
        let ended = with_ends(expanded.as_deref().unwrap_or(content), self.ends);
        ended.or(expanded).map_or(Cow::Borrowed(content), Cow::Owned)
    }
}

/// The content with CR LF for LF; `None` where that changes nothing.
fn with_ends(content: &[u8], ends: Ends) -> Option<Vec<u8>> {
    let looks = match ends {
        Ends::Kept => return None,
        Ends::CrLf | Ends::CrLfIfText => Looks::of(content),
    };
    if looks.lone_lf == 0 || ends == Ends::CrLfIfText && looks.stays_as_it_is() {
        return None;
    }
    let mut ended = Vec::with_capacity(content.len() + looks.lone_lf);
    let mut before = 0;
    for byte in content {
        if *byte == b'\n' && before != b'\r' {
            ended.push(b'\r');
        }
        ended.push(*byte);
        before = *byte;
    }
    Some(ended)
}

/// What git counts to tell text from what is none.
#[derive(Default)]
struct Looks {
    lone_cr: usize,
    lone_lf: usize,
    crlf: usize,
    nul: usize,
    printable: usize,
    other: usize,
}

impl Looks {
    fn of(content: &[u8]) -> Self {
        let mut looks = Self::default();
        let mut bytes = content.iter().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' if bytes.next_if(|next| **next == b'\n').is_some() => looks.crlf += 1,
                b'\r' => looks.lone_cr += 1,
                b'\n' => looks.lone_lf += 1,
                0x08 | b'\t' | 0x1b | 0x0c => looks.printable += 1,
                0 => {
                    looks.nul += 1;
                    looks.other += 1;
                }
                1..0x20 | 0x7f => looks.other += 1,
                _ => looks.printable += 1,
            }
        }
        // The end of a file, as it once was.
        if content.last() == Some(&0x1a) {
            looks.other -= 1;
        }
        looks
    }

    fn stays_as_it_is(&self) -> bool {
        let is_binary = self.nul > 0 || self.printable >> 7 < self.other;
        self.lone_cr > 0 || self.crlf > 0 || is_binary
    }
}

const HEAD: &[u8] = b"$Id";

/// The content with its keywords expanded; `None` where it has none. Whatever began like a keyword and is none is not
/// looked at again.
fn expand_in_stream(content: &[u8], id: Oid) -> Option<Vec<u8>> {
    let mut expanded = Vec::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(dollar) = content.get(at..).and_then(|rest| rest.iter().position(|b| *b == HEAD[0])) {
        let start = at + dollar;
        let alike = HEAD.iter().zip(&content[start..]).take_while(|(head, byte)| head == byte).count();
        // The first byte that is another one is passed too.
        let behind = start + alike;
        let end = match content.get(behind) {
            Some(b'$') if alike == HEAD.len() => Some(behind + 1),
            Some(b':') if alike == HEAD.len() => {
                let value = &content[behind + 1..];
                let Some(end) = value.iter().position(|b| matches!(b, b'\n' | b'$')) else { break };
                at = behind + 1 + end + 1;
                let is_ours = value[end] == b'$' && !is_foreign(&value[..=end]);
                if !is_ours {
                    continue;
                }
                Some(at)
            }
            _ => None,
        };
        at = end.unwrap_or(behind + 1);
        if let Some(end) = end {
            expanded.extend_from_slice(&content[kept..start]);
            expanded.extend_from_slice(format!("$Id: {id} $").as_bytes());
            kept = end;
        }
    }
    let found = kept > 0;
    expanded.extend_from_slice(&content[kept..]);
    found.then_some(expanded)
}

/// Whether the value of a keyword, up to the dollar sign at its end, is another system's: it has a space within.
fn is_foreign(value: &[u8]) -> bool {
    let Some(value) = value.strip_prefix(b" ") else { return false };
    let text = value.split(|b| *b == 0).next().unwrap_or_default();
    // Behind the last byte of the text git finds the end of the string.
    text.iter()
        .enumerate()
        .any(|(at, byte)| matches!(byte, b' ' | b'\t' | b'\n' | b'\r') && text.get(at + 1) != Some(&b'$'))
}

/// The content with its keywords expanded; `None` where it has none.
fn expand_in_whole(content: &[u8], id: Oid) -> Option<Vec<u8>> {
    let mut expanded = Vec::new();
    let mut rest = content;
    let mut found = false;
    while let Some(dollar) = rest.iter().position(|b| *b == b'$') {
        let (head, tail) = rest.split_at(dollar + 1);
        expanded.extend_from_slice(head);
        rest = tail;
        let behind = match tail.strip_prefix(b"Id") {
            Some([b'$', behind @ ..]) => behind,
            Some([b':', value @ ..]) => {
                let Some(end) = value.iter().position(|b| *b == b'$') else { break };
                let value = &value[..end];
                // A line's end, or a space within: another system's keyword.
                let space = value.get(1..).and_then(|value| value.iter().position(|b| *b == b' '));
                if value.contains(&b'\n') || space.is_some_and(|at| at + 2 < end) {
                    continue;
                }
                &tail[b"Id:".len() + end + 1..]
            }
            Some(_) | None => continue,
        };
        expanded.extend_from_slice(format!("Id: {id} $").as_bytes());
        rest = behind;
        found = true;
    }
    expanded.extend_from_slice(rest);
    found.then_some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crlf(content: &str, ends: Ends) -> String {
        let conversion = Conversion { ends, keywords: Keywords::Kept };
        String::from_utf8(conversion.apply(content.as_bytes(), Oid::ZERO_SHA1).into_owned()).unwrap()
    }

    #[test]
    fn line_ends_that_have_no_cr_get_one() {
        assert_eq!(crlf("a\nb\r\n\nc", Ends::CrLf), "a\r\nb\r\n\r\nc");
        assert_eq!(crlf("a\nb\n", Ends::CrLfIfText), "a\r\nb\r\n");
        for kept in ["a\nb\r\n", "a\nb\rc", "a\n\0", "\u{1}\n", ""] {
            assert_eq!(crlf(kept, Ends::CrLfIfText), kept);
        }
        assert_eq!(crlf("a\n", Ends::Kept), "a\n");
    }

    #[test]
    fn keywords_of_other_systems_stay() {
        let ours = format!("$Id: {} $", Oid::ZERO_SHA1);
        for keywords in [Keywords::InStream, Keywords::InWhole] {
            let expanded = |content: &str| {
                let conversion = Conversion { ends: Ends::Kept, keywords };
                String::from_utf8(conversion.apply(content.as_bytes(), Oid::ZERO_SHA1).into_owned()).unwrap()
            };
            for keyword in ["$Id$", "$Id: old $", "$Id:$", "$Id:x$"] {
                assert_eq!(expanded(&format!("a {keyword} b")), format!("a {ours} b"), "{keyword}");
            }
            for kept in ["$Id", "$Id: a b $", "$Id: a\n$", "$Ident$", "$$", "x", "$I"] {
                assert_eq!(expanded(kept), kept, "{keywords:?}");
            }
        }
    }

    #[test]
    fn what_git_passes_over_as_it_reads_on_is_passed_over() {
        let id = Oid::ZERO_SHA1;
        assert_eq!(expand_in_stream(b"$$Id$", id), None);
        assert!(expand_in_whole(b"$$Id$", id).is_some());
    }
}
