//! Merging for a batch: one lane after the other, in a context of its own beside the loop.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::overlay::merged_before;
use super::workers::{Closed, Landed, Lander, halts_now_or_soon};
use crate::dispatch::{Context, Environment};
use crate::durable;
use crate::git::{CommitId, is_tracked, tip_of};
use crate::id::{BranchName, Lane};
use crate::merge::{
    Conflict, Edited, FileEdit, IfChanged, MergeError, MergeRequest, MergeStrategy, Merged, Place, Progress,
    Verify, commit_file, merge,
};
use crate::process::identity::Machine;
use crate::session::lane::MergedRecord;
use crate::session::store::{LaneClaim, Store, StoreError};
use crate::ticket;

/// A ticket that is larger is none.
const MAX_TICKET: u64 = 1 << 20;
/// How long another command that works on a lane is waited for.
const LANE_PATIENCE: Duration = Duration::from_secs(10);

/// Merges lanes into the bases that they started from.
pub struct BaseLander {
    /// Where the batch was asked for.
    pub environment: Environment,
    /// The machine.
    pub machine: Machine,
    /// The folder for new worktrees.
    pub root: PathBuf,
    /// How.
    pub strategy: MergeStrategy,
    /// What a result has to pass before it lands.
    pub verify: Option<Verify>,
    /// What to do if git's settings or hooks were changed since an agent was launched.
    pub changes: IfChanged,
    /// Whether tickets are closed too.
    pub closing: Closing,
}

/// Whether a ticket whose work was merged is closed by ralph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Where the agent did not.
    IfOpen,
    /// That is the agent's business.
    Never,
}

/// Keeps what a merge has to say, and ends it once the batch is halted.
struct Kept<'a> {
    lane: &'a Lane,
    notes: RefCell<Vec<String>>,
    called_off: &'a AtomicBool,
}

impl Progress for Kept<'_> {
    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }

    /// The lane is named beside each note.
    fn note_about(&self, what: &str, text: &str) {
        match what == self.lane.to_string() {
            true => self.note(text),
            false => self.note(&format!("{what}: {text}")),
        }
    }

    /// That shows while it is merged.
    fn verifying(&self, _lane: &Lane, _command: &str) {}

    fn is_cancelled(&self) -> bool {
        self.called_off.load(Ordering::SeqCst)
    }
}

impl Lander for BaseLander {
    fn land(&mut self, lane: &Lane, title: Option<&str>, called_off: &AtomicBool) -> Landed {
        let context = match Context::open(self.environment.clone(), self.machine.clone()) {
            Ok(context) => context,
            Err(error) => return not_merged(error.to_string(), error.hint()),
        };
        let place =
            Place { repo: &context.repo, store: &context.store, machine: &context.machine, root: &self.root };
        let kept = Kept { lane, notes: RefCell::default(), called_off };
        if let Some((target, tip)) = merged_before(&context.repo, &context.store, lane) {
            if self.closing == Closing::IfOpen {
                kept.note("it had been merged before: only its ticket was left to be closed");
            }
            return self.merged(&place, lane, &target, &tip, kept);
        }
        let request = MergeRequest {
            lane: lane.clone(),
            into: None,
            strategy: self.strategy,
            verify: self.verify.clone(),
            changes: self.changes,
            title: title.map(str::to_owned),
        };
        match merge(&place, &request, &kept) {
            Ok(Merged { target, commit, .. }) => self.merged(&place, lane, &target, &commit, kept),
            Err(MergeError::Cancelled { .. }) => Landed::CalledOff,
            Err(MergeError::Git(error)) if error.was_interrupted() && halts_now_or_soon(called_off) => {
                Landed::CalledOff
            }
            // The agent merged it itself, or it was taken up after a crash that came right behind the merge.
            Err(MergeError::NothingToMerge { target, .. }) => match tip_of(&context.repo, &target) {
                Ok(Some(tip)) => self.merged(&place, lane, &target, &tip, kept),
                Ok(None) => not_merged(format!("{target} has gone"), None),
                Err(error) => not_merged(error.to_string(), error.hint()),
            },
            Err(error) => Landed::Not { files: files(&error), reason: error.why(), hint: error.hint() },
        }
    }
}

impl BaseLander {
    /// What is told of a merge, its ticket closed where that is wanted.
    fn merged(
        &self,
        place: &Place<'_>,
        lane: &Lane,
        target: &BranchName,
        commit: &CommitId,
        kept: Kept<'_>,
    ) -> Landed {
        let closed = match self.closing {
            Closing::Never => Ok((Closed::No, None)),
            Closing::IfOpen => close_ticket(place, lane, target, self.changes, &kept),
        };
        let (closed, moved) = closed.unwrap_or_else(|why| {
            kept.note(&format!(
                "its ticket could not be closed and stays open: {why}; the next `ralph run` tries again"
            ));
            (Closed::No, None)
        });
        let commit = moved.as_ref().unwrap_or(commit).to_string();
        Landed::Merged { into: target.to_string(), commit, closed, notes: kept.notes.into_inner() }
    }
}

