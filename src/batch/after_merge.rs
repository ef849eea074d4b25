//! How a ticket stands whose work was merged, while its file in the main checkout says that there is work left.
//!
//! An agent may leave its ticket open, closing it may have failed, or it was closed and someone has opened it again. What
//! tells these apart are the commits of the branch that has the work: whether any of them, from the merge on, has the
//! ticket closed.

use std::fmt;

use crate::git::{CommitId, GitError, Named, Repo, contains, has_held, named, tip_of};
use crate::id::{BranchName, RefName};
use crate::session::lane::{LaneRecord, MergedRecord};
use crate::ticket::{Status, file_inside, status_of};

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterMerge {
    /// It was never closed since the merge.
    LeftOpen {
        /// The branch that has the work.
        on: BranchName,
    },
    /// It is closed on the branch that has the work, and open in the checkout only.
    Closed {
        /// That branch.
        on: BranchName,
    },
    /// It was closed since, and is open again.
    Reopened {
        /// The branch that has the work.
        on: BranchName,
    },
    /// The lane's branch has commits that the branch with the work has not.
    MovedOn {
        /// The branch that has the work.
        on: BranchName,
        /// The lane's.
        branch: BranchName,
    },
    /// The work was merged into another branch than the lane's base.
    Elsewhere {
        /// That branch.
        into: BranchName,
        /// The base.
        base: BranchName,
    },
    /// The branch that it was merged into has it no more.
    Undone {
        /// That branch.
        from: BranchName,
    },
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
    },
}

impl fmt::Display for AfterMerge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOpen { on } => {
                write!(f, "its work is in {on}, and it was left open there; `ralph run` closes it")
            }
            Self::Closed { on } => write!(
                f,
                "its work is in {on}, and it is closed there; to have it worked on again, open it in a commit on {on}"
            ),
            Self::Reopened { on } => write!(f, "its work is in {on}, and it was opened again there"),
            Self::MovedOn { on, branch } => write!(
                f,
                "its work was merged into {on}, and {branch} has more by now; `ralph worktree merge` brings that in"
            ),
            Self::Elsewhere { into, base } => write!(
                f,
                "its work was merged into {into}, which is not in its base {base}; `ralph worktree merge` brings it in"
            ),
            Self::Undone { from } => write!(
                f,
                "its work was merged into {from}, which does not have it any more; `ralph worktree merge` brings it \
                 in again"
            ),
            Self::Unknown { why } => {
                write!(f, "its work was merged, and how it stands since cannot be told: {why}")
            }
        }
    }
}

/// How the ticket of a lane stands that was merged.
pub fn after_merge(repo: &Repo, record: &LaneRecord, merged: &MergedRecord) -> AfterMerge {
    look(repo, record, merged).unwrap_or_else(|error| AfterMerge::Unknown { why: error.to_string() })
}

fn look(repo: &Repo, record: &LaneRecord, merged: &MergedRecord) -> Result<AfterMerge, GitError> {
    let Work { on, tip, since } = match whereabouts(repo, record, merged)? {
        Whereabouts::There(work) => work,
        Whereabouts::Gone(after) => return Ok(after),
    };
    let file = file_inside(record.lane.ticket());
    let is_closed = |content: &[u8]| status_of(content) == Some(Status::Closed);
    let was_closed = match repo.content(&tip, &file)? {
        Some(content) if is_closed(&content) => return Ok(AfterMerge::Closed { on }),
        Some(_) => has_held(repo, &since, &tip, &file, &is_closed)?,
        // Of a file that git does not track there by the lane's record only.
        None => merged.closed_at.is_some(),
    };
    if was_closed {
        return Ok(AfterMerge::Reopened { on });
    }
    Ok(match has_more(repo, record, merged, &tip)? {
        true => AfterMerge::MovedOn { on, branch: record.branch.clone() },
        false => AfterMerge::LeftOpen { on },
    })
}

/// The branch with the lane's work and its commit, where that has all that there is of the lane.
pub fn all_merged(
    repo: &Repo,
    record: &LaneRecord,
    merged: &MergedRecord,
) -> Result<Option<(BranchName, CommitId)>, GitError> {
    match whereabouts(repo, record, merged)? {
        Whereabouts::There(Work { on, tip, .. }) if !has_more(repo, record, merged, &tip)? => {
            Ok(Some((on, tip)))
        }
        Whereabouts::There(_) | Whereabouts::Gone(_) => Ok(None),
    }
}

/// Where merged work is.
struct Work {
    /// The branch: the lane's base, where that is one.
    on: BranchName,
    /// Its commit.
    tip: CommitId,
    /// The first of its commits that is known to have the work.
    since: CommitId,
}

enum Whereabouts {
    There(Work),
    /// It is not where it is to be.
    Gone(AfterMerge),
}

fn whereabouts(repo: &Repo, record: &LaneRecord, merged: &MergedRecord) -> Result<Whereabouts, GitError> {
    let base = match record.base_ref.parse::<RefName>() {
        Ok(name) => named(repo, &name)?,
        Err(_) => Named::Nothing,
    };
    // What started from a tag is merged into the branch that was named for it.
    let (on, tip) = match base {
        Named::Branch(on, tip) => (on, Some(tip)),
        Named::RemoteBranch | Named::Fixed | Named::Nothing => {
            (merged.into.clone(), tip_of(repo, &merged.into)?)
        }
    };
    if let Some(tip) = tip {
        for since in [&merged.commit, &merged.tip] {
            let since: CommitId = since.parse()?;
            // A commit that is not here any more is in nothing.
            if contains(repo, &tip, &since).unwrap_or(false) {
                return Ok(Whereabouts::There(Work { on, tip, since }));
            }
        }
    }
    let into = merged.into.clone();
    Ok(Whereabouts::Gone(match into == on {
        true => AfterMerge::Undone { from: into },
        false => AfterMerge::Elsewhere { into, base: on },
    }))
}

/// Whether the lane's branch has what the branch with its work has not. One that is gone has nothing.
fn has_more(
    repo: &Repo,
    record: &LaneRecord,
    merged: &MergedRecord,
    now: &CommitId,
) -> Result<bool, GitError> {
    match tip_of(repo, &record.branch)? {
        Some(tip) if tip.as_str() != merged.tip => Ok(!contains(repo, now, &tip)?),
        Some(_) | None => Ok(false),
    }
}
