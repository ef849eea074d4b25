//! Closing a ticket: its text with another status, and not a byte else changed.

use super::fields::Key;
use super::layout::{Entry, Layout, Shape};

/// The text of a ticket with `closed` as its status, as `tk close` writes it: the status line of the front matter
/// becomes `status: closed`, or is added as its first line. Ends of lines stay what they are. `None`: the text has no
/// front matter, so it cannot be closed.
///
/// Unlike `tk`, lines of the body that look like a status are left alone.
pub fn close(text: &[u8]) -> Option<Vec<u8>> {
    let layout = Layout::of(text);
    if layout.shape == Shape::Absent {
        return None;
    }
    let mut closed = Vec::with_capacity(text.len() + 16);
    let mut rest = 0;
    for entry in statuses(text, &layout) {
        closed.extend_from_slice(&text[rest..entry.bytes.start]);
        closed.extend_from_slice(b"status: closed");
        closed.extend_from_slice(line_end(&text[entry.bytes.clone()]));
        rest = entry.bytes.end;
    }
    if rest == 0 {
        let (mark, front) = text.split_at(layout.front);
        closed.extend_from_slice(mark);
        let end = match line_end(mark) {
            // The mark is all there is.
            b"" => {
                closed.push(b'\n');
                b""
            }
            end => end,
        };
        closed.extend_from_slice(b"status: closed");
        closed.extend_from_slice(end);
        closed.extend_from_slice(front);
        return Some(closed);
    }
    closed.extend_from_slice(&text[rest..]);
    Some(closed)
}

fn statuses<'a>(text: &'a [u8], layout: &'a Layout) -> impl Iterator<Item = &'a Entry> {
    layout.entries.iter().filter(|entry| Key::of(&text[entry.bytes.clone()]) == Some(Key::Status))
}

