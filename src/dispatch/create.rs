//! A worktree without a session.

use jiff::Timestamp;

use super::error::DispatchError;
use super::prepare::{lane_record, make_ready};
use super::run::claim_planned;
use super::{Context, Place};
use crate::git::{held_by_creation, unlock_if};
use crate::session::lane::LaneRecord;

/// A lane whose worktree is there.
#[derive(Debug)]
pub struct Created {
    /// Its record.
    pub record: LaneRecord,
    /// What there is to say about it.
    pub notes: Vec<String>,
}

/// Creates or locates the lane's worktree.
pub fn create(context: &Context, place: &Place, now: Timestamp) -> Result<Created, DispatchError> {
    let (claim, plan) = claim_planned(context, place)?;
    let reason = held_by_creation(&plan.lane);
    let ready = make_ready(context, &plan, place, &claim, &reason)?;
    let record = lane_record(&plan, &ready, now);
    context.store.write_lane(&claim, &record)?;
    unlock_if(&ready.worktree.admin_dir, &reason)?;
    Ok(Created { record, notes: plan.notes().into_iter().chain(ready.notes).collect() })
}
