//! Why a dispatch did not come to a running session.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::agent::AgentError;
use crate::durable;
use crate::git::GitError;
use crate::id::{SessionId, TicketId};
use crate::launch::LaunchError;
use crate::session::choose::unambiguous_name;
use crate::session::lane::LaneRecord;
use crate::session::manifest::Manifest;
use crate::session::store::StoreError;

/// A dispatch, or a part of one, that failed.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The repository or the worktree did not allow it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] crate::durable::FileError),
    /// The lane is busy.
    #[error("{lane} is already running, session {session}")]
    Busy {
        /// The lane.
        lane: String,
        /// Its session.
        session: SessionId,
    },
    /// Another command has the lane, and has not begun a session.
    #[error("{lane} is being worked on by another ralph command")]
    Contended {
        /// The lane.
        lane: String,
    },
    /// The ticket has several lanes.
    #[error("{ticket} has several lanes: {}", names(lanes))]
    SeveralLanes {
        /// The ticket.
        ticket: TicketId,
        /// Its lanes.
        lanes: Vec<LaneRecord>,
    },
    /// The lane's last session was not settled.
    #[error("{lane}'s session {session} has no supervisor and has not been settled")]
    Unsettled {
        /// The lane.
        lane: String,
        /// Its session.
        session: SessionId,
    },
    /// The lane's last session was begun on another machine, and no one recorded its end.
    #[error("{lane}'s session {session} runs on {host}, as far as can be told from here")]
    Elsewhere {
        /// The lane.
        lane: String,
        /// Its session.
        session: SessionId,
        /// The machine.
        host: String,
    },
    /// Another branch was asked for than the lane has.
    #[error("{lane} works on branch {has}, not on {asked}")]
    OtherBranch {
        /// The lane.
        lane: String,
        /// Its branch.
        has: String,
        /// The branch that was asked for.
        asked: String,
    },
    /// The command line for the agent could not be made.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The agent cannot be started.
    #[error(transparent)]
    NotReady(#[from] super::preflight::NotReady),
    /// The agent was not launched; a manifest says so.
    #[error("{}", reason(manifest))]
    NotLaunched {
        /// The session, which has ended.
        manifest: Box<Manifest>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The supervisor could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A path cannot be written down.
    #[error("the path {} is not UTF-8, and a manifest could not record it", .0.display())]
    NotUtf8(PathBuf),
    /// The branch has something else where tickets belong.
    #[error("could not copy the ticket's file into {}: that is no folder, and links are not followed there", path.display())]
    TicketFolder {
        /// The worktree's `.tickets`.
        path: PathBuf,
    },
    /// The ticket's file could not be brought into the worktree.
    #[error("could not copy the ticket's file {}: {source}", path.display())]
    TicketFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DispatchError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Git(error) => return error.hint(),
            Self::Store(error) => return error.hint().map(str::to_owned),
            Self::File(error) => return error.hint().map(str::to_owned),
            Self::Launch(error) => return error.hint().map(str::to_owned),
            Self::NotReady(error) => return error.hint.clone(),
            Self::NotLaunched { hint, .. } => return hint.clone(),
            Self::Agent(error) => error.hint(),
            Self::Busy { lane, .. } => {
                format!("follow it: ralph worktree logs -f {lane}; end it: ralph worktree stop {lane}")
            }
            Self::Contended { .. } => "try again in a moment".to_owned(),
            Self::SeveralLanes { .. } => "name one of them".to_owned(),
            Self::Unsettled { .. } => "settle it: ralph worktree recover".to_owned(),
            Self::Elsewhere { host, .. } => {
                format!("wait for it, stop it or settle it there: ralph worktree recover on {host}")
            }
            Self::OtherBranch { lane, .. } => {
                format!("leave --branch out, or remove the lane first: ralph worktree remove {lane}")
            }
            Self::NotUtf8(_) => "rename the folder, or set worktree-root".to_owned(),
            Self::TicketFile { .. } => {
                "see that the worktree can be written to, or leave the file out: --no-ticket".to_owned()
            }
            Self::TicketFolder { .. } => {
                "put that right on the branch, or commit the ticket's file to it".to_owned()
            }
        })
    }

    /// Whether it failed for want of room on a disk.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        // git and libgit2 have words only.
        durable::says_full(&self.to_string())
    }
}

fn names(lanes: &[LaneRecord]) -> String {
    lanes.iter().map(unambiguous_name).collect::<Vec<_>>().join(", ")
}

fn reason(manifest: &Manifest) -> String {
    manifest.reason.clone().unwrap_or_else(|| "the agent was not launched".to_owned())
}
