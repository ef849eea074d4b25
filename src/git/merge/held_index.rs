//! git's own lock on the index of a worktree, held while a branch that is checked out there moves.
//!
//! git makes commits from the index. A commit between the move of the branch and that of the index would take back what
//! the branch got: with the lock, git commits, stages and switches nothing there. What is brought along meanwhile is
//! brought along over an index of ralph's own, which takes the place of the worktree's in the end.
//!
//! The lock names the merge it is there for: whoever finishes an interrupted merge knows it again. Limit: `git switch`
//! lets go of it a moment before it writes HEAD.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::follower::{Follower, WorkTree};
use crate::durable::{self, Made};
use crate::git::GitError;

/// How long git is waited for that works in a worktree right now.
pub(super) const GIT_PATIENCE: Duration = Duration::from_secs(3);

const LOOK: Duration = Duration::from_millis(20);
const MAX_LOCK: u64 = 256;

/// The lock on a worktree's index, and an index beside it. Dropped, both are gone, and the worktree's own is as it was.
#[derive(Debug)]
#[must_use = "git may write the index again when this is dropped"]
pub struct HeldIndex<'t> {
    tree: &'t Follower,
    merge: String,
    own: PathBuf,
}

impl<'t> HeldIndex<'t> {
    /// Takes the lock for a merge, or takes it over from a process of the same merge that was killed: only who has the
    /// turn to merge may ask.
    ///
    /// # Errors
    ///
    /// [`GitError::IndexLocked`] where git keeps it for three seconds.
    pub fn take(tree: &'t Follower, merge: &str) -> Result<Self, GitError> {
        let lock = lock_of(&tree.admin);
        let until = Instant::now() + GIT_PATIENCE;
        while durable::write_new(&lock, content(merge).as_bytes())? == Made::Taken {
            if is_of(&lock, merge) {
                break;
            }
            if Instant::now() >= until {
                return Err(GitError::IndexLocked { path: lock });
            }
            std::thread::sleep(LOOK);
        }
        let held = Self { tree, merge: merge.to_owned(), own: own_of(&tree.admin) };
        remove_own(&tree.admin)?;
        match copy_dated(&tree.admin.join("index"), &held.own) {
            Ok(()) => {}
            // A worktree without an index has no file staged.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(GitError::io("copy", &tree.admin.join("index"), e)),
        }
        Ok(held)
    }

    /// The worktree.
    pub(super) fn tree(&self) -> &'t Follower {
        self.tree
    }

    /// The worktree with the index that is to be its own.
    pub(super) fn seen(&self) -> WorkTree<'_> {
        self.tree.seen_over(Some(&self.own))
    }

    /// Keeps git out until an interrupted merge is finished: for a worktree whose branch has moved and that has not
    /// followed.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    /// Puts the index in its place: the worktree has followed. Refused where someone took the lock away, and may have
    /// staged something since.
    pub fn publish(&self) -> Result<(), GitError> {
        if !is_of(&lock_of(&self.tree.admin), &self.merge) {
            let what = "the lock on its index was taken away while a merge was brought into it".to_owned();
            return Err(GitError::ChangedMeanwhile { path: self.tree.path.clone(), what });
        }
        let index = self.tree.admin.join("index");
        match fs::rename(&self.own, &index) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(GitError::io("replace", &index, e)),
            _ => Ok(()),
        }
    }
}

impl Drop for HeldIndex<'_> {
    fn drop(&mut self) {
        // What stays is known again by the merge's name, and taken away by `recover`.
        drop(let_go_of_index(&self.tree.admin, &self.merge));
    }
}

/// The copy has the date too: by that git knows which files may have been written after they were looked at.
fn copy_dated(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let written = fs::metadata(from)?.modified()?;
    File::options().write(true).open(to)?.set_modified(written)
}

/// Takes away what a merge that was killed left of its lock.
pub fn let_go_of_index(admin: &Path, merge: &str) -> Result<(), GitError> {
    let lock = lock_of(admin);
    if is_of(&lock, merge) {
        remove_own(admin)?;
        durable::remove(&lock)?;
    }
    Ok(())
}

/// Whether git's lock on the index is there all the while.
pub(super) fn is_locked(admin: &Path) -> Result<bool, GitError> {
    let until = Instant::now() + GIT_PATIENCE;
    while crate::git::refs::there(&lock_of(admin))? {
        if Instant::now() >= until {
            return Ok(true);
        }
        std::thread::sleep(LOOK);
    }
    Ok(false)
}

fn remove_own(admin: &Path) -> Result<(), GitError> {
    let own = own_of(admin);
    // git's lock on that one: of a git that was killed, since no other is at it.
    durable::remove(&own.with_extension("index.lock"))?;
    Ok(durable::remove(&own)?)
}

fn is_of(lock: &Path, merge: &str) -> bool {
    durable::read(lock, MAX_LOCK)
        .is_ok_and(|found| found.is_some_and(|found| found == content(merge).as_bytes()))
}

fn content(merge: &str) -> String {
    format!("ralph: merge {merge}\n")
}

fn lock_of(admin: &Path) -> PathBuf {
    admin.join("index.lock")
}

fn own_of(admin: &Path) -> PathBuf {
    admin.join("ralph.index")
}
