//! How a ticket's text is laid out: where its front matter, the entries in it and its body are, as ranges of bytes.
//!
//! Reading and closing a ticket stand on the same division. An entry is what begins at the start of a line of the
//! front matter and goes on over lines that are indented or begin with `-`, `]` or `}`. Entries are looked at one by
//! one, so that one that is broken costs no other. Nothing here depends on what the entries say.

use std::ops::Range;

const BOM: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `---`, entries, `---`.
    Closed,
    /// `---` and no second one.
    Open,
    /// No `---` at the start.
    Absent,
}

/// A ticket's text, divided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub shape: Shape,
    /// The line of the first `---`, counted from 1.
    pub mark_line: usize,
    /// Where an entry can be put before all others: behind that `---` and lines that belong to no entry.
    pub front: usize,
    pub entries: Vec<Entry>,
    /// Where the body begins.
    pub body: usize,
}

/// An entry of the front matter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its first line, counted from 1.
    pub line: usize,
    /// Its whole lines, ends of lines included; empty lines and comments behind it do not belong to it.
    pub bytes: Range<usize>,
}

struct Line<'a> {
    bytes: Range<usize>,
    text: &'a [u8],
}

impl Layout {
    /// Empty lines may stand before the front matter, and white space behind its marks. Where the second mark is
    /// missing, the first heading ends the front matter, so that a ticket keeps its title.
    pub fn of(content: &[u8]) -> Self {
        let start = if content.starts_with(BOM) { BOM.len() } else { 0 };
        let lines: Vec<Line> = lines(content, start).collect();
        let is_mark = |line: &Line| line.text.trim_ascii_end() == b"---";
        let first = lines.iter().position(|line| !line.text.trim_ascii().is_empty());
        let Some(mark) = first.filter(|at| is_mark(&lines[*at])) else {
            return Self {
                shape: Shape::Absent,
                mark_line: 1,
                front: start,
                entries: Vec::new(),
                body: start,
            };
        };
        let rest = &lines[mark + 1..];
        let (shape, end, body) = match rest.iter().position(is_mark) {
            Some(end) => (Shape::Closed, end, end + 1),
            None => {
                let end = rest.iter().position(|line| line.text.starts_with(b"# ")).unwrap_or(rest.len());
                (Shape::Open, end, end)
            }
        };
        let (stray, entries) = entries(&rest[..end], mark + 2);
        Self {
            shape,
            mark_line: mark + 1,
            front: stray.unwrap_or(lines[mark].bytes.end),
            entries,
            body: rest.get(body).map_or(content.len(), |line| line.bytes.start),
        }
    }
}

fn lines(content: &[u8], start: usize) -> impl Iterator<Item = Line<'_>> {
    content[start..].split_inclusive(|byte| *byte == b'\n').scan(start, |at, line| {
        let bytes = *at..*at + line.len();
        *at = bytes.end;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        Some(Line { bytes, text: text.strip_suffix(b"\r").unwrap_or(text) })
    })
}

/// The entries, and where lines end that stand before them and could be a part of one.
fn entries(lines: &[Line], first_line: usize) -> (Option<usize>, Vec<Entry>) {
    let mut stray = None;
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_item = line.text == b"-" || line.text.starts_with(b"- ") || line.text.starts_with(b"-\t");
        match line.text.first() {
            None | Some(b'#') => continue,
            _ if line.text.trim_ascii().is_empty() => continue,
            Some(b' ' | b'\t' | b']' | b'}') => {}
            _ if is_item => {}
            Some(_) => {
                entries.push(Entry { line: first_line + number, bytes: line.bytes.clone() });
                continue;
            }
        }
        match entries.last_mut() {
            Some(entry) => entry.bytes.end = line.bytes.end,
            None => stray = Some(line.bytes.end),
        }
    }
    (stray, entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn divided(content: &str) -> (Shape, Vec<(usize, &str)>, &str) {
        let layout = Layout::of(content.as_bytes());
        let entries = layout.entries.iter().map(|e| (e.line, &content[e.bytes.clone()])).collect();
        (layout.shape, entries, &content[layout.body..])
    }

    #[test]
    fn an_entry_is_a_line_and_what_is_indented_or_listed_below_it() {
        let text = "\u{feff}\n--- \nid: a\r\ndeps:\n- b\n# why\n-\tc\n\nnotes: |\n  x\n\n  y\n# end\ntags: [\n a\n]\n---\nBody";
        let entries = vec![
            (3, "id: a\r\n"),
            (4, "deps:\n- b\n# why\n-\tc\n"),
            (9, "notes: |\n  x\n\n  y\n"),
            (14, "tags: [\n a\n]\n"),
        ];
        assert_eq!(divided(text), (Shape::Closed, entries, "Body"));
    }

    #[test]
    fn a_front_matter_ends_at_the_heading_where_its_end_is_missing_and_may_be_absent() {
        assert_eq!(divided("---\nid: a\n# T\n"), (Shape::Open, vec![(2, "id: a\n")], "# T\n"));
        assert_eq!(divided("---\n  x\nid: a"), (Shape::Open, vec![(3, "id: a")], ""));
        assert_eq!(divided("# T\n---\nid: a\n---\n"), (Shape::Absent, vec![], "# T\n---\nid: a\n---\n"));
        assert_eq!(divided(""), (Shape::Absent, vec![], ""));
        assert_eq!(divided("---"), (Shape::Open, vec![], ""));
    }

    proptest! {
        #[test]
        fn the_parts_stand_in_order_and_apart(lines in proptest::collection::vec("(---|- |#|\\]| |)[a:\r]{0,3}", 0..12)) {
            let content = lines.join("\n");
            let layout = Layout::of(content.as_bytes());
            let mut at = layout.front;
            for entry in &layout.entries {
                prop_assert!(at <= entry.bytes.start && entry.bytes.start < entry.bytes.end);
                at = entry.bytes.end;
            }
            prop_assert!(at <= layout.body && layout.body <= content.len());
        }
    }
}
