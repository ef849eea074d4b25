//! Carrying a merge out: the lane is taken, its turn awaited, the result made and landed, again where the target
//! moved meanwhile.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::commit::{Desk, New, commit, refuse_changes};
use super::error::{Conflict, MergeError};
use super::found::record_found;
use super::gather::{claim, gather, known_lane};
use super::land::{Landed, Load, discard, keep, land};
use super::message::{MOST_LISTED, Subject, message};
use super::other_side::other_sides;
use super::plan::{Plan, decide};
use super::queue::{self, Entry, LaneMerge, Turn, wait_for_turn};
use super::settle::settle_and_tell;
use super::status_line::reconcile;
use super::verify::{Checked, verify};
use super::{MergeRequest, MergeStrategy, Place, Progress};
use crate::failpoint;
use crate::git::{
    BY_RALPH, CommitId, DraftKind, Follower, Rebased, Signing, TreeMerge, Way, contains, keep_collector_off,
    merge_trees, rebase, refuse_without_identity, squashed_commits, tip_of, tree_of, unverified, way,
};
use crate::id::{BranchName, Lane, TicketId};
use crate::session::lane::{LaneRecord, MergedRecord};
use crate::session::store::LaneLock;

/// So often a merge is made before a target that keeps moving is given up on.
const TRIES: usize = 5;

/// A merge that was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merged {
    /// The lane.
    pub lane: Lane,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// Its branch.
    pub branch: BranchName,
    /// The commit of it that was merged.
    pub tip: CommitId,
    /// The branch that it was merged into.
    pub target: BranchName,
    /// What that was before.
    pub before: CommitId,
    /// What it is now.
    pub commit: CommitId,
    /// How.
    #[serde(serialize_with = "word")]
    pub strategy: MergeStrategy,
    /// The worktrees that have the target checked out and were brought along.
    pub trees: Vec<PathBuf>,
    /// What there is to say.
    pub notes: Vec<String>,
}

/// What a merge would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// The lane.
    pub lane: Lane,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// Its branch.
    pub branch: BranchName,
    /// The commit of it that would be merged.
    pub tip: CommitId,
    /// The branch that it would be merged into.
    pub target: BranchName,
    /// What that is now.
    pub before: CommitId,
    /// How.
    #[serde(serialize_with = "word")]
    pub strategy: MergeStrategy,
    /// The worktrees that would be brought along.
    pub trees: Vec<PathBuf>,
    /// What there is to say.
    pub notes: Vec<String>,
}

fn word<S: serde::Serializer>(strategy: &MergeStrategy, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(strategy.word())
}

/// Merges a lane. Either the target has moved and everything has followed, or nothing has moved.
pub fn merge(
    place: &Place<'_>,
    request: &MergeRequest,
    progress: &dyn Progress,
) -> Result<Merged, MergeError> {
    let claim = claim(place.store, &request.lane)?;
    let merged = merge_claimed(place, request, &claim, progress);
    if let Err(MergeError::NothingToMerge { target, .. }) = &merged {
        record_found(place, request, &claim, target, progress);
    }
    merged
}

fn merge_claimed(
    place: &Place<'_>,
    request: &MergeRequest,
    claim: &LaneLock,
    progress: &dyn Progress,
) -> Result<Merged, MergeError> {
    let record = known_lane(place.store, &request.lane)?;
    // What is refused is refused before anyone has waited.
    decide(gather(place, &record, request)?)?;
    let cancelled = || MergeError::Cancelled { lane: record.lane.clone() };
    let turn = wait_for_turn(place.store, &record.lane.to_string(), progress)?.ok_or_else(cancelled)?;
    settle_and_tell(place, &turn, Some(claim), progress)?;
    // What was true before the wait may not be any more, the record of an interrupted merge included.
    let record = known_lane(place.store, &request.lane)?;
    let plan = decide(gather(place, &record, request)?)?;
    plan.notes.iter().for_each(|note| progress.note(note));
    let mut entry = queue::begin(place, &turn, &record.lane.to_string())?;
    failpoint::hit("merge.begun");
    let work = Work { place, request, progress, record: &record, claim, plan: &plan };
    let merged = work.until_landed(&turn, &mut entry);
    if merged.is_err() && matches!(entry.stage, queue::Stage::Making) {
        discard(place, &mut entry)?;
    }
    merged
}

