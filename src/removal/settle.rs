//! Finishing removals and comebacks that were interrupted.

use std::time::Duration;

use super::delete::delete_trash;
use super::journey::{backward, forward, has_moved, tidy};
use super::record::{Stage, TrashRecord, read, trash};
use super::removed::{Removed, removed};
use super::{Place, REPO_PATIENCE, RemovalError};
use crate::git::TrashId;
use crate::id::Lane;
use crate::session::store::{LaneClaim, LaneLock};

/// What became of a removal, or a comeback, that had been interrupted.
#[derive(Debug)]
pub enum Settled {
    /// The lane had not been touched yet, and stays.
    Stays(Lane),
    /// The lane is in the trash.
    Removed(Box<Removed>),
    /// The lane is back.
    Restored(Lane),
    /// What had expired is deleted.
    Expired(Lane),
    /// It was left as it is, and why.
    Left(Lane, RemovalError),
}

/// Finishes everything that was begun and that no one is at. Cheap where there is nothing to do.
pub fn settle(place: &Place<'_>) -> Result<Vec<Settled>, RemovalError> {
    let mut settled = Vec::new();
    for record in trash(place.store)?.0.into_iter().filter(is_unfinished) {
        let lane = record.lane.lane;
        let claim = match place.store.claim_lane(&lane, Duration::ZERO) {
            Ok(LaneClaim::Claimed(claim)) => claim,
            // Whoever has the lane may well be at it.
            Ok(LaneClaim::Busy(_)) => continue,
            Err(error) => {
                settled.push(Settled::Left(lane, error.into()));
                continue;
            }
        };
        match finish(place, &claim, record.parcel.id) {
            Ok(done) => settled.extend(done),
            Err(error) => settled.push(Settled::Left(lane, error)),
        }
    }
    Ok(settled)
}

/// Finishes what was interrupted of a lane that is held. Answers a removal that is complete now.
pub(super) fn finish_removals(place: &Place<'_>, claim: &LaneLock) -> Result<Option<Removed>, RemovalError> {
    let mut finished = None;
    for record in trash(place.store)?.0.into_iter().filter(is_unfinished) {
        if record.lane.lane == *claim.lane()
            && let Some(Settled::Removed(removed)) = finish(place, claim, record.parcel.id)?
        {
            finished = Some(*removed);
        }
    }
    Ok(finished)
}

/// Whether something was begun and not ended.
pub(super) fn is_unfinished(record: &TrashRecord) -> bool {
    record.stage != Stage::Removed
}

/// Finishes one, under its lane's lock. `None`: someone else has finished it.
fn finish(place: &Place<'_>, claim: &LaneLock, id: TrashId) -> Result<Option<Settled>, RemovalError> {
    let Some(mut record) = read(place.store, id)?.filter(is_unfinished) else { return Ok(None) };
    let lane = record.lane.lane.clone();
    if record.stage == Stage::Expiring {
        delete_trash(place, &record)?;
        return Ok(Some(Settled::Expired(lane)));
    }
    let lock = place.repo.lock(REPO_PATIENCE)?;
    Ok(Some(match record.stage {
        Stage::Removing if has_moved(place, &record)? => {
            let left = forward(place, &lock, claim, &mut record)?;
            Settled::Removed(Box::new(removed(record, left)))
        }
        Stage::Removing => {
            tidy(place, &lock, &record)?;
            Settled::Stays(lane)
        }
        Stage::Restoring => {
            backward(place, &lock, claim, &mut record)?;
            Settled::Restored(lane)
        }
        Stage::Restored => {
            tidy(place, &lock, &record)?;
            Settled::Restored(lane)
        }
        Stage::Removed | Stage::Expiring => return Ok(None),
    }))
}
