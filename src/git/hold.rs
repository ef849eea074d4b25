//! Holding a worktree for a session.
//!
//! The lock is git's own (`git worktree lock`): it keeps `prune`, `worktree remove --force` and `branch -D` away
//! from a session's work. Only a lock that ralph took is ever replaced or removed. ralph's own come into place with
//! their reason in them, so that an empty one is the user's: `git worktree lock` without a reason leaves such a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::registry::{self, LOCK_FILE, read_pointer};
use super::{GitError, Worktree};
use crate::durable::{self, Made};
use crate::failpoint;
use crate::id::{Lane, SessionId};

/// What every reason of ralph's begins with.
const OURS: &str = "ralph ";

/// Why the worktree of a live session is locked.
pub fn held_by_session(session: SessionId) -> String {
    format!("{OURS}{session}")
}

/// Why a worktree is locked that is created without a session.
pub fn held_by_creation(lane: &Lane) -> String {
    format!("{OURS}creates {lane}")
}

/// Who locked a worktree, by the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A session.
    Session(SessionId),
    /// A command that creates the lane.
    Creation(Lane),
    /// A version of ralph that gives other reasons.
    Unknown,
}

/// What came of locking a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockOutcome {
    /// It is locked for the reason given.
    Locked,
    /// The user had locked it, for this reason, and it stays so.
    TheUsers(String),
}

/// Whether a lock with this reason is one that ralph took.
pub(super) fn is_ours(reason: &str) -> bool {
    reason.starts_with(OURS)
}

/// Locks a worktree for `reason` (`ralph <session>`), in place of an earlier session's lock.
pub fn lock(worktree: &Worktree, reason: &str) -> Result<LockOutcome, GitError> {
    let file = worktree.admin_dir.join(LOCK_FILE);
    let text = format!("{reason}\n");
    if durable::write_new(&file, text.as_bytes())? == Made::New {
        return Ok(LockOutcome::Locked);
    }
    match reason_in(&file)? {
        Some(theirs) if !is_ours(&theirs) => Ok(LockOutcome::TheUsers(theirs)),
        _ => {
            durable::write(&file, text.as_bytes())?;
            Ok(LockOutcome::Locked)
        }
    }
}

/// Unlocks the worktree with this administrative directory if it is locked for `reason`; any other lock stays.
pub fn unlock_if(admin_dir: &Path, reason: &str) -> Result<(), GitError> {
    let file = admin_dir.join(LOCK_FILE);
    if reason_in(&file)?.as_deref() != Some(reason) {
        return Ok(());
    }
    match fs::remove_file(&file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(GitError::io("unlock the worktree with", &file, e))
        }
        _ => {
            failpoint::hit("hold.unlocked");
            Ok(())
        }
    }
}

/// Unlocks whichever worktree is locked for `reason`.
pub fn unlock_for(common: &Path, reason: &str) -> Result<(), GitError> {
    for hold in holds(common)?.iter().filter(|hold| hold.reason == reason) {
        unlock_if(&hold.admin_dir, reason)?;
    }
    Ok(())
}

/// A worktree that ralph has locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its administrative directory.
    pub admin_dir: PathBuf,
    /// Why.
    pub reason: String,
}

impl Hold {
    /// Who locked it.
    pub fn holder(&self) -> Holder {
        let text = self.reason.strip_prefix(OURS).unwrap_or_default();
        if let Ok(session) = text.parse() {
            return Holder::Session(session);
        }
        let lane = text.strip_prefix("creates ").and_then(|lane| lane.parse().ok());
        lane.map_or(Holder::Unknown, Holder::Creation)
    }
}

/// Every worktree that ralph has locked.
pub fn holds(common: &Path) -> Result<Vec<Hold>, GitError> {
    let held = registry::entries(common)?.into_iter().filter_map(|entry| {
        let reason = entry.locked.filter(|reason| reason.starts_with(OURS))?;
        Some(Hold { admin_dir: entry.admin, reason })
    });
    Ok(held.collect())
}

fn reason_in(file: &Path) -> Result<Option<String>, GitError> {
    Ok(read_pointer(file)?.map(|text| text.to_string_lossy().into_owned()))
}
