//! Writes the files of a new worktree, and its index.
//!
//! Only for files that are written as they are kept, or with other line ends or keywords; the others stand in the index with
//! file facts that fit none, and are git's to write afterwards. The files come first, each made new, in several threads; then the
//! index, at once and whole. A folder is made on the way to what is in it, and no link is followed there. Whatever stands in the way of a
//! file was left by a checkout that was interrupted, and is replaced; a folder there is not.
//!
//! Files are dated a second before the index. git reads every file again whose time is not before the index's, since it
//! may have been changed right after it was looked at; with that second between them none has to be read again, and
//! every later change still shows, however soon it comes and however alike its size.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use super::descent::top;
use super::index_file;
use super::near::{Near, near, remember};
use super::together::{self, Source, Target};
use crate::git::listing::Listing;
use crate::git::{CommitId, GitError, Repo, Worktree};

/// Writes the files that are ralph's to write, and the index, of a worktree that has none.
pub(super) fn write(
    repo: &Repo,
    worktree: &Worktree,
    start: &CommitId,
    listing: Listing,
) -> Result<(), GitError> {
    let path = &worktree.path;
    let tree = top(path).map_err(|e| GitError::io("open", path, e))?;
    let near = near(repo, start);
    if !matches!(near, Near::Main(_)) {
        // From the beginning: others that start now copy what is there already.
        remember(repo, start, path);
    }
    let near = near.path().and_then(|near| top(near).ok());
    let source = Source { git_dir: repo.common_dir().to_owned(), near };
    let target = Target::new(path, tree, dates(), repo.progress());
    let listing = Arc::new(listing);
    let facts = together::write(&listing, source, target)?;
    write_index(&worktree.admin_dir, &index_file::bytes(&listing, &facts))
}

/// A second before now, for the time of the last change; that of the last access stays.
fn dates() -> Timestamps {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let before = i64::try_from(now).unwrap_or(i64::MAX) - 1;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: before, tv_nsec: 0 },
    }
}

/// Puts the index where git looks for it, by way of git's own lock.
fn write_index(admin: &Path, content: &[u8]) -> Result<(), GitError> {
    let (lock, index) = (admin.join("index.lock"), admin.join("index"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&lock)
        .map_err(|e| GitError::io("create", &lock, e))?;
    let written = io::Write::write_all(&mut file, content).map_err(|e| GitError::io("write", &lock, e));
    let placed =
        written.and_then(|()| std::fs::rename(&lock, &index).map_err(|e| GitError::io("replace", &index, e)));
    if placed.is_err() {
        // Best effort: the next start over removes it too.
        drop(std::fs::remove_file(&lock));
    }
    placed
}
