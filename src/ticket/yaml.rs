//! The value of one entry of a front matter.
//!
//! The parser hands out events, of which only a text and a list of texts are kept, whatever is nested in them: no
//! alias is followed, so that none can multiply, and no depth is recursed into. It refuses flow lists nested deeper
//! than 255.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// What an entry says behind its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, or a plain `null` or `~`.
    Nothing,
    Text(String),
    /// The items of a list, those of lists in it included.
    List(Vec<Item>),
    /// Keys and values, or an alias.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Text(String),
    /// Keys and values, or an alias.
    Other,
}

/// Why an entry could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The line of the entry, counted from 0.
    pub line: usize,
    pub why: String,
}

/// Reads `entry`, which is to be one key and its value.
pub(super) fn value(entry: &str) -> Result<Value, Refusal> {
    let mut events = Parser::new_from_str(entry).map(|event| event.map(|(event, _)| event));
    let mut next = || events.next().unwrap_or(Ok(Event::StreamEnd)).map_err(Refusal::from);
    let no_entry = || Refusal { line: 0, why: "it is not `key: value`".to_owned() };
    let starts = [next()?, next()?, next()?, next()?];
    let [Event::StreamStart, Event::DocumentStart(_), Event::MappingStart(..), Event::Scalar(..)] = starts
    else {
        return Err(no_entry());
    };
    let value = match next()? {
        Event::Scalar(text, style, ..) => scalar(text.into_owned(), style),
        Event::SequenceStart(..) => Value::List(items(&mut next)?),
        Event::MappingStart(..) => {
            skip_mapping(&mut next)?;
            Value::Other
        }
        Event::Alias(_) => Value::Other,
        _ => return Err(no_entry()),
    };
    let ends = [next()?, next()?, next()?];
    let [Event::MappingEnd, Event::DocumentEnd, Event::StreamEnd] = ends else { return Err(no_entry()) };
    Ok(value)
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    let is_null = matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    if is_null && style == ScalarStyle::Plain { Value::Nothing } else { Value::Text(text) }
}

/// The items up to the end of a sequence that has begun.
fn items<'a>(next: &mut impl FnMut() -> Result<Event<'a>, Refusal>) -> Result<Vec<Item>, Refusal> {
    let mut items = Vec::new();
    let mut depth = 1usize;
    while depth > 0 {
        match next()? {
            Event::SequenceStart(..) => depth += 1,
            Event::SequenceEnd => depth -= 1,
            Event::Scalar(text, style, ..) => {
                if let Value::Text(text) = scalar(text.into_owned(), style) {
                    items.push(Item::Text(text));
                }
            }
            Event::MappingStart(..) => {
                skip_mapping(next)?;
                items.push(Item::Other);
            }
            Event::Alias(_) => items.push(Item::Other),
            _ => break,
        }
    }
    Ok(items)
}

/// Passes by the rest of a mapping that has begun.
fn skip_mapping<'a>(next: &mut impl FnMut() -> Result<Event<'a>, Refusal>) -> Result<(), Refusal> {
    let mut depth = 1usize;
    while depth > 0 {
        match next()? {
            Event::MappingStart(..) => depth += 1,
            Event::MappingEnd => depth -= 1,
            Event::StreamEnd => break,
            _ => {}
        }
    }
    Ok(())
}

impl From<ScanError> for Refusal {
    fn from(error: ScanError) -> Self {
        Self { line: error.marker().line().saturating_sub(1), why: error.info().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| Item::Text((*item).to_owned())).collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn texts_and_lists_are_read_however_they_are_written() {
        for (entry, expected) in [
            ("id: T-1\r\n", text("T-1")),
            ("id: \tT-1  # comment", text("T-1")),
            ("\"id\": 'it''s'", text("it's")),
            ("id: \"a\\u0062 # c\"", text("ab # c")),
            ("id: &anchor 1.10", text("1.10")),
            ("id: !!str 007", text("007")),
            ("id: |\n  a\n  b\n", text("a\nb\n")),
            ("id: a\n  b\n", text("a b")),
            ("id: 'null'", text("null")),
            ("id: ''", text("")),
            ("id:", Value::Nothing),
            ("id: # comment", Value::Nothing),
            ("id: ~", Value::Nothing),
            ("deps: []", list(&[])),
            ("deps: [a, 'b',\"c\", ]", list(&["a", "b", "c"])),
            ("deps: [\n  a, # one\n  b\n]\n", list(&["a", "b"])),
            ("deps:\n- a\n# one\n- b\n", list(&["a", "b"])),
            ("deps:\r\n  - a\r\n  - b\r\n", list(&["a", "b"])),
            ("deps: [[a], [[b]], null]", list(&["a", "b"])),
            ("deps: {a: [b]}", Value::Other),
            ("deps: [a, {b: {c: d}}]", Value::List(vec![Item::Text("a".into()), Item::Other])),
            ("deps: &x [a, *x]", Value::List(vec![Item::Text("a".into()), Item::Other])),
        ] {
            assert_eq!(value(entry), Ok(expected), "{entry:?}");
        }
    }

    #[test]
    fn what_is_no_entry_or_no_yaml_is_refused_with_its_line() {
        for (entry, line) in [
            ("assignee: @mara", 0),
            ("title: Fix: it", 0),
            ("deps: [a,\n  , b]", 1),
            ("deps: [a, b", 0),
            ("id: *unknown", 0),
            ("status:open", 0),
            ("{id: a, status: open}", 0),
            ("- a", 0),
            ("id: 'a", 0),
            ("id: a\n...\n---\nid: b", 0),
        ] {
            let refusal = value(entry).unwrap_err();
            assert!(refusal.line >= line, "{entry:?}: {refusal:?}");
            assert!(!refusal.why.is_empty());
        }
    }

    #[test]
    fn no_depth_overflows_and_no_alias_multiplies() {
        let deep = 100_000;
        assert!(value(&format!("deps: {}", "[".repeat(deep))).is_err());
        let flow = |depth: usize| format!("deps: {}a{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(value(&flow(100)), Ok(list(&["a"])));
        assert!(value(&flow(deep)).is_err());
        assert_eq!(value(&format!("deps:\n{}a", "- ".repeat(1000))), Ok(list(&["a"])));
        let bomb = "deps: [&a [x], &b [*a, *a, *a], &c [*b, *b, *b], [*c, *c, *c]]";
        assert!(matches!(value(bomb), Ok(Value::List(items)) if items.len() == 10));
    }
}
