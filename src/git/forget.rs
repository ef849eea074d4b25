//! Letting go of the registration of a worktree whose folder is gone: it is kept elsewhere, and what only it leads to is
//! pinned before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::hold::is_ours;
use super::keep::keep_registration;
use super::refs::there;
use super::registry;
use super::repo::{Repo, RepoLock};
use super::worktree::is_empty;
use super::{GitError, Missing};
use crate::durable;

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
