//! Holding a worktree for a session, and letting go of a registration whose folder is gone.
//!
//! The lock is git's own (`git worktree lock`): it keeps `prune`, `worktree remove --force` and `branch -D` away
//! from a session's work. Only a lock that ralph took is ever replaced or removed. ralph's own come into place with
//! their reason in them, so that an empty one is the user's: `git worktree lock` without a reason leaves such a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::keep::keep_registration;
use super::refs::there;
use super::registry::{self, LOCK_FILE, read_pointer};
use super::repo::{Repo, RepoLock};
use super::worktree::is_empty;
use super::{GitError, Missing, Worktree};
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

/// A registration that was taken out of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// Where it is now.
    pub kept: PathBuf,
    /// The reference to what only it led to, where there was anything.
    pub pin: Option<String>,
}

/// Takes the registration of a worktree whose folder is gone out of the registry, into the folder `into`, where its
/// index and HEAD stay; what only they lead to is pinned before, by that folder's name. No other registration is touched.
pub fn forget_missing(
    repo: &Repo,
    lock: &RepoLock,
    missing: &Missing,
    into: &Path,
    now: Timestamp,
) -> Result<Forgotten, GitError> {
    let admin = registry::folder(repo.common_dir()).join(&missing.id);
    let Some(entry) = registry::entry(&admin, missing.id.clone())? else {
        let what = "its registration is gone too".to_owned();
        return Err(GitError::ChangedMeanwhile { path: missing.path.clone(), what });
    };
    if there(&entry.tree)? && !is_empty(&entry.tree)? {
        return Err(GitError::TreeNotGone { path: entry.tree });
    }
    // A folder on a disk that is not mounted now is locked like this.
    if let Some(reason) = entry.locked.filter(|reason| !is_ours(reason)) {
        return Err(GitError::LockedByUser { path: entry.tree, reason });
    }
    let name = into.file_name().unwrap_or_default().to_string_lossy();
    let pin = keep_registration(repo, lock, &admin, &name, now)?;
    let kept = into.join(&missing.id);
    match fs::rename(&admin, &kept) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            copy_folder(&admin, &kept)?;
            fs::remove_dir_all(&admin).map_err(|e| GitError::io("remove the registration", &admin, e))?;
        }
        other => other.map_err(|e| GitError::io("move the registration aside to", &kept, e))?,
    }
    durable::sync_dir(into)?;
    Ok(Forgotten { kept, pin })
}

/// Copies files and folders, durably; a registration holds nothing else.
fn copy_folder(from: &Path, to: &Path) -> Result<(), GitError> {
    fs::create_dir(to).map_err(|e| GitError::io("create", to, e))?;
    for item in fs::read_dir(from).map_err(|e| GitError::io("list", from, e))? {
        let item = item.map_err(|e| GitError::io("list", from, e))?;
        let (source, target) = (item.path(), to.join(item.file_name()));
        let kind = item.file_type().map_err(|e| GitError::io("look at", &source, e))?;
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)
                .and_then(|_| fs::File::open(&target)?.sync_all())
                .map_err(|e| GitError::io("copy", &source, e))?;
        }
    }
    durable::sync_dir(to)?;
    Ok(())
}

fn reason_in(file: &Path) -> Result<Option<String>, GitError> {
    Ok(read_pointer(file)?.map(|text| text.to_string_lossy().into_owned()))
}
