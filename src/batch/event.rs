//! What happens in a batch, one entry each: the lines of its journal and of `batch --json`, version 1.
//!
//! Variants and fields are only ever added. Who only looks on passes over an event that it does not know; who takes a
//! batch up refuses its journal then (`journal`), since what is next could hang on it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{BranchName, Lane, NameError, RefName, SessionId, TicketId};
use crate::session::manifest::{Outcome, Usage, Work};

/// A longer way from a ticket back to itself is shortened for people.
const LONGEST_PATH: usize = 10;

/// The version of this format.
pub const EVENTS_VERSION: u32 = 1;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Entry {
    /// When.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The batch begins with these items. Nothing has been started.
    Begun {
        /// The version of this format: 1.
        schema_version: u32,
        /// The batch.
        batch_id: BatchId,
        /// What the same command comes to again, so that it takes up this batch.
        key: String,
        /// What was typed after `ralph`; what looks like a secret is `***`.
        command: Vec<String>,
        /// How many sessions run at the same time, at most.
        jobs: usize,
        /// What items without a base of their own start from and are merged into, however often the batch is taken up.
        #[serde(default)]
        base: Option<RefName>,
        /// What is to be worked on, in the order in which slots are given out.
        items: Vec<ItemRecord>,
    },
    /// A batch that was killed or interrupted is taken up again.
    Resumed,
    /// One more item, found while the batch runs.
    Added {
        /// The item.
        item: Box<ItemRecord>,
    },
    /// A session of this id is about to be begun.
    Starting {
        /// The item.
        lane: Lane,
        /// The session.
        session_id: SessionId,
        /// 1 for the item's first session in this batch, then one more for each.
        attempt: u32,
        /// The model that was chosen for this attempt, where one was.
        model: Option<String>,
    },
    /// The session's agent runs.
    Launched {
        /// The item.
        lane: Lane,
        /// The session.
        session_id: SessionId,
        /// The lane's branch.
        branch: BranchName,
        /// Its worktree.
        worktree: String,
        /// The commit that the lane's work is counted from.
        base_commit: String,
        /// The agent's process.
        pid: Option<i32>,
    },
    /// The session could not be begun, or its agent not started.
    NotLaunched {
        /// The item.
        lane: Lane,
        /// The session.
        session_id: SessionId,
        /// Why.
        reason: String,
        /// What to do next, where that is known.
        #[serde(default)]
        hint: Option<String>,
    },
    /// The session was announced and never begun; the item waits again.
    Withdrawn {
        /// The item.
        lane: Lane,
        /// The session.
        session_id: SessionId,
    },
    /// The session has ended.
    Ended {
        /// The item.
        lane: Lane,
        /// The session.
        session_id: SessionId,
        /// When, from its manifest: before this entry, where no one ran the batch then.
        #[serde(default)]
        #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
        ended_at: Option<Timestamp>,
        /// How, from its manifest.
        outcome: Outcome,
        /// Why, from its manifest.
        reason: Option<String>,
        /// What it left.
        work: Option<Box<Work>>,
        /// What it used.
        usage: Option<Box<Usage>>,
        /// What is next for the item.
        next: Next,
    },
    /// The item's work is being merged.
    Merging {
        /// The item.
        lane: Lane,
    },
    /// The item's work has landed.
    Merged {
        /// The item.
        lane: Lane,
        /// The branch that has it now.
        into: String,
        /// The commit that the branch is at.
        commit: String,
    },
    /// The item's work could not be merged; it stays on its branch, in its worktree.
    NotMerged {
        /// The item.
        lane: Lane,
        /// Why.
        reason: String,
        /// The files in conflict or in the way.
        #[serde(default)]
        files: Vec<String>,
        /// What to do next, where that is known.
        #[serde(default)]
        hint: Option<String>,
    },
    /// The item's ticket was closed on the branch that has its work.
    Closed {
        /// The item.
        lane: Lane,
    },
    /// The item is not worked on.
    Skipped {
        /// The item.
        lane: Lane,
        /// Why.
        why: Skip,
    },
    /// Something worth knowing that changes nothing.
    Warning {
        /// The lanes that it is about; not all of them need be items.
        lanes: Vec<Lane>,
        /// What.
        text: String,
    },
    /// No session is started for a while.
    Slowed {
        /// Why.
        why: Slow,
        /// For how long, in seconds.
        seconds: f64,
    },
    /// Nothing is started any more.
    Halted {
        /// Why.
        why: Halt,
    },
    /// Every item has its last word.
    Finished,
}

