//! From a ticket's text to a [`Ticket`]: front matter, then Markdown whose first heading is the title.
//!
//! A field that cannot be used is a problem with its line, and the ticket has the others. A dep that cannot be used
//! is kept as one that nothing closes: a ticket is never ready because of a slip in its file.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::fields::{Fields, Key, Read};
use super::layout::{Layout, Shape};
use super::model::{Declared, Dep, Priority, Status, Ticket};
use super::problem::{Problem, Why};
use super::yaml::{Item, Value};
use crate::config::wording;
use crate::id::TicketId;

/// A longer text is cut: it is shown in tables.
const LONGEST_TEXT: usize = 200;
/// How much of a value that cannot be used is shown.
const SHOWN: usize = 40;
/// Who has these mended will see the others.
const MOST_PROBLEMS: usize = 50;

/// How far the work is by the text of a ticket, where it says so in a word that `tk` knows.
pub fn status_of(content: &[u8]) -> Option<Status> {
    let layout = Layout::of(content);
    Reader { fields: Fields::read(content, &layout) }.status()
}

/// Reads the content of the file `path`, which is named after `id`.
///
/// That the front matter has another id is left to the caller, who knows whether that one is a ticket too.
pub(super) fn read(id: &TicketId, path: &Path, content: &[u8]) -> (Ticket, Vec<Problem>) {
    let layout = Layout::of(content);
    let mut reader = Reader { fields: Fields::read(content, &layout) };
    reader.judge_text(content);
    reader.judge_shape(&layout);
    let body = String::from_utf8_lossy(&content[layout.body..]);
    let heading = body.lines().filter_map(|line| line.strip_prefix("# ")).find_map(cleaned);
    let title = reader.shown(Key::Title);
    let ticket = Ticket {
        id: id.clone(),
        path: path.to_owned(),
        declared: reader.declared(),
        title: heading.or(title),
        status: reader.status(),
        deps_line: reader.fields.found.get(&Key::Deps).map(|field| field.line),
        deps: reader.deps(),
        links: reader.links(),
        parent: reader.parent(),
        kind: reader.shown(Key::Type),
        priority: reader.priority(),
        assignee: reader.shown(Key::Assignee),
        tags: reader.tags(),
        created: reader.created(),
    };
    let mut problems = reader.fields.problems;
    problems.sort_by_key(|(line, _)| *line);
    problems.truncate(MOST_PROBLEMS);
    (ticket, problems.into_iter().map(|(line, why)| Problem::at(path, line, why)).collect())
}

struct Reader {
    fields: Fields,
}

impl Reader {
    fn complain(&mut self, line: usize, why: Why) {
        self.fields.problems.push((line, why));
    }

