//! Moving a target, and the worktrees that have it checked out, as one step: on record, by compare-and-swap, then
//! the worktrees.

use super::error::MergeError;
use super::open_workshop::close;
use super::queue::{self, Entry, Landing, LaneMerge, Stage, Turn};
use super::status_line::reconcile;
use super::{Place, REPO_PATIENCE};
use crate::failpoint;
use crate::git::{
    BY_RALPH, Blocked, CommitId, Follower, GitError, HeldIndex, Repo, RepoLock, Way, WhyBlocked, advance,
    are_all, follow, pin_merge, unpin_merge, way,
};
use crate::id::BranchName;
use crate::session::store::{LaneLock, StoreError};

/// What is to land.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) target: &'a BranchName,
    pub(super) from: &'a CommitId,
    pub(super) to: &'a CommitId,
    /// What the reflog says.
    pub(super) log: &'a str,
    /// The lane that is merged by it.
    pub(super) lane: Option<LaneMerge>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Landed {
    /// The target has moved.
    Done {
        /// The worktrees that followed.
        trees: Vec<Follower>,
        /// What could not be finished, and will be tried again.
        notes: Vec<String>,
    },
    /// The target is not where it was any more, or other worktrees have it checked out: nothing has moved.
    Moved,
}

/// Keeps a commit that nothing leads to yet.
pub(super) fn keep(
    place: &Place<'_>,
    entry: &Entry,
    commit: &CommitId,
    known: &[&CommitId],
) -> Result<(), MergeError> {
    let lock = place.repo.lock(REPO_PATIENCE)?;
    Ok(pin_merge(place.repo, &lock, &entry.id.to_string(), commit, known)?)
}

/// Lands it. The lane is that of `claim`.
pub(super) fn land(
    place: &Place<'_>,
    turn: &Turn,
    entry: &mut Entry,
    load: Load<'_>,
    claim: Option<&LaneLock>,
) -> Result<Landed, MergeError> {
    let Place { repo, store, .. } = *place;
    let Load { target, from, to, log, lane } = load;
    // The files of the merge are written into worktrees by git, through filters that must not come from there.
    repo.engine_for(to)?;
    let trees = match way(repo, target, from, to, &reconcile)? {
        Way::Clear(trees) => trees,
        Way::Blocked(blocked) => return Err(MergeError::InTheWay { target: target.clone(), blocked }),
    };
    let landing = Landing { target: target.clone(), from: from.clone(), to: to.clone(), trees, lane };
    entry.stage = Stage::Landing(Box::new(landing.clone()));
    queue::write(store, entry)?;
    failpoint::hit("merge.recorded");
    let held = match hold(&landing, &entry.id.to_string()) {
        Ok(Some(held)) => held,
        not_held => {
            entry.stage = Stage::Making;
            queue::write(store, entry)?;
            return not_held.map(|_| Landed::Moved);
        }
    };
    failpoint::hit("merge.held");
    let has_moved = {
        let lock = repo.lock(REPO_PATIENCE)?;
        // What came to have the target since is on record nowhere: nothing would bring it along.
        are_all(repo, &lock, target, &landing.trees)? && moves(repo, &lock, target, (from, to), log)?
    };
    if !has_moved {
        // First: what is only being made holds no lock.
        drop(held);
        entry.stage = Stage::Making;
        queue::write(store, entry)?;
        return Ok(Landed::Moved);
    }
    failpoint::hit("merge.landed");
    let mut notes = Vec::new();
    let mut followed = Vec::new();
    let mut trees = landing.trees.iter().zip(held);
    while let Some((tree, index)) = trees.next() {
        let why = match bring_along(repo, &index, from, to, turn) {
            Ok(()) => {
                followed.push(tree.clone());
                continue;
            }
            // Nowhere is anything of the merge yet.
            Err(NotAlong::AsItWas(error)) if followed.is_empty() && notes.is_empty() => {
                match move_back(place, &landing) {
                    Ok(true) => {
                        drop((index, trees));
                        entry.stage = Stage::Making;
                        queue::write(store, entry)?;
                        let why = WhyBlocked::Refused(error.to_string());
                        let blocked = Blocked { tree: tree.path.clone(), why };
                        return Err(MergeError::InTheWay { target: target.clone(), blocked });
                    }
                    Ok(false) => error.to_string(),
                    // The target has moved: "not merged" would be wrong, and letting git in worse.
                    Err(back) => format!("{error}; nor could {target} be moved back: {back}"),
                }
            }
            Err(NotAlong::AsItWas(error) | NotAlong::InPart(error)) => error.to_string(),
        };
        // A commit there would take the merge back.
        index.leave();
        notes.push(format!(
            "{} has {target} checked out and could not be brought along: {why}; `ralph worktree recover` tries \
             again, and git commits nothing there until then",
            tree.path.display()
        ));
    }
    failpoint::hit("merge.followed");
    if notes.is_empty()
        && let Err(error) = finish(place, entry, &landing, claim)
    {
        notes.push(format!("what the merge needed could not all be cleared away: {error}"));
    }
    Ok(Landed::Done { trees: followed, notes })
}