/// Looks what a merge would do, or why it would be refused. Nothing that anyone sees changes.
pub fn dry_run(
    place: &Place<'_>,
    request: &MergeRequest,
    progress: &dyn Progress,
) -> Result<Planned, MergeError> {
    let claim = claim(place.store, &request.lane)?;
    let record = known_lane(place.store, &request.lane)?;
    let plan = decide(gather(place, &record, request)?)?;
    let folder = tempfile::tempdir_in(place.store.root())
        .map_err(|e| crate::durable::FileError::io("create a folder in", place.store.root(), e))?;
    let work = Work { place, request, progress, record: &record, claim: &claim, plan: &plan };
    work.guard()?;
    // What is made is only looked at, but until then.
    let _collector_off = keep_collector_off(place.repo)?;
    // Without hooks and signing: both may ask for something, or do it.
    let commit = match work.make(folder.path(), &plan.before)? {
        Made::There(commit) => commit,
        Made::New(new) => new.commit(place.repo, Signing::None)?,
    };
    let trees = work.way(&plan.before, &commit)?;
    Ok(Planned {
        ticket_id: plan.lane.ticket().clone(),
        lane: plan.lane,
        branch: plan.branch,
        tip: plan.tip,
        target: plan.target,
        before: plan.before,
        strategy: request.strategy,
        trees: trees.into_iter().map(|tree| tree.path).collect(),
        notes: plan.notes,
    })
}

/// What was made of a lane's work.
enum Made<'a> {
    /// A commit that is there.
    There(CommitId),
    /// One that is to be committed.
    New(New<'a>),
}

struct Work<'a> {
    place: &'a Place<'a>,
    request: &'a MergeRequest,
    progress: &'a dyn Progress,
    record: &'a LaneRecord,
    claim: &'a LaneLock,
    plan: &'a Plan,
}

