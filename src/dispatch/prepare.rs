//! The worktree of a lane, made or found, and made ready for a session.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::DispatchError;
use super::plan::LanePlan;
use super::ticket_file::ticket_inside;
use super::{Context, Place, REPO_PATIENCE};
use crate::failpoint;
use crate::git::{
    Base, CommitId, Created, Files, Finished, Forwarded, GitError, Head, Interrupted, Located, LockOutcome,
    Origin, Outlook, TRASH_FOLDER, Worktree, complete_files, create, finish, forget_missing,
    lock as lock_worktree, outlook, pin, standing, undo, write_files,
};
use crate::id::SessionId;
use crate::session::lane::{LANE_VERSION, LaneRecord};
use crate::session::launch::{Pinned, pin_name};
use crate::session::store::LaneLock;
use crate::words::count;

/// A worktree that is complete and locked for its session.
#[derive(Debug)]
pub struct Ready {
    /// The worktree.
    pub worktree: Worktree,
    /// The commit that is checked out.
    pub start: CommitId,
    /// The commit that the lane's work is counted from.
    pub base_commit: String,
    /// What there is to say about it.
    pub notes: Vec<String>,
}

/// Makes or finds the lane's worktree and locks it for `reason`. Only registry and references are written under the
/// repository's lock; files are written outside it.
pub fn make_ready(
    context: &Context,
    plan: &LanePlan,
    place: &Place,
    claim: &LaneLock,
    reason: &str,
) -> Result<Ready, DispatchError> {
    let repo = &context.repo;
    match &plan.located {
        Located::Present(worktree) => locate_present(context, plan, place, worktree, claim, reason),
        Located::Missing(missing) => {
            let aside = plan.site.path.with_file_name(TRASH_FOLDER);
            crate::durable::create_private_dir(&aside)?;
            let lock = repo.lock(REPO_PATIENCE)?;
            let kept = kept_registration(&aside)?;
            let forgotten =
                forget_missing(repo, &lock, missing, &kept, Timestamp::now()).inspect_err(|_| {
                    // Best effort: only what is still empty goes.
                    drop(fs::remove_dir(&kept).and_then(|()| fs::remove_dir(&aside)));
                })?;
            drop(lock);
            let mut ready = make(context, plan, claim, reason)?;
            ready.notes.extend(forgotten.pin.map(|pin| {
                format!(
                    "what only the worktree that is gone led to is kept: staged files and commits below {pin}"
                )
            }));
            Ok(ready)
        }
        Located::New | Located::BranchOnly { .. } => make(context, plan, claim, reason),
    }
}

/// A folder of its own for each registration that is kept: two of one lane have the same name.
fn kept_registration(trash: &Path) -> Result<PathBuf, DispatchError> {
    let folder = trash.join(format!("registration-{}", uuid::Uuid::now_v7().simple()));
    crate::durable::create_private_dir(&folder)?;
    Ok(folder)
}

fn make(context: &Context, plan: &LanePlan, claim: &LaneLock, reason: &str) -> Result<Ready, DispatchError> {
    let lock = context.repo.lock(REPO_PATIENCE)?;
    let created = create(&context.repo, &lock, &plan.site, &plan.base, reason)?;
    drop(lock);
    failpoint::hit("prepare.registered");
    if let Err(error) = write_files(&context.repo, &created, claim.lock()) {
        // Half a tree is worth nothing, and on a full disk its room is. What cannot be taken back now is marked as
        // unfinished and completed by the next dispatch.
        drop(context.repo.lock(REPO_PATIENCE).and_then(|lock| undo(&context.repo, &lock, created)));
        return Err(error.into());
    }
    failpoint::hit("prepare.files");
    let Created { worktree, start, branch } = created;
    match branch {
        Origin::Made => Ok(Ready { worktree, start, base_commit: plan.base_commit(), notes: Vec::new() }),
        Origin::Continued => brought_up(context, plan, claim, Start::of(plan, worktree), &[]),
    }
}

fn locate_present(
    context: &Context,
    plan: &LanePlan,
    place: &Place,
    worktree: &Worktree,
    claim: &LaneLock,
    reason: &str,
) -> Result<Ready, DispatchError> {
    let repo = &context.repo;
    let not_work: Vec<PathBuf> = place.ticket_file.as_deref().and_then(ticket_inside).into_iter().collect();
    let mut notes = Vec::new();
    if let LockOutcome::TheUsers(theirs) = lock_worktree(worktree, reason)? {
        let why = if theirs.is_empty() { "without a reason".to_owned() } else { format!("{theirs:?}") };
        notes.push(format!("the worktree is locked by you ({why}) and stays so"));
    }
    if worktree.files == Files::Unfinished
        && let Finished::Written(_) = finish(repo, worktree, claim.lock())?
    {
        notes.push("its files were not complete and have been written again".to_owned());
    }
    let mut start = Start { notes, ..Start::of(plan, worktree.clone()) };
    complete_interrupted(context, claim, &mut start)?;
    match &worktree.head {
        Head::Branch(name) if *name == plan.site.branch.to_string() => {}
        other => {
            start.notes.push(format!("{} is checked out in it, not {}", spoken(other), plan.site.branch));
        }
    }
    brought_up(context, plan, claim, start, &not_work)
}

/// A worktree from before, as it stands so far.
struct Start {
    worktree: Worktree,
    /// The commit that the lane's work is counted from.
    base_commit: String,
    notes: Vec<String>,
}

