//! Whose work is on the other side of a conflict.

use std::path::PathBuf;

use super::Place;
use super::conflict::{Conflicted, OtherSide};
use super::error::MergeError;
use super::message::{LANE, TICKET};
use super::plan::Plan;
use crate::git::{Change, CommitId, contains, last_change};
use crate::id::Lane;
use crate::session::lane::LaneRecord;

/// For no more files is it looked up.
const LOOKED_UP: usize = 20;

/// Looks up what is on the other side of each file.
pub(super) fn other_sides(
    place: &Place<'_>,
    plan: &Plan,
    target_commit: &CommitId,
    files: Vec<PathBuf>,
) -> Result<Vec<Conflicted>, MergeError> {
    let (lanes, _) = place.store.lanes()?;
    let mut known = Vec::new();
    for (number, file) in files.into_iter().enumerate() {
        let change = match number < LOOKED_UP {
            true => last_change(place.repo, target_commit, &plan.tip, &file)?,
            false => None,
        };
        let other_side = change.map(|change| {
            let merged = || lanes.iter().find(|lane| brought(place, plan, lane, &change.commit));
            named(&change).unwrap_or_else(|| of_lane(&change, merged()))
        });
        known.push(Conflicted { file, other_side });
    }
    Ok(known)
}

/// The other side as the commit itself names it. Pure.
fn named(change: &Change) -> Option<OtherSide> {
    let trailer = |key: &str| {
        let lines = change.trailers.lines();
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| *name == key).map(|(_, v)| v.trim())
    };
    let lane: Option<Lane> = trailer(LANE).or(trailer(TICKET)).and_then(|text| text.parse().ok());
    let rest = change.subject.strip_prefix("Merge branch '");
    let branch = rest.and_then(|rest| rest.split_once('\'')).map(|(name, _)| name.to_owned());
    (lane.is_some() || branch.is_some()).then(|| OtherSide {
        ticket_id: lane.as_ref().map(|lane| lane.ticket().clone()),
        lane,
        branch,
        commit: change.commit.clone(),
        subject: change.subject.clone(),
    })
}

fn of_lane(change: &Change, lane: Option<&LaneRecord>) -> OtherSide {
    OtherSide {
        ticket_id: lane.map(|record| record.lane.ticket().clone()),
        lane: lane.map(|record| record.lane.clone()),
        branch: lane.map(|record| record.branch.to_string()),
        commit: change.commit.clone(),
        subject: change.subject.clone(),
    }
}

/// Whether the merge of a lane brought the commit into the target, as a rebase or a fast-forward does.
fn brought(place: &Place<'_>, plan: &Plan, lane: &LaneRecord, commit: &CommitId) -> bool {
    let Some(merged) = lane.merged().filter(|merged| merged.into == plan.target) else { return false };
    let (Ok(before), Ok(after)) = (merged.before.parse(), merged.commit.parse()) else { return false };
    // A commit that is not here any more brought nothing that is.
    let has = |one: &CommitId| contains(place.repo, one, commit).unwrap_or(false);
    has(&after) && !has(&before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(subject: &str, trailers: &str) -> String {
        let commit: CommitId = "a".repeat(40).parse().unwrap();
        let change = Change { commit, subject: subject.into(), trailers: trailers.into() };
        named(&change).unwrap_or_else(|| of_lane(&change, None)).to_string()
    }

    #[test]
    fn a_commit_names_the_lane_the_branch_or_itself() {
        assert_eq!(said("Merge ralph/T-2: x", "Ralph-Ticket: T-2\nRalph-Session: y"), "T-2");
        assert_eq!(said("x", "Ralph-Ticket: T-2\nRalph-Lane: T-2@next"), "T-2@next");
        assert_eq!(said("Merge branch 'topic' into main", ""), "the branch topic");
        assert_eq!(said("Fix \u{1b}[2J it", "Ralph-Ticket: ../x"), r#"aaaaaaaaaa "Fix \u{1b}[2J it""#);
    }
}
