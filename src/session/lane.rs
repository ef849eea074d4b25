//! The record of a lane: which worktree and branch it owns, and which session is its current one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{BranchName, Lane, SessionId};

/// What `lanes/<slug>/lane.json` holds. Fields are only added; unknown ones are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// The version of this format: 1.
    pub schema_version: u32,
    /// The lane; a folder whose record names another lane is not this lane's.
    pub lane: Lane,
    /// The base's name when the lane was made.
    pub base_ref: String,
    /// The base's commit: where the lane's branch left its base, or was last brought up to it.
    pub base_commit: String,
    /// The lane's branch.
    pub branch: BranchName,
    /// The name under which git has the worktree registered.
    pub worktree_id: String,
    /// Where the worktree was last seen.
    pub worktree: String,
    /// The session last begun.
    pub current_session: Option<SessionId>,
    /// The session whose launch record has the guard that the work is under, where that is an earlier one: what is not
    /// merged yet stays under the guard of the first that was launched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded_by: Option<SessionId>,
    /// How many sessions were begun.
    pub attempts: u32,
    /// When the lane was made.
    pub created_at: Timestamp,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A [`LaneRecord`] with nothing in it that this version does not know.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainLaneRecord {
    pub(super) schema_version: u32,
    lane: Lane,
    base_ref: String,
    base_commit: String,
    branch: BranchName,
    worktree_id: String,
    worktree: String,
    current_session: Option<SessionId>,
    #[serde(default)]
    guarded_by: Option<SessionId>,
    attempts: u32,
    created_at: Timestamp,
    #[serde(default)]
    merged: Option<Value>,
}

impl From<PlainLaneRecord> for LaneRecord {
    fn from(plain: PlainLaneRecord) -> Self {
        Self {
            schema_version: plain.schema_version,
            lane: plain.lane,
            base_ref: plain.base_ref,
            base_commit: plain.base_commit,
            branch: plain.branch,
            worktree_id: plain.worktree_id,
            worktree: plain.worktree,
            current_session: plain.current_session,
            guarded_by: plain.guarded_by,
            attempts: plain.attempts,
            created_at: plain.created_at,
            extra: plain.merged.map(|merged| (MERGED.to_owned(), merged)).into_iter().collect(),
        }
    }
}

/// The last merge of a lane: what ancestry alone cannot tell after a squash or a rebase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRecord {
    /// The branch that it was merged into.
    pub into: BranchName,
    /// What that branch was before; where it was when it was found to have the work that someone else had brought there.
    pub before: String,
    /// What it was moved to; where someone else had brought the work there, the first of its commits that has it.
    pub commit: String,
    /// The lane's own commit that was merged. A branch that is elsewhere now has new work.
    pub tip: String,
    /// When.
    pub at: Timestamp,
    /// How many sessions of the lane had been begun; none where an older ralph merged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// When ralph closed the ticket in a file that git does not track: of any other, the commits tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
}

/// The key of a [`MergedRecord`] in a lane's record.
const MERGED: &str = "merged";

impl LaneRecord {
    /// The last merge of the lane, where there was one. One that cannot be read is none.
    pub fn merged(&self) -> Option<MergedRecord> {
        serde_json::from_value(self.extra.get(MERGED)?.clone()).ok()
    }

    /// Whether the lane still needs what is on record of that session.
    pub fn needs(&self, session: SessionId) -> bool {
        [self.current_session, self.guarded_by].contains(&Some(session))
    }

    /// The record with this merge in it.
    pub fn with_merged(mut self, merged: &MergedRecord) -> Result<Self, serde_json::Error> {
        self.extra.insert(MERGED.to_owned(), serde_json::to_value(merged)?);
        if merged.attempts == Some(self.attempts) {
            // What is begun from here on is under a guard of its own.
            self.guarded_by = None;
        }
        Ok(self)
    }
}

/// The version of [`LaneRecord`] that is written.
pub const LANE_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_kept_and_the_short_way_does_not_take_it() {
        let known = r#"{"schema_version":1,"lane":"T-1","base_ref":"main","base_commit":"c","branch":"ralph/T-1",
            "worktree_id":"t-1","worktree":"/w","current_session":null,
            "guarded_by":"0193a1b2-0000-7000-8000-000000000000","attempts":2,"created_at":"2026-01-01T00:00:00Z","merged":{"into":"main"}}"#;
        let whole: LaneRecord = serde_json::from_str(known).unwrap();
        assert_eq!(LaneRecord::from(serde_json::from_str::<PlainLaneRecord>(known).unwrap()), whole);
        let newer = known.replacen('{', r#"{"later":1,"#, 1);
        assert!(serde_json::from_str::<PlainLaneRecord>(&newer).is_err());
        assert_eq!(serde_json::from_str::<LaneRecord>(&newer).unwrap().extra["later"], 1);
    }
}
