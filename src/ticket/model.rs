//! One unit of work, as its file describes it: values only, parsed and safe to show.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::id::TicketId;

/// One unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub(super) id: TicketId,
    pub(super) path: PathBuf,
    pub(super) declared: Declared,
    pub(super) title: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) deps: Vec<Dep>,
    /// The line that the deps begin at, which is where a dep is complained about.
    pub(super) deps_line: Option<usize>,
    pub(super) links: Vec<TicketId>,
    pub(super) parent: Option<TicketId>,
    pub(super) kind: Option<String>,
    pub(super) priority: Priority,
    pub(super) assignee: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) created: Option<Timestamp>,
}

/// What the front matter says about the ticket's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Declared {
    /// Nothing: `tk` does not see the ticket.
    Nothing,
    /// This, on this line.
    Id(usize, TicketId),
    /// Something that is no id.
    Unusable,
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

/// How urgent a ticket is: 0 is the most, 4 the least, 2 what a ticket has that does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

/// What a ticket waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dep {
    /// Another ticket.
    Ticket(TicketId),
    /// What cannot be the id of one, escaped: nothing will ever close it.
    Unusable(String),
}

impl Status {
    /// The status that a ticket's file writes as `word`.
    pub(super) fn named(word: &str) -> Option<Self> {
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

    /// Whether there is work left.
    pub fn is_active(self) -> bool {
        self != Self::Closed
    }
}

impl Priority {
    /// The least urgent.
    pub const LOWEST: Self = Self(4);

    /// The priority nearest to `number`.
    pub(super) fn nearest(number: i64) -> Self {
        Self(u8::try_from(number.clamp(0, 4)).unwrap_or(4))
    }

    /// 0 to 4.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(2)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.0)
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

    /// What must be closed before it, in the order of the file, each once.
    pub fn deps(&self) -> &[Dep] {
        &self.deps
    }

    /// The tickets it is related to.
    pub fn links(&self) -> &[TicketId] {
        &self.links
    }

    /// The ticket it is a part of.
    pub fn parent(&self) -> Option<&TicketId> {
        self.parent.as_ref()
    }

    /// Its type, such as `bug` or `task`.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// How urgent it is.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Who is to do it.
    pub fn assignee(&self) -> Option<&str> {
        self.assignee.as_deref()
    }

    /// Its tags, such as `component:cart`.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// When it was written.
    pub fn created(&self) -> Option<Timestamp> {
        self.created
    }

    /// The id in the front matter, with its line, where it is another one than the file's name says.
    pub(super) fn other_id(&self) -> Option<(usize, &TicketId)> {
        match &self.declared {
            Declared::Id(line, id) if *id != self.id => Some((*line, id)),
            _ => None,
        }
    }
}
