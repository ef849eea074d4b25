//! Work that is in the target already, brought there by someone else: an agent, or the user with `git merge`.

use jiff::Timestamp;

use super::commit::refuse_changes;
use super::error::MergeError;
use super::{MergeRequest, Place, Progress};
use crate::git::{CommitId, commits_beyond, first_with, tip_of};
use crate::id::BranchName;
use crate::session::lane::{LaneRecord, MergedRecord};
use crate::session::store::{LaneLock, StoreError};
use crate::session::unmerged::{Since, since};

/// Records with the lane that the target has its work, as a merge by ralph does: without that, whoever needs this work
/// would wait for a merge that never comes, since there is nothing to merge.
///
/// A lane without commits of its own has no work that anyone could have merged. That there is nothing to merge stays
/// true where it cannot be recorded: that is told, and no failure.
pub(super) fn record_found(
    place: &Place<'_>,
    request: &MergeRequest,
    claim: &LaneLock,
    target: &BranchName,
    progress: &dyn Progress,
) {
    if let Err(error) = record(place, request, claim, target) {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        let why = error.why();
        let text = format!("that {target} has its work could not be recorded: {why}{hint}");
        progress.note_about(&request.lane.to_string(), &text);
    }
}

fn record(
    place: &Place<'_>,
    request: &MergeRequest,
    claim: &LaneLock,
    target: &BranchName,
) -> Result<(), MergeError> {
    let Place { repo, store, .. } = *place;
    let Some(record) = store.lane(&request.lane)? else { return Ok(()) };
    let (Some(tip), Some(now)) = (tip_of(repo, &record.branch)?, tip_of(repo, target)?) else {
        return Ok(());
    };
    let base: CommitId = record.base_commit.parse()?;
    if commits_beyond(repo, &base, &tip)? == 0 {
        return Ok(());
    }
    let known = record.merged().filter(|merged| is_of(merged, &record, &tip, target));
    // A session that was begun since and found nothing to add leaves the same commits behind.
    if let Some(known) = &known
        && since(store, &record, known)? != Since::Session
    {
        return Ok(());
    }
    // What counts as merged is where the next session's settings and hooks are compared from.
    refuse_changes(place, &record, request.changes)?;
    let merged = MergedRecord {
        at: Timestamp::now(),
        attempts: Some(record.attempts),
        // What was closed before a session was begun again was opened again for it.
        closed_at: None,
        ..match known {
            Some(known) => known,
            None => MergedRecord {
                into: target.clone(),
                before: now.to_string(),
                commit: first_with(repo, &tip, &now)?.to_string(),
                tip: tip.to_string(),
                at: Timestamp::now(),
                attempts: None,
                closed_at: None,
            },
        }
    };
    let record = record.with_merged(&merged);
    let record = record.map_err(|source| StoreError::Encode { what: "a merge", source })?;
    Ok(store.write_lane(claim, &record)?)
}

/// Whether it is of this work, in this target. What is recorded of the lane's own base says more than what is found in
/// another branch, and stays.
fn is_of(merged: &MergedRecord, record: &LaneRecord, tip: &CommitId, target: &BranchName) -> bool {
    merged.tip == tip.as_str() && (merged.into == *target || merged.into.as_str() == record.base_ref)
}