/// Something to work on: a ticket, on a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ItemRecord {
    /// The lane.
    pub lane: Lane,
    /// The ticket.
    pub ticket_id: TicketId,
    /// The base that was named with it.
    pub base: Option<RefName>,
    /// The ticket's title.
    pub title: Option<String>,
    /// How soon it should be worked on: 0 before 4.
    pub priority: u8,
    /// The tickets that must be done before.
    pub deps: Vec<Dep>,
    /// The components that it touches: items that share one never run together.
    pub components: BTreeSet<String>,
}

/// A ticket that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Dep {
    /// The ticket.
    pub ticket_id: TicketId,
    /// How it stood when the item was made.
    pub standing: Standing,
}

/// How a ticket stands outside the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is open.
    Open,
    /// It is open, and a session has finished it on its branch.
    OnItsBranch,
    /// It is closed.
    Closed,
    /// There is no such ticket.
    Missing,
}

/// What is next for an item whose session has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Next {
    /// Nothing: that was its last word.
    Nothing,
    /// Nothing: it had no more to do, and what earlier sessions committed stands.
    Stands,
    /// Its work is merged.
    Merge,
    /// Another session, after a while.
    Retry {
        /// For how long, in seconds.
        after_s: f64,
    },
    /// Another session, once the batch is taken up again.
    Resume,
}

/// Why an item is not worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Skip {
    /// A ticket that it needs did not come to a good end in this batch.
    DepFailed {
        /// That ticket.
        ticket_id: TicketId,
    },
    /// A ticket that it needs would be done on its own branch only.
    DepNotMerged {
        /// That ticket.
        ticket_id: TicketId,
    },
    /// A ticket that it needs is open, and no part of the batch.
    DepOpen {
        /// That ticket.
        ticket_id: TicketId,
    },
    /// A ticket that it needs does not exist.
    DepMissing {
        /// That ticket.
        ticket_id: TicketId,
    },
    /// The work of a ticket that it needs, from which it is to start, cannot be looked up.
    DepUnreadable {
        /// That ticket.
        ticket_id: TicketId,
        /// Why.
        reason: String,
    },
    /// It needs itself.
    Cycle {
        /// From the ticket by what it needs back to it; empty where there are too many for each to be looked for.
        path: Vec<TicketId>,
    },
    /// Its ticket was closed before it was started.
    Closed,
    /// Its ticket's file went away before it was started.
    Gone,
    /// Its ticket cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// A session that is not the batch's works on it.
    Busy {
        /// That session, where it is known.
        session_id: Option<SessionId>,
    },
    /// A session that is not the batch's has finished it meanwhile.
    Done {
        /// That session.
        session_id: SessionId,
    },
    /// The works of the tickets that it needs do not go together.
    DepsConflict {
        /// The files.
        files: Vec<String>,
    },
    /// The batch was halted before it was started.
    Halted {
        /// Why.
        why: Halt,
    },
}

/// Why nothing is started for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Slow {
    /// The provider limits the rate of requests.
    RateLimits,
    /// Memory is short.
    Memory,
}

/// Why nothing is started any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// Someone interrupted the batch; its sessions are ended.
    Interrupted,
    /// Someone interrupted the batch, or its terminal has gone; its sessions go on.
    Detached,
    /// The batch has cost as much as it may; its sessions are ended.
    CostUsedUp,
    /// The batch has used as many tokens as it may; its sessions are ended.
    TokensUsedUp,
    /// As many tickets were worked on as may be.
    EnoughTickets,
    /// A session could not be begun for want of room on a disk; those that run go on.
    DiskFull,
}

impl Halt {
    /// Whether what was not done is done when the batch is taken up again.
    pub fn is_for_now(self) -> bool {
        matches!(self, Self::Interrupted | Self::Detached | Self::DiskFull)
    }

    /// Whether the sessions that run are ended.
    pub fn ends_sessions(self) -> bool {
        !matches!(self, Self::Detached | Self::DiskFull)
    }
}

