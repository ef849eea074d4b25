//! Writing the files of a new worktree, outside the repository's lock.
//!
//! Until the last file is there the registration carries a mark, put there before anything else: no agent has ever run in a
//! worktree that has it, so that writing its files may start over, where no one has changed one of them by hand (see
//! [`left`]). The mark goes, durably, before anyone is told that the worktree is complete; no worktree without it is ever
//! written to here.

mod content;
pub(super) mod convert;
mod descent;
mod direct;
mod index_file;
mod left;
mod near;
mod progress;
mod put;
mod together;

use left::is_cut_short;
pub(super) use left::{Beside, Left, left};
pub use progress::{CheckoutProgress, CheckoutStage};

use super::create::{Created, make_tree};
use super::engine::Route;
use super::program::{AtATime, Call, Place};
use super::registry::{self, UNFINISHED_FILE};
use super::repo::Repo;
use super::worktree::back_link;
use super::{CommitId, Engine, GitError, Worktree};
use crate::durable::{self, HeldLock};
use crate::failpoint;

/// Writes the files of a worktree that was just created; answers what wrote them.
/// `held` is the lane's lock, which a git program that writes them holds too until it has ended.
pub fn write_files(repo: &Repo, created: &Created, held: &HeldLock) -> Result<Engine, GitError> {
    complete(repo, &created.worktree, &created.start, held)
}

/// How a worktree came to be complete whose creation was interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// Its files were written, by this engine.
    Written(Engine),
    /// They had all been there.
    AsItWas,
}

/// Completes a worktree whose creation was interrupted. Refused where the files were ever complete, and where some are
/// missing and others were changed since.
pub fn finish(repo: &Repo, worktree: &Worktree, held: &HeldLock) -> Result<Finished, GitError> {
    let refused = || GitError::AlreadyComplete { path: worktree.path.clone() };
    let entry = registry::entry(&worktree.admin_dir, worktree.id.clone())?.ok_or_else(refused)?;
    let start: CommitId = match (&entry.unfinished, &worktree.tip) {
        (Some(commit), _) => commit.parse()?,
        // Registered by git, and interrupted before the mark: no index, and no file.
        (None, Some(tip)) if worktree.files == super::Files::Unfinished => tip.clone(),
        _ => return Err(refused()),
    };
    if worktree.tip.as_ref() != Some(&start) {
        let what = "a commit was made in it, although its files were never complete".to_owned();
        return Err(GitError::ChangedMeanwhile { path: worktree.path.clone(), what });
    }
    make_tree(&entry.tree, &entry.admin)?;
    back_link(&entry)?;
    match left(repo, (&entry.admin, &entry.tree), &start)? {
        Left::Whole => {
            unmark(worktree)?;
            return Ok(Finished::AsItWas);
        }
        Left::InPart { changed, index: _ } => {
            if let Some(edit) = changed.into_iter().next() {
                return Err(GitError::UnfinishedChanged { path: worktree.path.clone(), edit });
            }
        }
        Left::Nothing => {}
    }
    // No one works in this worktree: the lock is that of the checkout which was interrupted.
    durable::remove(&entry.admin.join("index.lock"))?;
    let index = entry.admin.join("index");
    if is_cut_short(&index)? {
        durable::remove(&index)?;
    }
    complete(repo, worktree, &start, held).map(Finished::Written)
}

fn complete(repo: &Repo, worktree: &Worktree, start: &CommitId, held: &HeldLock) -> Result<Engine, GitError> {
    let written = write(repo, worktree, start, held);
    repo.progress().end();
    let engine = written?;
    failpoint::hit("git.checked_out");
    unmark(worktree)?;
    Ok(engine)
}

fn unmark(worktree: &Worktree) -> Result<(), GitError> {
    durable::remove(&worktree.admin_dir.join(UNFINISHED_FILE))?;
    Ok(durable::sync_dir(&worktree.admin_dir)?)
}

fn write(repo: &Repo, worktree: &Worktree, start: &CommitId, held: &HeldLock) -> Result<Engine, GitError> {
    Ok(match repo.route_for(start, Some(worktree))? {
        Route::Direct(listing) => {
            direct::write(repo, worktree, start, listing)?;
            Engine::Direct
        }
        Route::Shared(listing, why, at_a_time) => {
            direct::write(repo, worktree, start, listing)?;
            repo.progress().begin_by_git();
            by_program(repo, worktree, start, at_a_time, held)?;
            Engine::Shared(why)
        }
        Route::GitProgram(why, at_a_time) => {
            repo.progress().begin_by_git();
            by_program(repo, worktree, start, at_a_time, held)?;
            Engine::GitProgram(why)
        }
    })
}

/// Exactly what `git worktree add` does once the worktree is registered. Of files that the index has the facts of, git
/// writes none.
fn by_program(
    repo: &Repo,
    worktree: &Worktree,
    start: &CommitId,
    at_a_time: AtATime,
    held: &HeldLock,
) -> Result<(), GitError> {
    let place = Place::Tree { admin: &worktree.admin_dir, top: &worktree.path };
    Call::write(repo.program(), place)
        .writing(at_a_time)
        .holding(held)
        .args(["reset", "--hard", "--quiet", "--no-recurse-submodules", start.as_str(), "--"])
        .succeed()?;
    Ok(())
}
