//! Bringing a lane that has nothing of its own up to its base.
//!
//! Only a branch whose every commit is in the base, in a worktree where nothing lies uncommitted, moves; whatever
//! cannot be told counts as work. git moves it, and refuses by itself where a file would be overwritten.

use std::path::PathBuf;

use super::program::{Call, Place};
use super::repo::{Repo, RepoLock};
use super::work::look_at_tree;
use super::{Base, GitError, Head, Worktree};

/// How a lane's branch stands to its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
    /// It had nothing of its own and was moved on by so many commits.
    Moved {
        /// The commits it lacked.
        by: usize,
    },
    /// There was nothing to bring in.
    UpToDate,
    /// It has work of its own, committed or not, and is continued as it is.
    Continued {
        /// Commits of the base that it lacks.
        behind: usize,
        /// Commits of its own.
        ahead: usize,
    },
}

/// How the worktree stands to the base. Changes nothing.
pub fn standing(repo: &Repo, worktree: &Worktree, base: &Base) -> Result<Forwarded, GitError> {
    let Some(tip) = &worktree.tip else {
        return Ok(Forwarded::Continued { behind: 0, ahead: 0 });
    };
    let distance = repo.distance(tip, &base.commit)?;
    Ok(match (distance.ahead, distance.behind) {
        (_, 0) => Forwarded::UpToDate,
        (ahead, behind) => Forwarded::Continued { behind, ahead },
    })
}

/// Fast-forwards the lane's branch and worktree to the base, where nothing could be lost by it. The paths `ignore`
/// do not count as work, as in [`Look`](super::Look).
pub fn fast_forward(
    repo: &Repo,
    _lock: &RepoLock,
    worktree: &Worktree,
    base: &Base,
    ignore: &[PathBuf],
) -> Result<Forwarded, GitError> {
    let stands = standing(repo, worktree, base)?;
    let (Forwarded::Continued { behind, ahead }, Some(tip)) = (&stands, &worktree.tip) else {
        return Ok(stands);
    };
    let (behind, ahead) = (*behind, *ahead);
    let continued = Ok(Forwarded::Continued { behind, ahead });
    if ahead > 0 || !matches!(worktree.head, Head::Branch(_)) {
        return continued;
    }
    // A look that fails counts as work.
    let clean = look_at_tree(repo, worktree, tip, ignore).is_ok_and(|seen| seen.is_clean());
    if !clean || super::work::operation(&worktree.admin_dir).map_or(true, |operation| operation.is_some()) {
        return continued;
    }
    let place = Place::Tree { admin: &worktree.admin_dir, top: &worktree.path };
    let mut call = Call::write(repo.program(), place);
    for (key, value) in repo.filters_off_but_for(&base.commit)? {
        call = call.setting(key, value);
    }
    let answer = call
        .args([
            "merge",
            "--quiet",
            "--ff-only",
            "--no-autostash",
            // An ignored file may well be precious: settings, keys.
            "--no-overwrite-ignore",
            "--no-verify-signatures",
            base.commit.as_str(),
        ])
        .run()?;
    match answer.into_stdout() {
        Ok(_) => Ok(Forwarded::Moved { by: behind }),
        // git refuses where an ignored or a new file is in the way, and has then changed nothing.
        Err(GitError::ProgramFailed { .. }) => continued,
        Err(e) => Err(e),
    }
}
