//! Why the store's records could not be read or written, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::durable::{FileError, is_passing};

/// An operation on the store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read, written or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// A directory could not be listed.
    #[error("could not list {}: {source}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record's content is not what it should be.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// Which record it is.
        record: Record,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A record was written by a newer version, which this one must not overwrite.
    #[error("{} was written by a newer ralph (version {version} of the format)", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        version: u64,
    },
    /// Two lanes have the same folder, or the folder was tampered with.
    #[error("{} belongs to lane {found}, not to {wanted}", path.display())]
    OtherLane {
        /// The lane's folder.
        path: PathBuf,
        /// The lane it records.
        found: String,
        /// The lane that was asked for.
        wanted: String,
    },
    /// A record could not be put into JSON.
    #[error("could not encode {what}: {source}")]
    Encode {
        /// The record.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A step that the session cannot take.
    #[error(transparent)]
    Step(#[from] super::state::IllegalStep),
}

/// A kind of record: what can be done about a damaged one differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A lane's.
    Lane,
    /// A session's manifest.
    Manifest,
    /// What was to be launched in a session.
    Launch,
    /// A session's entry among the living.
    Running,
    /// A session's lock.
    Lock,
    /// The request that a session end.
    StopRequest,
    /// A merge's entry in the queue.
    Merge,
    /// A removal's.
    Removal,
}

impl Record {
    /// What to do about a damaged one; the message before it names the file.
    fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Lane => Some(
                "move it away and dispatch the ticket again, with the --base and --branch that it had: its branch and \
                 worktree are found by name",
            ),
            Self::Manifest => Some("`ralph worktree recover` makes that of a lane's last session good"),
            Self::Launch => Some("dispatch the ticket again: each session has a launch record of its own"),
            Self::Running => Some("`ralph worktree recover` settles its session"),
            Self::Merge => Some(
                "see with `git status` that the checkouts of the branch are as they should be, then move it away: \
                 that merge is not looked at again",
            ),
            Self::Removal => Some(
                "what was removed is in the folder of that name in `.trash`, below the one for worktrees, and below \
                 refs/ralph/trash: take out what you need",
            ),
            Self::Lock | Self::StopRequest => None,
        }
    }
}

impl StoreError {
    /// The message, and what to do about it, in one line.
    pub fn with_hint(&self) -> String {
        let hint = self.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{self}{hint}")
    }

    /// Whether the system was only short of something: of descriptors, or of memory.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::File(error) => error.is_passing(),
            Self::List { source, .. } => is_passing(source),
            Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::OtherLane { .. }
            | Self::Encode { .. }
            | Self::Step(_) => false,
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Damaged { record, .. } => record.remedy(),
            Self::Newer { .. } => Some("use the newer ralph"),
            Self::File(error) => error.hint(),
            Self::List { .. } | Self::OtherLane { .. } | Self::Encode { .. } | Self::Step(_) => None,
        }
    }
}