impl Work<'_> {
    fn until_landed(&self, turn: &Turn, entry: &mut Entry) -> Result<Merged, MergeError> {
        let Self { place, plan, .. } = *self;
        let mut from = plan.before.clone();
        for _ in 0..TRIES {
            self.go_on()?;
            self.guard()?;
            // Until a reference leads to it.
            let collector_off = keep_collector_off(place.repo)?;
            let made = self.make(&queue::scratch(place.store, entry.id), &from)?;
            let to = self.commit(turn, entry, made)?;
            keep(place, entry, &to, &[&from, &plan.tip])?;
            drop(collector_off);
            failpoint::hit("merge.made");
            self.go_on()?;
            if let Some(check) = &self.request.verify {
                // What cannot land need not be checked.
                self.way(&from, &to)?;
                let checked = Checked { lane: &plan.lane, target: &plan.target, commit: &to };
                verify(place, turn, entry, check, checked, self.progress)?;
            }
            failpoint::hit("merge.verified");
            let lane = LaneMerge {
                lane: plan.lane.clone(),
                record: MergedRecord {
                    into: plan.target.clone(),
                    before: from.to_string(),
                    commit: to.to_string(),
                    tip: plan.tip.to_string(),
                    at: Timestamp::now(),
                    attempts: Some(self.record.attempts),
                    closed_at: None,
                },
            };
            let log = format!("merge {}: {} {BY_RALPH}", plan.branch, self.request.strategy.word());
            let load = Load { target: &plan.target, from: &from, to: &to, log: &log, lane: Some(lane) };
            match land(place, turn, entry, load, Some(self.claim))? {
                Landed::Done { trees, notes } => return Ok(self.merged(from, to, trees, notes)),
                Landed::Moved => {}
            }
            from = tip_of(place.repo, &plan.target)?.ok_or_else(|| self.target_gone())?;
            if contains(place.repo, &from, &plan.tip)? {
                return Err(self.nothing());
            }
            self.progress.note(&format!("{} has moved meanwhile: the merge is made again", plan.target));
        }
        Err(MergeError::TargetKeptMoving { target: plan.target.clone(), tries: TRIES })
    }

    /// What the target is to be moved to. Nothing leads to it yet.
    fn make<'s>(&'s self, scratch: &Path, from: &'s CommitId) -> Result<Made<'s>, MergeError> {
        let (repo, tip) = (self.place.repo, &self.plan.tip);
        match self.request.strategy {
            MergeStrategy::Ff => {
                if !contains(repo, tip, from)? {
                    let (branch, target) = (self.plan.branch.clone(), self.plan.target.clone());
                    return Err(MergeError::NotFastForward { branch, target });
                }
                Ok(Made::There(tip.clone()))
            }
            MergeStrategy::Rebase => {
                refuse_without_identity(repo)?;
                match rebase(repo, scratch, from, tip)? {
                    Rebased::Clean(commit) if commit == *from => Err(self.nothing()),
                    Rebased::Clean(commit) => Ok(Made::There(commit)),
                    Rebased::Conflict { commit, files } => Err(self.conflict(from, files, commit)),
                }
            }
            MergeStrategy::Merge | MergeStrategy::Squash => {
                refuse_without_identity(repo)?;
                let tree = match merge_trees(repo, scratch, from, tip)? {
                    TreeMerge::Clean(tree) => tree,
                    TreeMerge::Conflict(files) => return Err(self.conflict(from, files, None)),
                };
                let squash = self.request.strategy == MergeStrategy::Squash;
                if squash && tree == tree_of(repo, from)? {
                    return Err(self.nothing());
                }
                let message = self.message(from)?;
                let kind = if squash { DraftKind::Squash } else { DraftKind::Merge(tip) };
                Ok(Made::New(New { tree, onto: from, kind, message }))
            }
        }
    }

    fn commit(&self, turn: &Turn, entry: &mut Entry, made: Made<'_>) -> Result<CommitId, MergeError> {
        match made {
            Made::There(commit) => Ok(commit),
            Made::New(new) => {
                let Self { place, progress, .. } = *self;
                commit(Desk { place, turn, lane: &self.plan.lane, progress }, entry, new)
            }
        }
    }

    /// Refuses what the user would not have merged: with what an agent may have set up for that, or unsigned.
    fn guard(&self) -> Result<(), MergeError> {
        refuse_changes(self.place, self.record, self.request.changes)?;
        // A rebase makes commits of the user's own.
        if self.request.strategy == MergeStrategy::Rebase {
            return Ok(());
        }
        match unverified(self.place.repo, &self.plan.tip)? {
            None => Ok(()),
            Some(why) => {
                let Plan { lane, branch, tip, .. } = self.plan.clone();
                Err(MergeError::NotSigned { lane, branch, tip, why })
            }
        }
    }

    /// The worktrees that would follow, or what is in the way.
    fn way(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Follower>, MergeError> {
        match way(self.place.repo, &self.plan.target, from, to, &reconcile)? {
            Way::Clear(trees) => Ok(trees),
            Way::Blocked(blocked) => Err(MergeError::InTheWay { target: self.plan.target.clone(), blocked }),
        }
    }

    fn message(&self, from: &CommitId) -> Result<String, MergeError> {
        let commits = match self.request.strategy {
            MergeStrategy::Squash => squashed_commits(self.place.repo, from, &self.plan.tip, MOST_LISTED)?,
            _ => Vec::new(),
        };
        let subject = Subject {
            lane: &self.plan.lane,
            branch: &self.plan.branch,
            title: self.request.title.as_deref(),
            session: self.record.current_session,
            commits: &commits,
        };
        Ok(message(self.request.strategy, &subject))
    }

    fn go_on(&self) -> Result<(), MergeError> {
        match self.progress.is_cancelled() {
            true => Err(MergeError::Cancelled { lane: self.plan.lane.clone() }),
            false => Ok(()),
        }
    }

    fn merged(&self, before: CommitId, commit: CommitId, trees: Vec<Follower>, more: Vec<String>) -> Merged {
        let plan = self.plan;
        more.iter().for_each(|note| self.progress.note(note));
        Merged {
            lane: plan.lane.clone(),
            ticket_id: plan.lane.ticket().clone(),
            branch: plan.branch.clone(),
            tip: plan.tip.clone(),
            target: plan.target.clone(),
            before,
            commit,
            strategy: self.request.strategy,
            trees: trees.into_iter().map(|tree| tree.path).collect(),
            notes: plan.notes.iter().cloned().chain(more).collect(),
        }
    }

    fn nothing(&self) -> MergeError {
        // The notes have been told.
        let Plan { lane, branch, target, .. } = self.plan.clone();
        MergeError::NothingToMerge { lane, branch, target, left: Vec::new() }
    }

    /// The error for files in conflict; where that cannot be looked at, the error why.
    fn conflict(&self, from: &CommitId, files: Vec<PathBuf>, commit: Option<CommitId>) -> MergeError {
        match other_sides(self.place, self.plan, from, files) {
            Ok(files) => {
                let Plan { lane, branch, target, .. } = self.plan.clone();
                MergeError::Conflict(Box::new(Conflict { lane, branch, target, files, commit }))
            }
            Err(error) => error,
        }
    }

    fn target_gone(&self) -> MergeError {
        let Plan { lane, target, .. } = self.plan.clone();
        MergeError::NoTarget { lane, name: target.to_string(), why: super::WhyNoTarget::Gone }
    }
}