/// Keeps git from committing, staging and switching in the worktrees that are to follow. `None`: one has been switched
/// to another branch since it was looked at.
fn hold<'l>(landing: &'l Landing, merge: &str) -> Result<Option<Vec<HeldIndex<'l>>>, MergeError> {
    let mut held = Vec::new();
    for tree in &landing.trees {
        held.push(HeldIndex::take(tree, merge).map_err(|error| match error {
            GitError::IndexLocked { .. } => {
                let blocked = Blocked { tree: tree.path.clone(), why: WhyBlocked::IndexLock };
                MergeError::InTheWay { target: landing.target.clone(), blocked }
            }
            error => error.into(),
        })?);
        if !tree.has_checked_out(&landing.target)? {
            return Ok(None);
        }
    }
    Ok(Some(held))
}

/// Why a worktree has not followed.
enum NotAlong {
    /// Its files and its index are as they were.
    AsItWas(GitError),
    /// They may not be.
    InPart(GitError),
}

fn bring_along(
    repo: &Repo,
    index: &HeldIndex<'_>,
    from: &CommitId,
    to: &CommitId,
    turn: &Turn,
) -> Result<(), NotAlong> {
    follow(repo, index, from, to, turn.lock()).map_err(|error| match error {
        GitError::HalfWritten { .. } => NotAlong::InPart(error),
        error => NotAlong::AsItWas(error),
    })?;
    index.publish().map_err(NotAlong::InPart)
}

/// Moves the target back where it was, before any worktree has followed. `false`: it is elsewhere by now.
fn move_back(place: &Place<'_>, landing: &Landing) -> Result<bool, MergeError> {
    let lock = place.repo.lock(REPO_PATIENCE)?;
    let log = format!("merge undone {BY_RALPH}");
    Ok(moves(place.repo, &lock, &landing.target, (&landing.to, &landing.from), &log)?)
}

/// Moves the target from one commit to another. `false`: it is elsewhere by now.
fn moves(
    repo: &Repo,
    lock: &RepoLock,
    target: &BranchName,
    (from, to): (&CommitId, &CommitId),
    log: &str,
) -> Result<bool, GitError> {
    match advance(repo, lock, target, from, to, log) {
        Ok(()) => Ok(true),
        Err(GitError::RefMoved { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Records the merge with its lane, and lets go of everything that was only there for it.
pub(super) fn finish(
    place: &Place<'_>,
    entry: &mut Entry,
    landing: &Landing,
    claim: Option<&LaneLock>,
) -> Result<(), MergeError> {
    if let (Some(merge), Some(claim)) = (&landing.lane, claim)
        && let Some(lane) = place.store.lane(&merge.lane)?
    {
        let lane = lane.with_merged(&merge.record);
        let lane = lane.map_err(|source| StoreError::Encode { what: "a merge", source })?;
        place.store.write_lane(claim, &lane)?;
    }
    failpoint::hit("merge.lane");
    discard(place, entry)
}

/// Lets go of everything that was only there for a merge.
pub(super) fn discard(place: &Place<'_>, entry: &mut Entry) -> Result<(), MergeError> {
    close(place, entry)?;
    {
        let lock = place.repo.lock(REPO_PATIENCE)?;
        unpin_merge(place.repo, &lock, &entry.id.to_string())?;
    }
    failpoint::hit("merge.unpinned");
    Ok(queue::close(place.store, entry.id)?)
}
