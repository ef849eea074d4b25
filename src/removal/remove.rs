//! Removing a lane.

use std::path::PathBuf;

use serde::Serialize;

use super::decide::{BranchPlan, IfUnsaved, Removal, decide};
use super::gather::{Gathered, chosen, claim, gather, known_lane};
use super::journey::{backward, forward, has_moved, tidy};
use super::record::{TrashRecord, begin, trash};
use super::removed::{Removed, removed};
use super::settle::{finish_removals, is_unfinished};
use super::{Place, REPO_PATIENCE, RemovalError};
use crate::failpoint;
use crate::git::{BranchLeft, GitError, RepoLock, Unsaved, pack, pin_parcel, registered, tip_of};
use crate::id::{BranchName, Lane};
use crate::session::lane::LaneRecord;
use crate::session::store::{LaneLock, Store};

/// What a removal would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// The lane.
    pub lane: Lane,
    /// Where its worktree is.
    pub path: PathBuf,
    /// Where its folder would go; none where it is gone already.
    pub trash: Option<PathBuf>,
    /// Its branch.
    pub branch: BranchName,
    /// What would become of it.
    pub branch_plan: BranchPlan,
    /// What is nowhere else and would go to the trash too.
    pub unsaved: Unsaved,
}

/// Looks what a removal would do, or why it would be refused. Changes nothing.
pub fn plan(place: &Place<'_>, typed: &Lane, unsaved: IfUnsaved) -> Result<Planned, RemovalError> {
    let record = known_lane(place.store, typed)?;
    let gathered = gather(place, &record)?;
    let branch_plan = allowed(&record.lane, &gathered, unsaved)?;
    let parcel = parcel(place, &gathered, &branch_plan)?;
    Ok(Planned {
        lane: record.lane,
        path: parcel.path,
        trash: parcel.held.map(|held| held.join("tree")),
        branch: record.branch,
        branch_plan,
        unsaved: gathered.facts.unsaved,
    })
}

/// Removes a lane: its worktree goes to the trash, its branch is deleted if another has all of its commits. One whose
/// removal was interrupted is finished.
pub fn remove(place: &Place<'_>, typed: &Lane, unsaved: IfUnsaved) -> Result<Removed, RemovalError> {
    let lane = meant(place.store, typed)?;
    let claim = claim(place.store, &lane)?;
    if let Some(removed) = finish_removals(place, &claim)? {
        return Ok(removed);
    }
    let Some(record) = place.store.lane(&lane)? else { return Err(RemovalError::NoSuchLane { lane }) };
    let gathered = gather(place, &record)?;
    let branch_plan = allowed(&record.lane, &gathered, unsaved)?;
    failpoint::hit("remove.decided");
    carry_out(place, &claim, record, &gathered, branch_plan)
}

/// The lane that a name means, among those that are there and those whose removal was interrupted.
fn meant(store: &Store, typed: &Lane) -> Result<Lane, RemovalError> {
    let mut lanes = store.lanes_of(typed.ticket())?;
    for record in trash(store)?.0.into_iter().filter(is_unfinished) {
        if record.lane.lane.ticket() == typed.ticket() && !lanes.iter().any(|l| l.lane == record.lane.lane) {
            lanes.push(record.lane);
        }
    }
    let lane = chosen(typed, &lanes)?.ok_or_else(|| RemovalError::NoSuchLane { lane: typed.clone() })?;
    Ok(lane.lane)
}

fn allowed(lane: &Lane, gathered: &Gathered, unsaved: IfUnsaved) -> Result<BranchPlan, RemovalError> {
    match decide(&gathered.facts, unsaved) {
        Removal::Allowed(plan) => Ok(plan),
        Removal::Refused(reasons) => Err(RemovalError::Refused { lane: lane.clone(), reasons }),
    }
}

fn parcel(
    place: &Place<'_>,
    gathered: &Gathered,
    branch_plan: &BranchPlan,
) -> Result<crate::git::Parcel, RemovalError> {
    let Gathered { site, standing, facts } = gathered;
    Ok(pack(site, standing.as_ref(), &facts.branch.standing, branch_plan.fate(), place.root)?)
}

pub(super) fn carry_out(
    place: &Place<'_>,
    claim: &LaneLock,
    lane: LaneRecord,
    gathered: &Gathered,
    branch_plan: BranchPlan,
) -> Result<Removed, RemovalError> {
    let parcel = parcel(place, gathered, &branch_plan)?;
    let unsaved = gathered.facts.unsaved.items.iter().map(ToString::to_string).collect();
    let mut record = TrashRecord::new(lane, parcel, branch_plan, unsaved, place.now);
    let lock = place.repo.lock(REPO_PATIENCE)?;
    unchanged(place, gathered)?;
    begin(place.store, &record)?;
    failpoint::hit("remove.recorded");
    match go(place, &lock, claim, &mut record, gathered) {
        Ok(left) => Ok(removed(record, left)),
        Err(error) => Err(take_back(place, &lock, claim, &mut record, error)),
    }
}

/// Looks once more under the lock: looking at all files takes a while, and someone may have worked meanwhile.
fn unchanged(place: &Place<'_>, gathered: &Gathered) -> Result<(), RemovalError> {
    let Gathered { site, standing, facts } = gathered;
    let tip = tip_of(place.repo, &site.branch)?;
    if registered(place.repo, site)? == *standing && tip.as_ref() == facts.branch.standing.tip() {
        return Ok(());
    }
    let what = "a commit, or another change, was made while it was looked at; try again".to_owned();
    Err(GitError::ChangedMeanwhile { path: site.path.clone(), what }.into())
}

fn go(
    place: &Place<'_>,
    lock: &RepoLock,
    claim: &LaneLock,
    record: &mut TrashRecord,
    gathered: &Gathered,
) -> Result<BranchLeft, RemovalError> {
    pin_parcel(place.repo, lock, &record.parcel, gathered.standing.as_ref(), place.now)?;
    failpoint::hit("remove.pinned");
    forward(place, lock, claim, record)
}

/// Undoes what was done of a removal that failed.
fn take_back(
    place: &Place<'_>,
    lock: &RepoLock,
    claim: &LaneLock,
    record: &mut TrashRecord,
    error: RemovalError,
) -> RemovalError {
    let undone = has_moved(place, record).and_then(|moved| match moved {
        true => backward(place, lock, claim, record).map(drop),
        false => tidy(place, lock, record),
    });
    match undone {
        Ok(()) => error,
        Err(undo) => RemovalError::HalfDone {
            lane: record.lane.lane.clone(),
            error: Box::new(error),
            undo: Box::new(undo),
        },
    }
}
