//! Bringing a lane that has nothing of its own up to its base.
//!
//! Only a branch whose every commit is in the base, in a worktree where nothing lies uncommitted, moves; whatever
//! cannot be told counts as work. The files go first, outside the repository's lock; then the branch, under it, if it
//! still is what it was. From before the first file until the branch has moved, the worktree's registration carries a
//! mark that names both commits: whatever cuts this short, the next who uses the worktree sets it right, and what was
//! half done is no one's work. Where a file has been changed by someone since, that is refused, and said.

use std::path::{Path, PathBuf};

use super::program::{Call, Place};
use super::registry::{FORWARD_FILE, read_pointer};
use super::repo::{Repo, RepoLock};
use super::transition::Transition;
use super::work::look_at_tree;
use super::{Base, CommitId, GitError, Head, Worktree};
use crate::durable::{self, HeldLock};
use crate::failpoint;

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

/// What a look at a lane came to.
#[derive(Debug)]
pub enum Outlook {
    /// It stays as it is.
    Stays(Forwarded),
    /// It can be moved on to its base, and nothing could be lost by it.
    Clear(Box<Forward>),
}

/// A move of a worktree and its branch that nothing speaks against.
#[derive(Debug)]
#[must_use = "nothing has moved yet"]
pub struct Forward {
    worktree: Worktree,
    /// The branch's full name.
    branch: String,
    from: CommitId,
    to: CommitId,
    behind: usize,
}

/// A move whose files are there already, and whose branch is not.
#[derive(Debug)]
#[must_use = "the branch has not moved yet"]
pub struct Landing(Forward);

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

/// Whether the lane can be moved on to its base. The paths `ignore` do not count as work, as in
/// [`Look`](super::Look). Changes nothing.
pub fn outlook(
    repo: &Repo,
    worktree: &Worktree,
    base: &Base,
    ignore: &[PathBuf],
) -> Result<Outlook, GitError> {
    let stands = standing(repo, worktree, base)?;
    let (Forwarded::Continued { behind, ahead: 0 }, Some(tip), Head::Branch(branch)) =
        (&stands, &worktree.tip, &worktree.head)
    else {
        return Ok(Outlook::Stays(stands));
    };
    // A look that fails counts as work.
    let clean = look_at_tree(repo, worktree, tip, ignore).is_ok_and(|seen| seen.is_clean());
    if !clean || super::work::operation(&worktree.admin_dir).map_or(true, |operation| operation.is_some()) {
        return Ok(Outlook::Stays(stands));
    }
    let forward = Forward {
        worktree: worktree.clone(),
        branch: format!("refs/heads/{branch}"),
        from: tip.clone(),
        to: base.commit.clone(),
        behind: *behind,
    };
    // An ignored file may well be precious: settings, keys.
    if forward.transition(repo).is_blocked().unwrap_or(true) {
        return Ok(Outlook::Stays(stands));
    }
    Ok(Outlook::Clear(Box::new(forward)))
}

impl Forward {
    fn transition<'a>(&'a self, repo: &'a Repo) -> Transition<'a> {
        Transition { repo, worktree: &self.worktree, from: &self.from, to: &self.to }
    }

    /// How the lane stands if it does not move.
    pub fn continued(&self) -> Forwarded {
        Forwarded::Continued { behind: self.behind, ahead: 0 }
    }

    /// Moves the files. `None`: git refused, or could not, and all is as it was. No lock of the repository may be held:
    /// filters take as long as they like. `held` is the lane's lock, which git holds too until it has ended.
    pub fn write_files(self, repo: &Repo, held: &HeldLock) -> Result<Option<Landing>, GitError> {
        let mark = format!("{} {}\n", self.from, self.to);
        durable::write(&self.worktree.admin_dir.join(FORWARD_FILE), mark.as_bytes())?;
        failpoint::hit("forward.marked");
        let transition = self.transition(repo);
        repo.progress().begin_by_git();
        let made = transition.make(held);
        repo.progress().end();
        match made {
            Ok(()) => {}
            Err(GitError::ProgramFailed { .. }) => {
                refuse_unexplained(&transition)?;
                transition.set_right(&self.from, held)?;
                take_mark(&self.worktree.admin_dir)?;
                return Ok(None);
            }
            Err(e) => return Err(e),
        }
        failpoint::hit("forward.files");
        Ok(Some(Landing(self)))
    }
}

