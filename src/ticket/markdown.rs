//! A ticket's text: front matter, then Markdown whose first heading is the title.
//!
//! Read as `tk` reads it, line by line: real files hold `assignee: @me` or `title: Fix: it`, which no YAML parser
//! takes. A field is `key: value` at the start of a line of the front matter. Fields that are not read here are
//! skipped, and so is everything that is not a field.

use std::path::{Path, PathBuf};

use super::problem::{Problem, Why};
use crate::config::wording;
use crate::id::TicketId;

/// A longer title is cut: it is shown in tables.
const LONGEST_TITLE: usize = 200;
const STATUS_SHOWN: usize = 40;

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    id: TicketId,
    path: PathBuf,
    title: Option<String>,
    status: Option<Status>,
    declared_id: Option<(usize, TicketId)>,
}

/// How far the work on a ticket is, after `tk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Not begun.
    Open,
    /// Begun.
    InProgress,
    /// Done.
    Closed,
}

impl Status {
    /// The status that a ticket's file writes as `word`.
    fn named(word: &str) -> Option<Self> {
        match word {
            "open" => Some(Self::Open),
            "in_progress" => Some(Self::InProgress),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }

    /// The word that a ticket's file has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in_progress",
            Self::Closed => "closed",
        }
    }
}

impl Ticket {
    /// Its id: the name of its file.
    pub fn id(&self) -> &TicketId {
        &self.id
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its title, where it has one: one line, without a character that a terminal would act on.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// How far the work is, where the file says it in a word that `tk` knows.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// The id in the front matter, with its line, where it is another one than the file's name says.
    pub(super) fn other_id(&self) -> Option<(usize, &TicketId)> {
        self.declared_id.as_ref().map(|(line, id)| (*line, id)).filter(|(_, id)| **id != self.id)
    }
}

/// Reads the content of the file `path`, which is named after `id`.
///
/// That the front matter has another id is left to the caller, who knows whether that one is a ticket too.
pub(super) fn read(id: &TicketId, path: &Path, content: &[u8]) -> (Ticket, Vec<Problem>) {
    let mut problems = Vec::new();
    if let Err(error) = std::str::from_utf8(content) {
        let line = 1 + content[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        problems.push(Problem::at(path, line, Why::NotText));
    }
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    let parts = split(&lines);
    match parts.shape {
        Shape::Closed => {}
        Shape::Absent => problems.push(Problem::at(path, 1, Why::NoFrontMatter)),
        Shape::Open => problems.push(Problem::at(path, parts.first_line - 1, Why::OpenFrontMatter)),
    }
    let fields = fields(parts.front, parts.first_line);
    for (line, name) in fields.repeated {
        problems.push(Problem::at(path, line, Why::Repeated(name)));
    }
    if parts.shape != Shape::Absent {
        for (name, field) in [("id", &fields.id), ("status", &fields.status)] {
            if field.is_none() {
                problems.push(Problem::at(path, parts.first_line - 1, Why::Missing(name)));
            }
        }
    }
    let declared_id = fields.id.and_then(|(line, text)| match text.parse() {
        Ok(id) => Some((line, id)),
        Err(error) => {
            problems.push(Problem::at(path, line, Why::Id(error)));
            None
        }
    });
    let status = fields.status.and_then(|(line, word)| {
        let status = Status::named(word);
        if status.is_none() {
            let shown = wording::shortened(word, STATUS_SHOWN);
            problems.push(Problem::at(path, line, Why::Status(shown)));
        }
        status
    });
    let heading = parts.body.iter().filter_map(|line| line.strip_prefix("# ")).find_map(cleaned);
    let title = heading.or_else(|| fields.title.and_then(|(_, text)| cleaned(text)));
    (Ticket { id: id.clone(), path: path.to_owned(), title, status, declared_id }, problems)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `---`, fields, `---`.
    Closed,
    /// `---` and no second one.
    Open,
    /// No `---` at the start.
    Absent,
}

struct Parts<'a> {
    shape: Shape,
    front: &'a [&'a str],
    /// The line of the first of `front`, counted from 1.
    first_line: usize,
    body: &'a [&'a str],
}

/// Empty lines may stand before the front matter, and white space behind its marks. Where the second mark is
/// missing, the first heading ends the front matter, so that a ticket keeps its title.
fn split<'a>(lines: &'a [&'a str]) -> Parts<'a> {
    let is_mark = |line: &&str| line.trim_end() == "---";
    let start = lines.iter().position(|line| !line.trim().is_empty());
    let Some(start) = start.filter(|at| is_mark(&lines[*at])) else {
        return Parts { shape: Shape::Absent, front: &[], first_line: 1, body: lines };
    };
    let rest = &lines[start + 1..];
    let first_line = start + 2;
    if let Some(end) = rest.iter().position(is_mark) {
        return Parts { shape: Shape::Closed, front: &rest[..end], first_line, body: &rest[end + 1..] };
    }
    let end = rest.iter().position(|line| line.starts_with("# ")).unwrap_or(rest.len());
    Parts { shape: Shape::Open, front: &rest[..end], first_line, body: &rest[end..] }
}

/// A field's value with the line it is on.
type Field<'a> = Option<(usize, &'a str)>;

#[derive(Default)]
struct Fields<'a> {
    id: Field<'a>,
    status: Field<'a>,
    title: Field<'a>,
    repeated: Vec<(usize, &'static str)>,
}

/// The fields that are read; of one that is there twice the last, as in `tk`.
fn fields<'a>(front: &[&'a str], first_line: usize) -> Fields<'a> {
    let mut fields = Fields::default();
    for (number, line) in front.iter().enumerate() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (field, name) = match name {
            "id" => (&mut fields.id, "id"),
            "status" => (&mut fields.status, "status"),
            "title" => (&mut fields.title, "title"),
            _ => continue,
        };
        let at = first_line + number;
        if field.is_some() {
            fields.repeated.push((at, name));
        }
        *field = scalar(value).map(|value| (at, value));
    }
    fields
}

