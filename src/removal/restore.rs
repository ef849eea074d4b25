//! Bringing a lane back from the trash.

use std::path::PathBuf;

use serde::Serialize;

use super::gather::{chosen, claim};
use super::journey::backward;
use super::record::{Stage, TrashRecord, read, shelf, trash};
use super::{Place, REPO_PATIENCE, RemovalError};
use crate::git::{BranchBack, Comeback, HeadBack, TrashId, comeback};
use crate::id::{BranchName, Lane};
use crate::session::lane::LaneRecord;
use crate::session::store::Store;

/// A lane that came back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Restored {
    /// The lane.
    pub lane: Lane,
    /// What its removal was called.
    pub id: TrashId,
    /// Where its worktree is.
    pub path: PathBuf,
    /// Whether its folder came back too, or was gone when it was removed.
    pub folder: FolderBack,
    /// Its branch.
    pub branch: BranchName,
    /// How the branch is.
    pub branch_back: BranchBack,
    /// What is checked out.
    pub head: HeadBack,
}

/// Whether a worktree's folder came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderBack {
    /// It did.
    Back,
    /// It was gone before the lane was removed.
    Missing,
}

/// Brings back what was removed last of the lane that a name means.
pub fn restore(place: &Place<'_>, typed: &Lane) -> Result<Restored, RemovalError> {
    let nothing = || RemovalError::NotInTrash { lane: typed.clone() };
    let wanted = newest(place.store, typed)?.ok_or_else(nothing)?;
    let claim = claim(place.store, &wanted.lane.lane)?;
    // Someone else may have brought it back while the lane was waited for.
    let mut record = read(place.store, wanted.parcel.id)?.filter(is_restorable).ok_or_else(nothing)?;
    if let Some(lane) = place.store.lane(claim.lane())?.filter(|lane| is_another(lane, &record)) {
        return Err(RemovalError::LaneExists { lane: lane.lane, worktree: lane.worktree });
    }
    let lock = place.repo.lock(REPO_PATIENCE)?;
    let Comeback { branch, head } =
        comeback(place.repo, &record.parcel, &shelf(place.store, record.parcel.id))?;
    let (back, lane) = backward(place, &lock, &claim, &mut record)?;
    Ok(Restored {
        lane: lane.lane,
        id: record.parcel.id,
        path: back.path,
        folder: if record.parcel.held.is_some() { FolderBack::Back } else { FolderBack::Missing },
        branch: record.parcel.branch,
        branch_back: branch,
        head,
    })
}

/// Whether a lane on record is another than the one that is in the trash.
fn is_another(lane: &LaneRecord, record: &TrashRecord) -> bool {
    match record.stage {
        // Its removal, or its comeback, was interrupted.
        Stage::Removing | Stage::Restoring => lane.created_at != record.lane.created_at,
        _ => true,
    }
}

fn is_restorable(record: &TrashRecord) -> bool {
    matches!(record.stage, Stage::Removing | Stage::Removed | Stage::Restoring)
}

/// The newest removal of the lane that a name means among those in the trash.
fn newest(store: &Store, typed: &Lane) -> Result<Option<TrashRecord>, RemovalError> {
    let (mut records, damaged) = trash(store)?;
    records.retain(|record| is_restorable(record) && record.lane.lane.ticket() == typed.ticket());
    let mut lanes: Vec<LaneRecord> = Vec::new();
    for record in records.iter().rev() {
        if !lanes.iter().any(|lane| lane.lane == record.lane.lane) {
            lanes.push(record.lane.clone());
        }
    }
    let Some(lane) = chosen(typed, &lanes)? else {
        // One that cannot be read may be the one.
        return damaged.into_iter().next().map_or(Ok(None), |error| Err(error.into()));
    };
    Ok(records.into_iter().rev().find(|record| record.lane.lane == lane.lane))
}
