//! The facts about a lane and its target, looked up. Nothing is changed.

use std::path::Path;

use super::error::MergeError;
use super::plan::{Facts, SessionFact, TreeFacts};
use super::{LANE_PATIENCE, MergeRequest, Place};
use crate::durable::LockState;
use crate::git::{CommitId, Look, Named, Tree, contains, look, named, tip_of};
use crate::id::{Lane, RefName};
use crate::launch::Probe;
use crate::launch::local::{origin, probe};
use crate::session::lane::LaneRecord;
use crate::session::launch::not_work_of;
use crate::session::store::{LaneClaim, LaneLock, Loaded, Store};
use crate::ticket::file_inside;

/// Takes the lane, waiting for who is about to be done with it.
pub(super) fn claim(store: &Store, lane: &Lane) -> Result<LaneLock, MergeError> {
    if !store.has_folder(lane) {
        return Err(MergeError::NoSuchLane { lane: lane.clone() });
    }
    match store.claim_lane(lane, LANE_PATIENCE)? {
        LaneClaim::Claimed(claim) => Ok(claim),
        LaneClaim::Busy(Some(session)) if store.probe(session)? == LockState::Held => {
            Err(MergeError::Busy { lane: lane.clone(), session })
        }
        LaneClaim::Busy(_) => Err(MergeError::Contended { lane: lane.clone() }),
    }
}

/// The lane's record.
pub(super) fn known_lane(store: &Store, lane: &Lane) -> Result<LaneRecord, MergeError> {
    store.lane(lane)?.ok_or_else(|| MergeError::NoSuchLane { lane: lane.clone() })
}

/// Looks at the lane and its target.
pub(super) fn gather(
    place: &Place<'_>,
    record: &LaneRecord,
    request: &MergeRequest,
) -> Result<Facts, MergeError> {
    let repo = place.repo;
    let session = session_fact(place, record)?;
    let tip = tip_of(repo, &record.branch)?;
    let target_name = request.into.as_ref().map_or(record.base_ref.as_str(), RefName::as_str).to_owned();
    let target = match target_name.parse::<RefName>() {
        Ok(name) => named(repo, &name)?,
        Err(_) => Named::Nothing,
    };
    let contained = match (&tip, &target) {
        (Some(tip), Named::Branch(target, commit)) => {
            contains(repo, commit, tip)? || was_merged(place, record, tip, target.as_str(), commit)?
        }
        _ => false,
    };
    let tree = match session {
        // Someone works there: what it holds now means nothing.
        SessionFact::Running(_) => None,
        SessionFact::Over | SessionFact::Unsettled(..) => tree_facts(place, record)?,
    };
    Ok(Facts {
        lane: record.lane.clone(),
        branch: record.branch.clone(),
        tip,
        session,
        tree,
        target_name,
        target,
        contained,
    })
}

/// Whether exactly this was merged into the target before, in a way that ancestry does not show, and is there still.
fn was_merged(
    place: &Place<'_>,
    record: &LaneRecord,
    tip: &CommitId,
    target: &str,
    now: &CommitId,
) -> Result<bool, MergeError> {
    match record.merged() {
        Some(merged) if merged.tip == tip.as_str() && merged.into.as_str() == target => {
            // A commit that is not here any more is in nothing.
            Ok(contains(place.repo, now, &merged.commit.parse()?).unwrap_or(false))
        }
        _ => Ok(false),
    }
}

fn tree_facts(place: &Place<'_>, record: &LaneRecord) -> Result<Option<TreeFacts>, MergeError> {
    let start: CommitId = record.base_commit.parse()?;
    let mut not_work = not_work_of(place.store, record.current_session);
    not_work.push(file_inside(record.lane.ticket()));
    let question = Look {
        worktree: Path::new(&record.worktree),
        branch: &record.branch,
        start: &start,
        ignore: &not_work,
    };
    let found = look(place.repo, &question)?;
    Ok((found.tree != Tree::Missing).then_some(TreeFacts {
        head: found.head,
        operation: found.operation,
        uncommitted: found.uncommitted,
        untracked: found.untracked,
    }))
}

fn session_fact(place: &Place<'_>, record: &LaneRecord) -> Result<SessionFact, MergeError> {
    let Some(id) = record.current_session else { return Ok(SessionFact::Over) };
    let (lock, loaded) = place.store.observe(id)?;
    Ok(match (loaded, lock) {
        (Loaded::Manifest(manifest), lock) if manifest.is_ended() => {
            if lock == LockState::Held {
                // One that has recorded its end lets go in a moment.
                place.store.wait_until_free(id)?;
            }
            SessionFact::Over
        }
        (_, LockState::Held) => SessionFact::Running(id),
        (Loaded::Manifest(manifest), LockState::Free) => {
            let elsewhere = probe(lock, origin(&manifest.process, place.machine)) == Probe::Unknown;
            let why = match elsewhere {
                true => format!("it runs on {}, as far as can be told from here", manifest.process.host),
                false => "it has no supervisor".to_owned(),
            };
            SessionFact::Unsettled(id, why)
        }
        (Loaded::Missing, LockState::Free) if !place.store.session_dir(id).path().exists() => {
            SessionFact::Over
        }
        (Loaded::Missing, LockState::Free) => {
            SessionFact::Unsettled(id, "its manifest is missing".to_owned())
        }
        (Loaded::Damaged { why, .. }, LockState::Free) => {
            SessionFact::Unsettled(id, format!("its manifest is damaged: {why}"))
        }
        (Loaded::Newer { .. }, LockState::Free) => {
            SessionFact::Unsettled(id, "its manifest was written by a newer ralph".to_owned())
        }
    })
}
