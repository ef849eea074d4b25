//! A merge's own worktree, for hooks and checks: on record before it is there, and thrown away with whatever still runs
//! in it.

use super::error::MergeError;
use super::queue::{self, Entry, Turn};
use super::{Place, REPO_PATIENCE};
use crate::failpoint;
use crate::git::{CommitId, Workshop};
use crate::id::Lane;
use crate::process::check::end_marked;
use crate::process::descendants::Mark;
use crate::process::identity::this_process;

/// The variable that everything a hook or a check starts bears in its environment.
pub(super) const MARK_VARIABLE: &str = "RALPH_MERGE_ID";

/// The folder of these worktrees, below the one for lanes.
const FOLDER: &str = ".merges";

/// Opens the merge's workshop on a commit, on record first.
pub(super) fn open(
    place: &Place<'_>,
    turn: &Turn,
    entry: &mut Entry,
    commit: &CommitId,
    lane: &Lane,
) -> Result<Workshop, MergeError> {
    let path = place.root.join(FOLDER).join(format!("merge-{}", entry.id));
    entry.workshop = Some(queue::OpenWorkshop {
        path: path.clone(),
        boot_id: place.machine.boot_id.clone(),
        since_ticks: this_process().map_or(0, |me| me.start_ticks),
    });
    queue::write(place.store, entry)?;
    let workshop = Workshop::at(path);
    let lock = place.repo.lock(REPO_PATIENCE)?;
    let created = workshop.register(place.repo, &lock, commit, &format!("ralph merges {lane}"))?;
    drop(lock);
    failpoint::hit("verify.registered");
    workshop.fill(place.repo, &created, turn.lock())?;
    Ok(workshop)
}

/// Throws a merge's workshop away, with whatever still runs in it.
pub(super) fn close(place: &Place<'_>, entry: &mut Entry) -> Result<(), MergeError> {
    let Some(open) = &entry.workshop else { return Ok(()) };
    // After a reboot nothing of it runs.
    if open.boot_id == place.machine.boot_id {
        let mark = Mark::new(MARK_VARIABLE, &entry.id.to_string());
        end_marked(mark, open.since_ticks)
            .map_err(|error| MergeError::NotEnded { why: error.to_string() })?;
    }
    let workshop = Workshop::at(open.path.clone());
    workshop.empty(place.repo)?;
    {
        let lock = place.repo.lock(REPO_PATIENCE)?;
        workshop.unregister(place.repo, &lock)?;
    }
    entry.workshop = None;
    Ok(queue::write(place.store, entry)?)
}
