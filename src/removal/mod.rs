//! Taking lanes away, bringing them back, and expiring what has been away for long.
//!
//! Nothing is deleted here but by [`expire`], and nothing that could be lost goes without being asked for. `decide`
//! says, from facts alone, whether a lane may go; `remove` gathers the facts and moves everything of the lane into
//! the trash; `restore` is the way back; `settle` finishes what was begun and interrupted. What is done is written
//! down in the trash's record first, so that being killed anywhere leaves a lane that is whole, or one that the next
//! `remove`, `restore` or `settle` makes whole.
//!
//! Locks are taken in the order lane, repository. The lane's is held from the look to the end.

mod decide;
mod delete;
mod error;
mod expire;
mod expiry;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod gather;
mod journey;
mod record;
mod remove;
mod removed;
mod restore;
mod settle;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::git::Repo;
use crate::session::store::Store;

pub use decide::{
    BranchFacts, BranchPlan, Facts, IfUnsaved, Named, Reason, Removal, SessionFact, WhyKept, decide,
};
pub use error::RemovalError;
pub use expire::{Expired, Spared, expire};
pub use expiry::{ExpiringSession, ExpiringTrash, ExpiryPlan, Leftover, Size, gc};
pub use record::{Stage, TrashRecord, trash};
pub use remove::{Planned, plan, remove};
pub use removed::Removed;
pub use restore::{FolderBack, Restored, restore};
pub use settle::{Settled, settle};

/// Where a removal happens.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// Its store.
    pub store: &'a Store,
    /// The folder for new worktrees, absolute.
    pub root: &'a Path,
    /// Now.
    pub now: Timestamp,
}

/// How long another command that works on the lane is waited for.
const LANE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the repository's lock is waited for.
const REPO_PATIENCE: Duration = Duration::from_secs(60);