/// A plain or quoted value without the comment behind it. `None`: there is none.
fn scalar(value: &str) -> Option<&str> {
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = quote.and_then(|quote| value[1..].find(quote).map(|end| &value[1..=end]));
    let plain = || {
        let comment = if value.starts_with('#') { Some(0) } else { value.find(" #") };
        value[..comment.unwrap_or(value.len())].trim_end()
    };
    Some(inner.unwrap_or_else(plain)).filter(|value| !value.is_empty())
}

/// A title as it may be shown. `None`: nothing is left of it.
fn cleaned(title: &str) -> Option<String> {
    let printable: String = title
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !wording::is_unprintable(*c))
        .take(LONGEST_TITLE)
        .collect();
    let title = printable.trim();
    (!title.is_empty()).then(|| title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket(content: &str) -> (Ticket, Vec<String>) {
        let (ticket, problems) = read(&"T-1".parse().unwrap(), Path::new("T-1.md"), content.as_bytes());
        (ticket, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn a_ticket_has_the_first_heading_as_its_title_and_the_status_of_its_front_matter() {
        let (ticket, problems) = ticket(
            "---\nid: T-1\nstatus: in_progress\ndeps: [a, b]\nassignee: @me: x\n---\n# Fix: the `door`\n\n# No\n",
        );
        assert_eq!(ticket.title(), Some("Fix: the `door`"));
        assert_eq!(ticket.status(), Some(Status::InProgress));
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn what_real_files_contain_is_taken() {
        for content in [
            "\u{feff}---\r\nid: T-1\r\nstatus: open\r\n---\r\n# Title\r\n",
            "\n\n---  \nid: \"T-1\"\nstatus: 'open' # soon\n---\t\n\n\nText.\n\n# Title",
            "---\nid:T-1\nstatus:   open   # soon\ntitle: Other\nnotes: |\n  id: no\n  status: no\n---\n# \n# Title\n",
            "---\nid: T-1\nstatus: open\ntitle: \"Title\"\n---\nText without a heading.\n",
        ] {
            let (ticket, problems) = ticket(content);
            assert_eq!(problems, Vec::<String>::new(), "{content:?}");
            assert_eq!((ticket.title(), ticket.status()), (Some("Title"), Some(Status::Open)), "{content:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (content, expected) in [
            (
                "# Title\n",
                &[
                    "T-1.md, line 1: there is no front matter: `---`, then lines such as `status: open`, then `---`",
                ][..],
            ),
            (
                "",
                &[
                    "T-1.md, line 1: there is no front matter: `---`, then lines such as `status: open`, then `---`",
                ],
            ),
            (
                "---\nid: T-1\nstatus: open\n# Title\n",
                &["T-1.md, line 1: the front matter that starts here is never closed with `---`"],
            ),
            (
                "---\nid: T-1\nstatus: done\u{1b}[0m\n---\n# Title",
                &[
                    r#"T-1.md, line 3: the status is "done\u{1b}[0m", which is none of open, in_progress and closed"#,
                ],
            ),
            ("\n---\nid: ../x\nstatus: open\n---\n", &["T-1.md, line 3: \"../x\" is not a ticket id"]),
            (
                "---\nstatus: \n---\n",
                &[
                    "T-1.md, line 1: the front matter has no `id`",
                    "T-1.md, line 1: the front matter has no `status`",
                ],
            ),
            (
                "---\nid: T-1\nid: T-1\nstatus: open\n---\n",
                &["T-1.md, line 3: the front matter has `id` a second time; the last one counts"],
            ),
        ] {
            let (_, problems) = ticket(content);
            assert_eq!(problems.len(), expected.len(), "{content:?}: {problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(problem.starts_with(expected), "{problem}");
                assert!(!problem.chars().any(char::is_control), "{problem:?}");
            }
        }
        let (broken, problems) =
            read(&"T-1".parse().unwrap(), Path::new("x"), b"---\nid: T-1\nstatus: open\n---\n# A\xff\n");
        assert_eq!(problems, [Problem::at(Path::new("x"), 5, Why::NotText)]);
        assert_eq!(broken.title(), Some("A\u{fffd}"));
    }

    #[test]
    fn an_unclosed_front_matter_does_not_cost_the_title() {
        assert_eq!(ticket("---\nid: T-1\nstatus: open\n# Title\n").0.title(), Some("Title"));
    }

    #[test]
    fn a_title_cannot_act_on_a_terminal() {
        let (ticket, _) = ticket("# a\u{1b}]0;x\u{7}\tb\u{202e}c\u{85}\n");
        assert_eq!(ticket.title(), Some("a]0;x bc"));
        let long = format!("# {}", "x".repeat(10_000));
        assert_eq!(super::tests::ticket(&long).0.title().unwrap().len(), LONGEST_TITLE);
        assert_eq!(super::tests::ticket("# \u{1b}\u{7}\n").0.title(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            read(&"T-1".parse().unwrap(), Path::new("x"), &content);
        }

        #[test]
        fn nothing_near_a_ticket_panics_or_acts_on_a_terminal(
            lines in proptest::collection::vec(
                "(---|# ?|id:|status:|title:)?[ '\"#:a-z\u{1b}\r\u{202e}é-]{0,10}", 0..12),
        ) {
            let (ticket, problems) = ticket(&lines.join("\n"));
            let shown = problems.iter().map(String::as_str).chain(ticket.title());
            for text in shown {
                prop_assert!(!text.chars().any(wording::is_unprintable), "{text:?}");
            }
        }
    }
}
