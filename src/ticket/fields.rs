//! The entries of a front matter that ralph knows, each with its line and value.
//!
//! An entry is read as YAML. Where YAML refuses it (real files hold `assignee: @me` and `title: Fix: it`), its first
//! line is read as the `tk` script reads it, which is a problem to report and stands in the way of no other entry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::layout::{Entry, Layout};
use super::problem::Why;
use super::yaml::{self, Value};
use crate::config::wording;

/// How much of the parser's words is shown.
const LONGEST_REASON: usize = 120;

/// A key of the front matter that ralph reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Id,
    Status,
    Deps,
    Links,
    Parent,
    Type,
    Priority,
    Assignee,
    Tags,
    Created,
    Title,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// The line it begins at, counted from 1.
    pub line: usize,
    pub value: Value,
    pub read: Read,
}

/// How a value was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// By the rules of YAML.
    Whole,
    /// By those of `tk`, from the only line there is.
    OneLine,
    /// By those of `tk`, from the first of several lines.
    FirstLine,
}

/// The fields of a front matter, and what is wrong in it, with the lines.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub found: BTreeMap<Key, Field>,
    pub problems: Vec<(usize, Why)>,
}

impl Key {
    const ALL: [Self; 11] = [
        Self::Id,
        Self::Status,
        Self::Deps,
        Self::Links,
        Self::Parent,
        Self::Type,
        Self::Priority,
        Self::Assignee,
        Self::Tags,
        Self::Created,
        Self::Title,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Status => "status",
            Self::Deps => "deps",
            Self::Links => "links",
            Self::Parent => "parent",
            Self::Type => "type",
            Self::Priority => "priority",
            Self::Assignee => "assignee",
            Self::Tags => "tags",
            Self::Created => "created",
            Self::Title => "title",
        }
    }

    /// The key of an entry, if it is one that is read.
    pub fn of(entry: &[u8]) -> Option<Self> {
        let colon = entry.iter().position(|byte| matches!(byte, b':' | b'\n'))?;
        let name = entry[..colon].trim_ascii();
        let quoted = |quote: &[u8]| name.strip_prefix(quote)?.strip_suffix(quote);
        let name = quoted(b"\"").or_else(|| quoted(b"'")).unwrap_or(name);
        Self::ALL.into_iter().find(|key| key.word().as_bytes() == name)
    }
}

impl Fields {
    /// Reads the entries of `content`. Of a key that is there several times the last entry counts, as in `tk`.
    pub fn read(content: &[u8], layout: &Layout) -> Self {
        let mut fields = Self::default();
        for entry in &layout.entries {
            let bytes = &content[entry.bytes.clone()];
            let Some(key) = Key::of(bytes) else { continue };
            let field = fields.field(key, entry, &String::from_utf8_lossy(bytes));
            if fields.found.insert(key, field).is_some() {
                fields.problems.push((entry.line, Why::Repeated(key.word())));
            }
        }
        fields
    }

    fn field(&mut self, key: Key, entry: &Entry, text: &str) -> Field {
        let (value, read) = match yaml::value(&with_spaces(text)) {
            Ok(value) => (value, Read::Whole),
            Err(refusal) => {
                let why =
                    Why::NotYaml { key: key.word(), why: wording::shortened(&refusal.why, LONGEST_REASON) };
                // The parser counts more ends of lines than we do, and a list that is not closed ends behind the last.
                let last = text.lines().count().saturating_sub(1);
                self.problems.push((entry.line + refusal.line.min(last), why));
                let mut lines = text.lines();
                let value = lines.next().map_or(Value::Nothing, |first| as_tk_reads(key, first));
                (value, if lines.next().is_none() { Read::OneLine } else { Read::FirstLine })
            }
        };
        Field { line: entry.line, value, read }
    }
}