/// Closes the lane's ticket: by a commit on the branch that tracks its file, else in the main checkout's file, if that is not
/// tracked either: what git tracks there is the user's.
fn close_ticket(
    place: &Place<'_>,
    lane: &Lane,
    target: &BranchName,
    changes: IfChanged,
    progress: &dyn Progress,
) -> Result<(Closed, Option<CommitId>), String> {
    let inside = ticket::file_inside(lane.ticket());
    let message = format!("Close {}", lane.ticket());
    let edit = FileEdit { lane, target, path: &inside, edit: &ticket::close, message: &message, changes };
    match commit_file(place, &edit, progress).map_err(|error| why_open(&error))? {
        Edited::Committed(commit) => Ok((Closed::Yes, Some(commit))),
        Edited::Unchanged => Ok((Closed::No, None)),
        Edited::NotTracked => {
            let Some(main) = place.repo.main_checkout() else { return Ok((Closed::No, None)) };
            if is_tracked(place.repo, &inside).map_err(|error| error.to_string())? {
                let (file, main) = (inside.display(), main.display());
                return Err(format!("git tracks {file} in {main}, but not on {target}"));
            }
            let file = main.join(&inside);
            let read = durable::read(&file, MAX_TICKET).map_err(|error| error.to_string())?;
            let changed = read.and_then(|text| ticket::close(&text).filter(|closed| *closed != text));
            let Some(closed) = changed else { return Ok((Closed::No, None)) };
            rewrite(&file, &closed).map_err(|error| error.to_string())?;
            if let Err(error) = record_closed(place.store, lane, LANE_PATIENCE) {
                progress.note(&format!(
                    "that its ticket was closed could not be recorded: {error}; should it be opened again, `ralph run` \
                     takes it for one that was left open"
                ));
            }
            Ok((Closed::Yes, None))
        }
    }
}

/// Records that the ticket was closed: no commit will tell, should it be opened again.
fn record_closed(store: &Store, lane: &Lane, patience: Duration) -> Result<(), MergeError> {
    let LaneClaim::Claimed(claim) = store.claim_lane(lane, patience)? else {
        return Err(MergeError::Contended { lane: lane.clone() });
    };
    let Some(record) = store.lane(lane)? else { return Ok(()) };
    let Some(merged) = record.merged() else { return Ok(()) };
    let record = record.with_merged(&MergedRecord { closed_at: Some(Timestamp::now()), ..merged });
    let record = record.map_err(|source| StoreError::Encode { what: "that a ticket was closed", source })?;
    Ok(store.write_lane(&claim, &record)?)
}

/// Replaces a file of the user's by a whole one with the same mode.
fn rewrite(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let mode = std::fs::metadata(file)?.permissions();
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
    new.as_file().set_permissions(mode)?;
    new.persist(file)?;
    Ok(())
}

fn not_merged(reason: String, hint: Option<String>) -> Landed {
    Landed::Not { reason, files: Vec::new(), hint }
}

/// Why a ticket could not be closed. Of what is advised for a merge, only some is of use here.
fn why_open(error: &MergeError) -> String {
    let is_of_use = matches!(error, MergeError::ConfigChanged { .. } | MergeError::InTheWay { .. });
    match error.hint().filter(|_| is_of_use) {
        Some(hint) => format!("{}; {hint}", error.why()),
        None => error.why(),
    }
}

/// The files that a refusal is about.
fn files(error: &MergeError) -> Vec<String> {
    match error {
        MergeError::Conflict(conflict) => {
            let Conflict { files, .. } = conflict.as_ref();
            files.iter().map(|conflicted| conflicted.file.display().to_string()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_ticket_was_closed_is_not_taken_for_recorded_while_another_command_has_the_lane() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let lane: Lane = "T-1".parse().unwrap();
        let claim = store.claim_lane(&lane, Duration::ZERO).unwrap();
        assert!(matches!(claim, LaneClaim::Claimed(_)));
        let recorded = record_closed(&store, &lane, Duration::ZERO);
        assert!(matches!(recorded, Err(MergeError::Contended { .. })), "{recorded:?}");
    }

    #[test]
    fn a_merges_notes_are_kept_without_the_name_of_its_own_lane_and_that_it_is_checked_is_none() {
        let lane: Lane = "T-1".parse().unwrap();
        let kept = Kept { lane: &lane, notes: RefCell::default(), called_off: &AtomicBool::new(false) };
        kept.note_about("T-1", "its interrupted merge was finished");
        kept.note_about("T-10", "its interrupted merge was finished");
        kept.verifying(&lane, "make check");
        kept.note("post-merge are not run");
        let notes = [
            "its interrupted merge was finished",
            "T-10: its interrupted merge was finished",
            "post-merge are not run",
        ];
        assert_eq!(kept.notes.into_inner(), notes);
    }
}