fn line_end(text: &[u8]) -> &'static [u8] {
    if text.ends_with(b"\r\n") {
        b"\r\n"
    } else if text.ends_with(b"\n") {
        b"\n"
    } else {
        b""
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ticket::Status;
    use crate::ticket::read::read;
    use proptest::prelude::*;
    use std::path::Path;

    /// Whether two texts of a ticket are equal but for the status lines of their front matter, or wholly.
    ///
    /// Only a line that holds a status and nothing else may differ: a comment behind it, for instance, is someone's words.
    pub(in crate::ticket) fn differ_only_in_status(one: &[u8], other: &[u8]) -> bool {
        one == other || without_status(one) == without_status(other)
    }

    fn without_status(text: &[u8]) -> Vec<u8> {
        let layout = Layout::of(text);
        let mut without = Vec::with_capacity(text.len());
        let mut rest = 0;
        for entry in statuses(text, &layout).filter(|entry| is_status_alone(&text[entry.bytes.clone()])) {
            without.extend_from_slice(&text[rest..entry.bytes.start]);
            rest = entry.bytes.end;
        }
        without.extend_from_slice(&text[rest..]);
        without
    }

    fn is_status_alone(entry: &[u8]) -> bool {
        let Some(value) = entry.strip_prefix(b"status:") else { return false };
        std::str::from_utf8(value).is_ok_and(|value| Status::named(value.trim()).is_some())
    }

    fn closed(text: &str) -> String {
        String::from_utf8(close(text.as_bytes()).unwrap()).unwrap()
    }

    fn status(text: &[u8]) -> Option<Status> {
        read(&"T-1".parse().unwrap(), Path::new("x"), text).0.status()
    }

    #[test]
    fn only_the_status_changes() {
        for (open, expected) in [
            (
                "---\nid: a\nstatus: open\ndeps: []\n---\n# T\n",
                "---\nid: a\nstatus: closed\ndeps: []\n---\n# T\n",
            ),
            ("---\r\nstatus: open\r\nid: a\r\n---\r\nx", "---\r\nstatus: closed\r\nid: a\r\n---\r\nx"),
            ("\u{feff}---\nstatus:   open # soon\n---", "\u{feff}---\nstatus: closed\n---"),
            ("---\nid: a\n---\n# T\n", "---\nstatus: closed\nid: a\n---\n# T\n"),
            ("---\r\nid: a\r\n---\r\n", "---\r\nstatus: closed\r\nid: a\r\n---\r\n"),
            ("---\nid: a\nstatus: open", "---\nid: a\nstatus: closed"),
            ("---", "---\nstatus: closed"),
            ("---\nstatus: open\nstatus: open\n---\n", "---\nstatus: closed\nstatus: closed\n---\n"),
            ("---\nstatus:\n  open\n\n# why\nid: a\n---\n", "---\nstatus: closed\n\n# why\nid: a\n---\n"),
            ("---\n'status' : \"open\"\n---\n", "---\nstatus: closed\n---\n"),
            ("---\nstatus: closed\n---\n", "---\nstatus: closed\n---\n"),
            (
                "---\nnotes: |\n  status: open\nstatus: open\n---\nstatus: open\n---\nstatus: open\n",
                "---\nnotes: |\n  status: open\nstatus: closed\n---\nstatus: open\n---\nstatus: open\n",
            ),
        ] {
            assert_eq!(closed(open), expected, "{open:?}");
            assert_eq!(status(expected.as_bytes()), Some(Status::Closed), "{open:?}");
        }
        assert_eq!(close(b"# No front matter\nstatus: open\n"), None);
        assert_eq!(close(b"---\nstatus: open\n---\n\xff").unwrap(), b"---\nstatus: closed\n---\n\xff");
    }

    #[test]
    fn texts_that_differ_in_their_status_alone_are_told_from_others() {
        let text = "---\nid: a\nstatus: open\n---\nstatus: open\n";
        for (same, other) in [
            (true, text),
            (true, "---\nid: a\nstatus: closed\n---\nstatus: open\n"),
            (true, "---\nid: a\nstatus:  in_progress \n---\nstatus: open\n"),
            (true, "---\nid: a\n---\nstatus: open\n"),
            (true, "---\nstatus: closed\nid: a\n---\nstatus: open\n"),
            (false, "---\nid: a\nstatus: open # note\n---\nstatus: open\n"),
            (false, "---\nid: a\nstatus: |\n  closed\n  words\n---\nstatus: open\n"),
            (false, "---\nid: a\nstatus: waiting for Jo\n---\nstatus: open\n"),
            (false, "---\nid: a\nstatus: open\n---\nstatus: closed\n"),
            (false, "---\nid: b\nstatus: open\n---\nstatus: open\n"),
            (false, "---\r\nid: a\r\nstatus: open\r\n---\r\nstatus: open\r\n"),
        ] {
            assert_eq!(differ_only_in_status(text.as_bytes(), other.as_bytes()), same, "{other:?}");
        }
        assert!(!differ_only_in_status(b"status: open\n", b"status: closed\n"), "no front matter");
    }

    proptest! {
        #[test]
        fn what_is_closed_reads_as_closed_and_stays_so(
            lines in proptest::collection::vec("(status: (open|closed)|status:|'status': |id: a|-|  |---|# )?[ a\r]{0,2}", 0..8),
        ) {
            let text = format!("---\n{}", lines.join("\n"));
            let closed = close(text.as_bytes()).unwrap();
            prop_assert_eq!(status(&closed), Some(Status::Closed), "{:?}", text);
            prop_assert_eq!(close(&closed), Some(closed));
        }

        #[test]
        fn closing_changes_nothing_else(
            lines in proptest::collection::vec("(status: (open|closed)|id: a|deps:|- b|  c|# d|---|é)?\r?", 0..8),
        ) {
            let text = format!("---\n{}\n", lines.join("\n"));
            let has_value_below = Layout::of(text.as_bytes()).entries.iter().any(|entry| {
                let entry = &text[entry.bytes.clone()];
                entry.starts_with("status:") && entry.trim_end().contains('\n')
            });
            let closed = close(text.as_bytes()).unwrap();
            prop_assert_eq!(differ_only_in_status(text.as_bytes(), &closed), !has_value_below);
        }
    }
}
