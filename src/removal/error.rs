//! Why something was not removed, brought back or expired.

use crate::durable::FileError;
use crate::git::{ErrorClass, GitError};
use crate::id::{Lane, SessionId, TicketId};
use crate::session::choose::unambiguous_name;
use crate::session::lane::LaneRecord;
use crate::session::store::StoreError;

use super::Reason;

/// A removal, a comeback or an expiry that failed or was refused. Messages hold no raw control character.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The repository or the worktree did not allow it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such lane.
    #[error("there is no worktree for {lane}")]
    NoSuchLane {
        /// The lane.
        lane: Lane,
    },
    /// Nothing of that name is in the trash.
    #[error("there is nothing of {lane} in the trash")]
    NotInTrash {
        /// The lane.
        lane: Lane,
    },
    /// The ticket has several lanes.
    #[error("{ticket} has {} lanes: {}", lanes.len(), names(lanes))]
    SeveralLanes {
        /// The ticket.
        ticket: TicketId,
        /// Its lanes.
        lanes: Vec<LaneRecord>,
    },
    /// The lane's session is running.
    #[error("{lane} is running, session {session}")]
    Running {
        /// The lane.
        lane: Lane,
        /// Its session.
        session: SessionId,
    },
    /// Another command has the lane.
    #[error("{lane} is being worked on by another ralph command")]
    Contended {
        /// The lane.
        lane: Lane,
    },
    /// The lane may not go.
    #[error("{lane} was not removed: {}", said(reasons))]
    Refused {
        /// The lane.
        lane: Lane,
        /// Why not: at least one reason.
        reasons: Vec<Reason>,
    },
    /// The lane exists again.
    #[error("{lane} was not restored: it has a worktree again, at {worktree:?}")]
    LaneExists {
        /// The lane.
        lane: Lane,
        /// Its worktree.
        worktree: String,
    },
    /// What had expired is needed again.
    #[error("{why}")]
    NotExpired {
        /// Why.
        why: &'static str,
    },
    /// A removal failed half-way, and could not be taken back either.
    #[error("{lane} is half in the trash: {error}; and the way back failed: {undo}")]
    HalfDone {
        /// The lane.
        lane: Lane,
        /// Why it did not go on.
        error: Box<RemovalError>,
        /// Why it did not go back.
        undo: Box<RemovalError>,
    },
}

fn names(lanes: &[LaneRecord]) -> String {
    lanes.iter().map(unambiguous_name).collect::<Vec<_>>().join(", ")
}

fn said(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl RemovalError {
    /// What this failure means for the exit status.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Git(error) => error.class(),
            Self::Store(_) | Self::File(_) | Self::HalfDone { .. } => ErrorClass::Failed,
            Self::NoSuchLane { .. } | Self::NotInTrash { .. } => ErrorClass::NotFound,
            Self::SeveralLanes { .. } => ErrorClass::Usage,
            Self::Running { .. }
            | Self::Contended { .. }
            | Self::Refused { .. }
            | Self::LaneExists { .. }
            | Self::NotExpired { .. } => ErrorClass::Refused,
        }
    }

    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Git(error) => return error.hint(),
            Self::Store(error) => return error.hint().map(str::to_owned),
            Self::File(error) => return error.hint().map(str::to_owned),
            Self::NotExpired { .. } => return None,
            Self::NoSuchLane { .. } => "`ralph worktree list` shows the worktrees".to_owned(),
            Self::NotInTrash { .. } => {
                "`ralph worktree gc --older-than 0s` lists what is in the trash".to_owned()
            }
            Self::SeveralLanes { .. } => "name the one that is meant".to_owned(),
            Self::Running { lane, .. } => format!("stop it first: `ralph worktree stop {lane}`"),
            Self::Contended { .. } => "try again in a moment".to_owned(),
            Self::Refused { lane, reasons } => reasons.first().map(|reason| way_out(lane, reason))?,
            Self::LaneExists { lane, .. } => {
                format!("remove that first: `ralph worktree remove {lane}`; what is in the trash stays there")
            }
            Self::HalfDone { lane, .. } => format!(
                "nothing is lost: once the cause is gone, `ralph worktree restore {lane}` brings it back and \
                 `ralph worktree remove {lane}` finishes"
            ),
        })
    }
}

fn way_out(lane: &Lane, reason: &Reason) -> String {
    match reason {
        Reason::Running(_) => format!("stop it first: `ralph worktree stop {lane}`"),
        Reason::Unsettled(_) => "settle it first: `ralph worktree recover`".to_owned(),
        Reason::Unclear(..) => "`ralph worktree inspect` shows what is on record".to_owned(),
        Reason::Locked(_) => "`git worktree unlock` opens it, if that reason no longer holds".to_owned(),
        Reason::Occupied(_) => "end these processes, or let them leave the folder".to_owned(),
        Reason::Unsaved(_) => format!(
            "commit what should stay, or move it to the trash too: `ralph worktree remove {lane} --with-unsaved` \
             (`ralph worktree restore {lane}` brings it back)"
        ),
    }
}
