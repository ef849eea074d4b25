//! Merging for a batch: one lane after the other, in a context of its own beside the loop.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::workers::{Closed, Landed, Lander};
use crate::dispatch::{Context, Environment};
use crate::git::tip_of;
use crate::id::Lane;
use crate::merge::{
    Conflict, IfChanged, MergeError, MergeRequest, MergeStrategy, Merged, Place, Progress, Verify, merge,
};
use crate::process::identity::Machine;

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
    notes: RefCell<Vec<String>>,
    called_off: &'a AtomicBool,
}

impl Progress for Kept<'_> {
    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }

    fn is_cancelled(&self) -> bool {
        self.called_off.load(Ordering::SeqCst)
    }
}

impl Lander for BaseLander {
    fn land(&mut self, lane: &Lane, title: Option<&str>, called_off: &AtomicBool) -> Landed {
        let context = match Context::open(self.environment.clone(), self.machine.clone()) {
            Ok(context) => context,
            Err(error) => return Landed::Not { reason: error.to_string(), files: Vec::new() },
        };
        let place =
            Place { repo: &context.repo, store: &context.store, machine: &context.machine, root: &self.root };
        let request = MergeRequest {
            lane: lane.clone(),
            into: None,
            strategy: self.strategy,
            verify: self.verify.clone(),
            changes: IfChanged::Refuse,
            title: title.map(str::to_owned),
        };
        let kept = Kept { notes: RefCell::default(), called_off };
        match merge(&place, &request, &kept) {
            Ok(Merged { target, commit, .. }) => Landed::Merged {
                into: target.to_string(),
                commit: commit.to_string(),
                closed: Closed::No,
                notes: kept.notes.into_inner(),
            },
            Err(MergeError::Cancelled { .. }) => Landed::CalledOff,
            // The agent merged it itself, or it was taken up after a crash that came right behind the merge.
            Err(MergeError::NothingToMerge { target, .. }) => match tip_of(&context.repo, &target) {
                Ok(Some(tip)) => Landed::Merged {
                    into: target.to_string(),
                    commit: tip.to_string(),
                    closed: Closed::No,
                    notes: Vec::new(),
                },
                Ok(None) => Landed::Not { reason: format!("{target} has gone"), files: Vec::new() },
                Err(error) => Landed::Not { reason: error.to_string(), files: Vec::new() },
            },
            Err(error) => Landed::Not { files: files(&error), reason: error.to_string() },
        }
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