    fn judge_text(&mut self, content: &[u8]) {
        if let Err(error) = std::str::from_utf8(content) {
            let line = 1 + content[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            self.complain(line, Why::NotText);
        }
    }

    fn judge_shape(&mut self, layout: &Layout) {
        match layout.shape {
            Shape::Closed => {}
            Shape::Absent => return self.complain(1, Why::NoFrontMatter),
            Shape::Open => self.complain(layout.mark_line, Why::OpenFrontMatter),
        }
        for key in [Key::Id, Key::Status] {
            let field = self.fields.found.get(&key);
            // One that was refused has its own problem.
            if field.is_none_or(|field| field.value == Value::Nothing && field.read == Read::Whole) {
                self.complain(layout.mark_line, Why::Missing(key.word()));
            }
        }
    }

    /// The text of a field, with its line. `None`: there is none.
    fn text(&mut self, key: Key) -> Option<(usize, String)> {
        let field = self.fields.found.get(&key)?;
        let line = field.line;
        match &field.value {
            Value::Nothing => None,
            Value::Text(text) => Some((line, text.trim().to_owned())).filter(|(_, text)| !text.is_empty()),
            Value::List(_) | Value::Other => {
                self.complain(line, Why::NotAText(key.word()));
                None
            }
        }
    }

    /// The items of a list, with the line it begins at. A text is a list without brackets, as in `tk`.
    fn list(&mut self, key: Key) -> (usize, Vec<Item>) {
        let Some(field) = self.fields.found.get(&key) else { return (0, Vec::new()) };
        let line = field.line;
        let mut items = match &field.value {
            Value::Nothing => Vec::new(),
            Value::Text(text) => {
                let bare: String = text.chars().filter(|c| !matches!(c, '[' | ']' | ' ')).collect();
                bare.split(',').map(|item| Item::Text(item.to_owned())).collect()
            }
            Value::List(items) => items.clone(),
            Value::Other => vec![Item::Other],
        };
        if field.read == Read::FirstLine {
            items.push(Item::Other);
        }
        items.retain(|item| !matches!(item, Item::Text(text) if text.trim().is_empty()));
        if items.contains(&Item::Other) {
            self.complain(line, Why::NotATextInList(key.word()));
        }
        (line, items)
    }

    /// The text of a field as it may be shown.
    fn shown(&mut self, key: Key) -> Option<String> {
        self.text(key).and_then(|(_, text)| cleaned(&text))
    }

    fn declared(&mut self) -> Declared {
        let Some((line, text)) = self.text(Key::Id) else {
            return match self.fields.found.get(&Key::Id).map(|field| &field.value) {
                None | Some(Value::Nothing | Value::Text(_)) => Declared::Nothing,
                Some(Value::List(_) | Value::Other) => Declared::Unusable,
            };
        };
        match text.parse() {
            Ok(id) => Declared::Id(line, id),
            Err(error) => {
                self.complain(line, Why::Id(error));
                Declared::Unusable
            }
        }
    }

    fn status(&mut self) -> Option<Status> {
        let (line, word) = self.text(Key::Status)?;
        let status = Status::named(&word);
        if status.is_none() {
            self.complain(line, Why::Status(wording::shortened(&word, SHOWN)));
        }
        status
    }

    fn deps(&mut self) -> Vec<Dep> {
        let (line, items) = self.list(Key::Deps);
        let mut seen = BTreeSet::new();
        let mut deps = Vec::new();
        for item in items {
            let dep = match item {
                Item::Other => Dep::Unusable("…".to_owned()),
                Item::Text(text) => match text.trim().parse::<TicketId>() {
                    Ok(id) if !seen.insert(id.clone()) => continue,
                    Ok(id) => Dep::Ticket(id),
                    Err(error) => {
                        self.complain(line, Why::Reference { key: Key::Deps.word(), error });
                        Dep::Unusable(wording::shortened(text.trim(), SHOWN))
                    }
                },
            };
            deps.push(dep);
        }
        deps
    }

    fn links(&mut self) -> Vec<TicketId> {
        let (line, items) = self.list(Key::Links);
        let mut links = Vec::new();
        for item in items {
            let Item::Text(text) = item else { continue };
            links.extend(self.reference(Key::Links, line, &text));
        }
        links
    }

    fn parent(&mut self) -> Option<TicketId> {
        let (line, text) = self.text(Key::Parent)?;
        self.reference(Key::Parent, line, &text)
    }

    fn reference(&mut self, key: Key, line: usize, text: &str) -> Option<TicketId> {
        match text.trim().parse() {
            Ok(id) => Some(id),
            Err(error) => {
                self.complain(line, Why::Reference { key: key.word(), error });
                None
            }
        }
    }

    /// A number out of bounds counts as the bound; a word counts as the lowest, which `tk` sorts last too.
    fn priority(&mut self) -> Priority {
        let Some((line, text)) = self.text(Key::Priority) else { return Priority::default() };
        let priority = text.parse().map_or(Priority::LOWEST, Priority::nearest);
        if text != priority.number().to_string() {
            self.complain(
                line,
                Why::Priority { text: wording::shortened(&text, SHOWN), counts: priority.number() },
            );
        }
        priority
    }

    fn tags(&mut self) -> Vec<String> {
        let (_, items) = self.list(Key::Tags);
        let text = |item: &Item| match item {
            Item::Text(text) => cleaned(text),
            Item::Other => None,
        };
        items.iter().filter_map(text).collect()
    }

    /// A time without a zone is taken for UTC, as `tk` writes it.
    fn created(&mut self) -> Option<Timestamp> {
        let (line, text) = self.text(Key::Created)?;
        let bare =
            || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        let created = text.parse().ok().or_else(bare);
        if created.is_none() {
            self.complain(line, Why::Created(wording::shortened(&text, SHOWN)));
        }
        created
    }
}

/// A text as it may be shown. `None`: nothing is left of it.
fn cleaned(text: &str) -> Option<String> {
    let printable: String = text
        .chars()
        .map(|c| if matches!(c, '\t' | '\n') { ' ' } else { c })
        .filter(|c| !wording::is_unprintable(*c))
        .take(LONGEST_TEXT)
        .collect();
    let text = printable.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
