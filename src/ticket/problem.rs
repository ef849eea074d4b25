//! What is wrong with a ticket's file.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::wording;
use crate::id::{NameError, TicketId};

/// Something that is wrong with a file of the folder, and where. `Display` is safe on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the folder.
    pub path: PathBuf,
    /// The line, counted from 1, where it lies in one.
    pub line: Option<usize>,
    /// What is wrong.
    pub why: Why,
}

/// Tickets of which each waits for the next, and the last for the first. It begins with the smallest id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cycle(pub(super) Vec<TicketId>);

/// How many tickets of a cycle are shown.
const CYCLE_SHOWN: usize = 20;

impl Cycle {
    /// The tickets, each once.
    pub fn tickets(&self) -> &[TicketId] {
        &self.0
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.0.iter().take(CYCLE_SHOWN) {
            write!(f, "{} → ", id.as_str())?;
        }
        if let Some(more) = self.0.len().checked_sub(CYCLE_SHOWN).filter(|more| *more > 0) {
            write!(f, "({more} more) → ")?;
        }
        f.write_str(self.0.first().map_or("", TicketId::as_str))
    }
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The file's name, without `.md`, cannot be an id.
    #[error("the file's name is not the id of a ticket: {0}")]
    Name(NameError),
    /// The file's name is not text.
    #[error("the file's name is not UTF-8, so it is not the id of a ticket")]
    NameNotText,
    /// A folder has the name of a ticket.
    #[error("this is a folder, not a ticket")]
    Folder,
    /// A symbolic link has the name of a ticket.
    #[error("this is a symbolic link; links are not followed in a ticket folder")]
    SymbolicLink,
    /// The file is too large to be a ticket.
    #[error("the file is larger than {0} bytes, which no ticket is")]
    TooLarge(u64),
    /// The system refused to read it, or it is not a file.
    #[error("it could not be read: {0}")]
    Unreadable(String),
    /// The folder holds more files than are looked at.
    #[error("there are more than {0} files here: the others are not looked at")]
    TooMany(usize),
    /// Two files stand for the same ticket.
    #[error("ticket {id} is also in {}", wording::path(other))]
    Duplicate {
        /// The id that both have.
        id: TicketId,
        /// The other file.
        other: PathBuf,
    },
    /// The content is not text.
    #[error("the text is not UTF-8 here")]
    NotText,
    /// The file does not start with front matter.
    #[error("there is no front matter: `---`, then lines such as `status: open`, then `---`")]
    NoFrontMatter,
    /// The front matter has no end.
    #[error("the front matter that starts here is never closed with `---`")]
    OpenFrontMatter,
    /// A field is not there, or empty.
    #[error("the front matter has no `{0}`")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("the front matter has `{0}` a second time; the last one counts")]
    Repeated(&'static str),
    /// The front matter's id cannot be one.
    #[error("{0}")]
    Id(NameError),
    /// The front matter and the file's name disagree; the name counts.
    #[error("the id here is {declared}, but the file's name says {named}, which counts")]
    OtherId {
        /// What the front matter says.
        declared: TicketId,
        /// What the file's name says.
        named: TicketId,
    },
    /// YAML refuses a field, for the reason given, escaped.
    #[error("`{key}` is not YAML ({why}), so its line is read as `tk` reads it")]
    NotYaml {
        /// The field.
        key: &'static str,
        /// What the parser said, escaped.
        why: String,
    },
    /// A field that is one text is a list, or keys and values.
    #[error("`{0}` is not one text, so it does not count")]
    NotAText(&'static str),
    /// A list holds something else than texts.
    #[error("`{0}` holds something that is not a text, or cannot be read to its end")]
    NotATextInList(&'static str),
    /// A field refers to what cannot be a ticket.
    #[error("in `{key}`: {error}")]
    Reference {
        /// The field.
        key: &'static str,
        /// Why it cannot be an id.
        error: NameError,
    },
    /// The priority is none.
    #[error("the priority is \"{text}\", which is none of 0 to 4; it counts as {counts}")]
    Priority {
        /// What is there, escaped.
        text: String,
        /// The priority that the ticket has instead.
        counts: u8,
    },
    /// The time of writing, escaped, is none.
    #[error("`created` is \"{0}\", which is no time such as 2026-03-02T09:14:07Z")]
    Created(String),
    /// A dep that no ticket is.
    #[error("it depends on {0}, which no ticket here is")]
    MissingDep(TicketId),
    /// Tickets that wait for each other.
    #[error("these wait for each other: {0}")]
    Cycle(Cycle),
    /// The status, escaped, is none that `tk` knows.
    #[error("the status is \"{0}\", which is none of open, in_progress and closed")]
    Status(String),
}

impl Problem {
    pub(super) fn of(path: &Path, why: Why) -> Self {
        Self { path: path.to_owned(), line: None, why }
    }

    pub(super) fn at(path: &Path, line: usize, why: Why) -> Self {
        Self { path: path.to_owned(), line: Some(line), why }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wording::path(&self.path))?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for Problem {}
