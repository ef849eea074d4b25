//! A file in conflict, and what changed it on the other side.

use std::path::PathBuf;

use serde::Serialize;

use crate::git::CommitId;
use crate::id::{Lane, TicketId};

/// A file in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflicted {
    /// The file, relative to the repository's top.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// What changed it last on the target; `None` where that is not known.
    pub other_side: Option<OtherSide>,
}

/// What changed a file last on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherSide {
    /// The ticket whose work it is, where it is known to be one's.
    pub ticket_id: Option<TicketId>,
    /// Its lane.
    pub lane: Option<Lane>,
    /// The branch that was merged, as the commit names it.
    pub branch: Option<String>,
    /// The target's commit.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
}

fn lossy<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// In a few words, for a message.
impl std::fmt::Display for OtherSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.lane, &self.ticket_id, &self.branch) {
            (Some(lane), ..) => write!(f, "{lane}"),
            (None, Some(ticket), _) => write!(f, "{ticket}"),
            (None, None, Some(branch)) => write!(f, "the branch {}", branch.escape_debug()),
            (None, None, None) => write!(f, "{} {:?}", self.commit.short(), self.subject),
        }
    }
}
