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
