//! What a removal came to.

use std::path::PathBuf;

use serde::Serialize;

use super::decide::{BranchPlan, WhyKept};
use super::record::TrashRecord;
use crate::git::{BranchLeft, TrashId};
use crate::id::{BranchName, Lane};

/// A lane that was removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Removed {
    /// The lane.
    pub lane: Lane,
    /// What the removal is called.
    pub id: TrashId,
    /// Where its worktree was.
    pub path: PathBuf,
    /// Where its folder is now; none where it was gone already.
    pub trash: Option<PathBuf>,
    /// Its branch.
    pub branch: BranchName,
    /// What became of it.
    pub branch_plan: BranchPlan,
    /// What was nowhere else and went to the trash too, one line a kind.
    pub unsaved: Vec<String>,
}

/// What was done, by the record and by what became of the branch.
pub(super) fn removed(record: TrashRecord, left: BranchLeft) -> Removed {
    let branch_plan = match (record.branch, left) {
        (BranchPlan::Deleted { .. }, BranchLeft::Kept) => BranchPlan::Kept { why: WhyKept::Moved },
        (planned, _) => planned,
    };
    Removed {
        lane: record.lane.lane,
        id: record.parcel.id,
        path: record.parcel.path,
        trash: record.parcel.held.map(|held| held.join("tree")),
        branch: record.parcel.branch,
        branch_plan,
        unsaved: record.unsaved,
    }
}
