//! The way into the trash and the way back, by the record: each can be gone from wherever the other stopped.

use super::record::{self, Stage, TrashRecord, close, shelf};
use super::{Place, RemovalError};
use crate::failpoint;
use crate::git::{Back, BranchLeft, RepoLock, bring_back, has_left, let_go, take_away};
use crate::session::lane::LaneRecord;
use crate::session::store::LaneLock;

/// Takes the lane all the way into the trash.
pub(super) fn forward(
    place: &Place<'_>,
    lock: &RepoLock,
    claim: &LaneLock,
    record: &mut TrashRecord,
) -> Result<BranchLeft, RemovalError> {
    let Place { repo, store, .. } = *place;
    let left = take_away(repo, lock, &record.parcel, &shelf(store, record.parcel.id))?;
    // A lane that was begun anew after an interruption has another record, which stays.
    if store.lane(claim.lane())?.as_ref() == Some(&record.lane) {
        store.forget_lane(claim)?;
    }
    failpoint::hit("remove.forgotten");
    record.stage = Stage::Removed;
    record::write(store, record)?;
    failpoint::hit("remove.done");
    Ok(left)
}

/// Brings the lane all the way back.
pub(super) fn backward(
    place: &Place<'_>,
    lock: &RepoLock,
    claim: &LaneLock,
    record: &mut TrashRecord,
) -> Result<(Back, LaneRecord), RemovalError> {
    let Place { repo, store, .. } = *place;
    if record.stage != Stage::Restoring {
        record.stage = Stage::Restoring;
        record::write(store, record)?;
    }
    failpoint::hit("restore.recorded");
    let back = bring_back(repo, lock, &record.parcel, &shelf(store, record.parcel.id))?;
    let lane = match store.lane(claim.lane())? {
        // It was never forgotten, or was written by a restore that went no further.
        Some(known) => known,
        None => {
            let worktree_id = back.worktree_id.clone().unwrap_or_else(|| record.lane.worktree_id.clone());
            let lane = LaneRecord { worktree_id, ..record.lane.clone() };
            store.write_lane(claim, &lane)?;
            lane
        }
    };
    failpoint::hit("restore.lane");
    record.stage = Stage::Restored;
    record::write(store, record)?;
    failpoint::hit("restore.done");
    tidy(place, lock, record)?;
    Ok((back, lane))
}

/// Lets go of what was kept for a removal of which nothing is in the trash.
pub(super) fn tidy(place: &Place<'_>, lock: &RepoLock, record: &TrashRecord) -> Result<(), RemovalError> {
    let_go(place.repo, lock, &record.parcel.id)?;
    failpoint::hit("restore.released");
    Ok(close(place.store, record)?)
}

/// Whether anything of the removal has moved.
pub(super) fn has_moved(place: &Place<'_>, record: &TrashRecord) -> Result<bool, RemovalError> {
    let forgotten = || place.store.lane(&record.lane.lane).map(|lane| lane.is_none());
    Ok(has_left(place.repo, &record.parcel, &shelf(place.store, record.parcel.id))? || forgotten()?)
}