impl Start {
    fn of(plan: &LanePlan, worktree: Worktree) -> Self {
        Self { worktree, base_commit: plan.base_commit(), notes: Vec::new() }
    }
}

/// Completes what an earlier dispatch began and was killed at: bringing the worktree up to its base.
fn complete_interrupted(context: &Context, claim: &LaneLock, start: &mut Start) -> Result<(), DispatchError> {
    let repo = &context.repo;
    let landed = match complete_files(repo, &start.worktree, claim.lock())? {
        Interrupted::No => return Ok(()),
        Interrupted::Elsewhere => None,
        Interrupted::Landed => start.worktree.tip.clone(),
        Interrupted::Files(landing) => {
            let to = landing.to().clone();
            let lock = repo.lock(REPO_PATIENCE)?;
            landing.land(repo, &lock)?;
            Some(to)
        }
    };
    // The dispatch that was killed did not come to record it.
    if let Some(commit) = landed {
        start.base_commit = commit.to_string();
        start.worktree.tip = Some(commit);
    }
    start
        .notes
        .push("it was being brought up to its base when that was interrupted; that is done now".to_owned());
    Ok(())
}

/// A worktree on a branch that was there before: brought up to its base where it has nothing of its own. Only a
/// branch of ralph's own making moves; one that the user named may be anything.
fn brought_up(
    context: &Context,
    plan: &LanePlan,
    claim: &LaneLock,
    start: Start,
    not_work: &[PathBuf],
) -> Result<Ready, DispatchError> {
    let Start { worktree, base_commit: counted_from, mut notes } = start;
    let forwarded = if plan.site.branch == plan.lane.default_branch() {
        fast_forward(context, claim, &worktree, &plan.base, not_work)?
    } else {
        standing(&context.repo, &worktree, &plan.base)?
    };
    let (branch, base) = (&plan.site.branch, &plan.base.name);
    let tip = || worktree.tip.clone().ok_or_else(|| gone(plan));
    let (start, base_commit) = match forwarded {
        Forwarded::Moved { by } => {
            let by = count(by, "commit");
            notes.push(format!("{branch} had nothing of its own and was moved on by {by} to {base}"));
            (plan.base.commit.clone(), plan.base.commit.to_string())
        }
        Forwarded::UpToDate => (tip()?, counted_from),
        Forwarded::Continued { behind, ahead: _ } => {
            notes.push(format!(
                "{branch} is continued as it is; it is {} behind {base}",
                count(behind, "commit")
            ));
            (tip()?, counted_from)
        }
    };
    Ok(Ready { worktree, start, base_commit, notes })
}

/// Moves a worktree and its branch on to the base where nothing could be lost by it: the files outside the repository's
/// lock, since a filter may take as long as it likes, the branch under it.
fn fast_forward(
    context: &Context,
    claim: &LaneLock,
    worktree: &Worktree,
    base: &Base,
    not_work: &[PathBuf],
) -> Result<Forwarded, DispatchError> {
    let repo = &context.repo;
    let forward = match outlook(repo, worktree, base, not_work)? {
        Outlook::Stays(stands) => return Ok(stands),
        Outlook::Clear(forward) => forward,
    };
    let continued = forward.continued();
    let Some(landing) = forward.write_files(repo, claim.lock())? else { return Ok(continued) };
    let lock = repo.lock(REPO_PATIENCE)?;
    Ok(landing.land(repo, &lock)?)
}

fn gone(plan: &LanePlan) -> DispatchError {
    GitError::ChangedMeanwhile {
        path: plan.path().to_owned(),
        what: format!("its branch {} has gone", plan.site.branch),
    }
    .into()
}

fn spoken(head: &Head) -> String {
    match head {
        Head::Branch(name) => format!("branch {name}"),
        Head::Detached(commit) => format!("the detached commit {}", commit.short()),
        Head::Unclear => "nothing that can be read".to_owned(),
    }
}

/// The record of the lane as it stands now, without a session.
pub fn lane_record(plan: &LanePlan, ready: &Ready, now: Timestamp) -> LaneRecord {
    let known = plan.record.clone();
    LaneRecord {
        schema_version: LANE_VERSION,
        lane: plan.lane.clone(),
        base_ref: known.as_ref().map_or_else(|| plan.base.name.clone(), |record| record.base_ref.clone()),
        base_commit: ready.base_commit.clone(),
        branch: plan.site.branch.clone(),
        worktree_id: ready.worktree.id.clone(),
        worktree: ready.worktree.path.to_string_lossy().into_owned(),
        current_session: known.as_ref().and_then(|record| record.current_session),
        guarded_by: known.as_ref().and_then(|record| record.guarded_by),
        attempts: known.as_ref().map_or(0, |record| record.attempts),
        created_at: known.as_ref().map_or(now, |record| record.created_at),
        extra: known.map(|record| record.extra).unwrap_or_default(),
    }
}

/// Gives the work of earlier sessions a name of its own while an agent runs that could rewrite the branch's history.
pub fn pin_earlier_work(context: &Context, ready: &Ready, session: SessionId) -> Result<(), DispatchError> {
    if ready.start.as_str() == ready.base_commit {
        return Ok(());
    }
    let lock = context.repo.lock(REPO_PATIENCE)?;
    Ok(pin(&context.repo, &lock, &pin_name(session, Pinned::Start), &ready.start)?)
}