/// What stands behind the first `: ` and before the next; a title is whole.
fn as_tk_reads(key: Key, line: &str) -> Value {
    let Some((name, rest)) = line.split_once(": ") else { return Value::Nothing };
    if name != key.word() {
        return Value::Nothing;
    }
    let value = if key == Key::Title { rest } else { rest.split(": ").next().unwrap_or(rest) };
    match value.trim() {
        "" => Value::Nothing,
        value => Value::Text(value.to_owned()),
    }
}

/// Tabs that indent a line, or follow the first colon, become spaces: the parser refuses them there.
fn with_spaces(text: &str) -> Cow<'_, str> {
    if !text.contains('\t') {
        return Cow::Borrowed(text);
    }
    let mut spaced = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start_matches('\t');
        spaced.extend(std::iter::repeat_n("  ", line.len() - rest.len()));
        spaced.push_str(rest);
    }
    Cow::Owned(spaced.replacen(":\t", ": ", 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::yaml::Item;

    fn read(front: &str) -> Fields {
        let content = format!("---\n{front}\n---\n");
        Fields::read(content.as_bytes(), &Layout::of(content.as_bytes()))
    }

    fn value(front: &str, key: Key) -> Value {
        read(front).found.remove(&key).map_or(Value::Nothing, |field| field.value)
    }

    #[test]
    fn a_line_that_yaml_refuses_is_read_as_tk_reads_it_and_said() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (line, key, expected) in [
            ("assignee: @mara", Key::Assignee, text("@mara")),
            ("assignee: @mara: x", Key::Assignee, text("@mara")),
            ("status: open: really", Key::Status, text("open")),
            ("deps: [a, , b]", Key::Deps, text("[a, , b]")),
            ("title: Fix: the door: now", Key::Title, text("Fix: the door: now")),
            ("type: `code`", Key::Type, text("`code`")),
            ("id:T-1", Key::Id, Value::Nothing),
            ("'id': @x", Key::Id, Value::Nothing),
        ] {
            let fields = read(&format!("x: y\n{line}"));
            assert_eq!(fields.found[&key].value, expected, "{line:?}");
            assert_eq!(fields.found[&key].read, Read::OneLine, "{line:?}");
            assert!(
                matches!(&fields.problems[..], [(3, Why::NotYaml { .. })]),
                "{line:?}: {:?}",
                fields.problems
            );
        }
    }

    #[test]
    fn no_problem_lies_behind_the_last_line() {
        for front in ["deps: [a", "deps: [a,\r\r\rb", "deps: [a\n  b"] {
            let content = format!("---\nid: T-1\n{front}");
            let fields = Fields::read(content.as_bytes(), &Layout::of(content.as_bytes()));
            let last = content.lines().count();
            assert!(
                matches!(&fields.problems[..], [(line, Why::NotYaml { .. })] if *line <= last),
                "{front:?}: {:?}",
                fields.problems
            );
        }
    }

    #[test]
    fn no_entry_costs_another_and_unknown_keys_are_passed_by() {
        let front =
            "x: @\nassignee: @mara\ndeps:\n\t- a\n  - @b\nlinks:\n\t- a\n\t- b\nstatus: open\nnotes: {";
        let fields = read(front);
        let keys: Vec<Key> = fields.found.keys().copied().collect();
        assert_eq!(keys, [Key::Status, Key::Deps, Key::Links, Key::Assignee]);
        assert_eq!(fields.found[&Key::Deps].read, Read::FirstLine);
        let links = vec![Item::Text("a".into()), Item::Text("b".into())];
        assert_eq!(fields.found[&Key::Links].value, Value::List(links));
        assert_eq!(fields.problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 6]);
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts_and_that_is_said() {
        let fields = read("status: open\nstatus: closed\n\"status\" : in_progress");
        assert_eq!(value("status: open\nstatus:", Key::Status), Value::Nothing);
        assert_eq!(fields.found[&Key::Status].value, Value::Text("in_progress".into()));
        assert_eq!(fields.problems, [(3, Why::Repeated("status")), (4, Why::Repeated("status"))]);
    }
}