impl Landing {
    /// The commit that the branch moves on to.
    pub fn to(&self) -> &CommitId {
        &self.0.to
    }

    /// Moves the branch, if it still is where it was.
    pub fn land(self, repo: &Repo, _lock: &RepoLock) -> Result<Forwarded, GitError> {
        let Forward { worktree, branch, from, to, behind } = self.0;
        // Seen from the worktree, so that the log of its HEAD tells of the move too.
        let moved = Call::write(repo.program(), Place::GitDir(&worktree.admin_dir))
            .args(["update-ref", "--no-deref", "-m", "ralph: brought up to its base", &branch])
            .args([to.as_str(), from.as_str()])
            .succeed();
        match moved {
            Ok(_) => {}
            Err(GitError::ProgramFailed { .. }) if repo.commit_of(&branch)?.as_ref() != Some(&from) => {
                return Err(GitError::RefMoved { name: branch });
            }
            Err(e) => return Err(e),
        }
        failpoint::hit("forward.landed");
        take_mark(&worktree.admin_dir)?;
        Ok(Forwarded::Moved { by: behind })
    }
}

/// What was found of a move that was cut short.
#[derive(Debug)]
pub enum Interrupted {
    /// There was none, or its worktree has become someone's own since.
    No,
    /// The files are set right and the branch has not moved yet.
    Files(Box<Landing>),
    /// All is set right, and the branch had moved already.
    Landed,
    /// The branch has been moved elsewhere since, and the files are set to where it is.
    Elsewhere,
}

/// Completes a move that was cut short, as far as files are concerned. Refused where someone has changed a file since.
pub fn complete_files(repo: &Repo, worktree: &Worktree, held: &HeldLock) -> Result<Interrupted, GitError> {
    let Some((from, to)) = marked(&worktree.admin_dir)? else { return Ok(Interrupted::No) };
    let (Some(tip), Head::Branch(branch)) = (&worktree.tip, &worktree.head) else {
        take_mark(&worktree.admin_dir)?;
        return Ok(Interrupted::No);
    };
    let transition = Transition { repo, worktree, from: &from, to: &to };
    let unexplained = transition.unexplained()?;
    let elsewhere = *tip != from && *tip != to;
    if super::work::operation(&worktree.admin_dir)?.is_some() || (elsewhere && unexplained.is_some()) {
        // Someone has gone on from there: what is in it now is theirs.
        take_mark(&worktree.admin_dir)?;
        return Ok(Interrupted::No);
    }
    refuse(&transition, unexplained)?;
    if *tip == from {
        transition.set_right(&to, held)?;
        let branch = format!("refs/heads/{branch}");
        let behind = repo.distance(&from, &to)?.behind;
        let (worktree, from, to) = (worktree.clone(), from.clone(), to.clone());
        let landing = Landing(Forward { worktree, branch, from, to, behind });
        return Ok(Interrupted::Files(Box::new(landing)));
    }
    transition.set_right(tip, held)?;
    take_mark(&worktree.admin_dir)?;
    Ok(if elsewhere { Interrupted::Elsewhere } else { Interrupted::Landed })
}

fn refuse_unexplained(transition: &Transition<'_>) -> Result<(), GitError> {
    refuse(transition, transition.unexplained()?)
}

fn refuse(transition: &Transition<'_>, unexplained: Option<PathBuf>) -> Result<(), GitError> {
    match unexplained {
        None => Ok(()),
        Some(file) => Err(GitError::HalfForwarded {
            path: transition.worktree.path.clone(),
            file,
            from: transition.from.clone(),
        }),
    }
}

/// The two commits of a move that has not ended.
fn marked(admin_dir: &Path) -> Result<Option<(CommitId, CommitId)>, GitError> {
    let Some(text) = read_pointer(&admin_dir.join(FORWARD_FILE))? else { return Ok(None) };
    let text = text.to_string_lossy().into_owned();
    let commits = text.split_once(' ').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    Ok(commits)
}

fn take_mark(admin_dir: &Path) -> Result<(), GitError> {
    let file = admin_dir.join(FORWARD_FILE);
    durable::remove(&file)?;
    durable::sync_dir(admin_dir)?;
    Ok(())
}