impl Event {
    /// The item that it is about, where it is about one.
    pub fn lane(&self) -> Option<&Lane> {
        match self {
            Self::Starting { lane, .. }
            | Self::Launched { lane, .. }
            | Self::NotLaunched { lane, .. }
            | Self::Withdrawn { lane, .. }
            | Self::Ended { lane, .. }
            | Self::Merging { lane }
            | Self::Merged { lane, .. }
            | Self::NotMerged { lane, .. }
            | Self::Closed { lane }
            | Self::Skipped { lane, .. } => Some(lane),
            Self::Added { item } => Some(&item.lane),
            Self::Begun { .. }
            | Self::Resumed
            | Self::Warning { .. }
            | Self::Slowed { .. }
            | Self::Halted { .. }
            | Self::Finished => None,
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DepFailed { ticket_id } => write!(f, "needs {ticket_id}, which did not come to a good end"),
            Self::DepNotMerged { ticket_id } => {
                write!(
                    f,
                    "needs {ticket_id}, whose work would be on its own branch only (see --merge, --stack)"
                )
            }
            Self::DepOpen { ticket_id } => {
                write!(f, "needs {ticket_id}, which is open and no part of this batch")
            }
            Self::DepMissing { ticket_id } => write!(f, "needs {ticket_id}, and there is no such ticket"),
            Self::DepUnreadable { ticket_id, reason } => {
                write!(f, "needs {ticket_id}, whose work cannot be looked up: {reason}")
            }
            Self::Cycle { path } if path.is_empty() => f.write_str("needs itself, as many others here do"),
            Self::Cycle { path } => {
                f.write_str("needs itself: ")?;
                let shown = if path.len() > LONGEST_PATH { LONGEST_PATH - 2 } else { path.len() };
                for (at, ticket) in path.iter().take(shown).enumerate() {
                    write!(f, "{}{ticket}", if at == 0 { "" } else { " → " })?;
                }
                match path.last() {
                    Some(last) if shown < path.len() => {
                        write!(f, " → ({} more) → {last}", path.len() - shown - 1)
                    }
                    Some(_) | None => Ok(()),
                }
            }
            Self::Closed => f.write_str("its ticket is closed"),
            Self::Gone => f.write_str("its ticket's file has gone"),
            Self::Unreadable { reason } => write!(f, "its ticket cannot be read: {reason}"),
            Self::Busy { session_id: Some(id) } => {
                write!(f, "session {id}, which is not this batch's, works on it")
            }
            Self::Busy { session_id: None } => f.write_str("another ralph command works on it"),
            Self::Done { session_id } => {
                write!(f, "session {session_id}, which is not this batch's, has finished it meanwhile")
            }
            Self::DepsConflict { files } => {
                write!(f, "the works of the tickets that it needs conflict in {}", files.join(", "))
            }
            Self::Halted { why } => write!(f, "not started: {why}"),
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::Detached => "interrupted; the sessions go on",
            Self::CostUsedUp => "the batch has cost as much as it may (--max-cost)",
            Self::TokensUsedUp => "the batch has used as many tokens as it may (--max-tokens)",
            Self::EnoughTickets => {
                "as many tickets were worked on as may be (--max-tickets, or maxIterations)"
            }
            Self::DiskFull => "a disk is full",
        })
    }
}

/// The id of a batch, a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId(SessionId);

impl BatchId {
    /// A new id.
    pub fn generate() -> Self {
        Self(SessionId::generate())
    }
}

impl FromStr for BatchId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for BatchId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<BatchId> for String {
    fn from(id: BatchId) -> Self {
        id.to_string()
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for BatchId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BatchId".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SessionId::json_schema(generator)
    }
}

/// The JSON Schema of an entry, made from the types above: what docs/batch-events.schema.json is held to.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::SchemaGenerator::default().into_root_schema_for::<Entry>();
    schema.insert("title".into(), "an event of a ralph batch, version 1".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_from_a_ticket_back_to_itself_is_shortened() {
        let cycle = |tickets: usize| {
            let path = (0..tickets).chain([0]).map(|number| format!("t{number}").parse().unwrap()).collect();
            Skip::Cycle { path }.to_string()
        };
        assert_eq!(cycle(1), "needs itself: t0 → t0");
        let whole = "needs itself: t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → t8 → t0";
        assert_eq!(cycle(9), whole);
        assert_eq!(cycle(300), "needs itself: t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → (292 more) → t0");
    }
}
