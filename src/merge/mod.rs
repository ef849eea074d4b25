//! Bringing a lane's work into a branch, with no one's checkout disturbed.
//!
//! `plan` decides from facts alone whether a lane may be merged, and into what. `execute` computes the result without
//! a working tree, has it checked, and lands it by compare-and-swap; a target that has moved meanwhile means doing
//! that again. What is about to happen is in the `queue` first, so that a merge that was killed anywhere has either
//! not happened, or is finished by the next one, or by [`settle`].
//!
//! Locks are taken in the order lane, merge, repository. The lane's and the queue's are held from the look to the
//! end, the repository's for moments only: a check that takes an hour holds up no dispatch.

mod commit;
mod commit_file;
mod conflict;
mod error;
mod execute;
mod found;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod gather;
mod land;
mod message;
mod open_workshop;
mod other_side;
mod plan;
mod queue;
mod settle;
mod status_line;
mod verify;

use std::path::Path;
use std::time::Duration;

use crate::git::Repo;
use crate::id::{Lane, RefName};
use crate::process::identity::Machine;
use crate::session::store::Store;

pub use crate::config::MergeStrategy;
pub use commit_file::{Edited, FileEdit, commit_file};
pub use conflict::{Conflicted, OtherSide};
pub use error::{Conflict, MergeError, WhyNoTarget};
pub use execute::{Merged, Planned, dry_run, merge};
pub use settle::{Settled, settle};
pub use verify::Verify;

/// Where a merge happens.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// Its store.
    pub store: &'a Store,
    /// This machine.
    pub machine: &'a Machine,
    /// The folder for new worktrees, absolute: what is checked is checked there.
    pub root: &'a Path,
}

/// What is to be merged.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    /// The lane.
    pub lane: Lane,
    /// The branch that it is merged into; `None`: the one it started from.
    pub into: Option<RefName>,
    /// How.
    pub strategy: MergeStrategy,
    /// What the result has to pass before it lands.
    pub verify: Option<Verify>,
    /// What to do if git's settings or hooks were changed since the lane's agent was launched.
    pub changes: IfChanged,
    /// The ticket's title, for the commit's message.
    pub title: Option<String>,
}

/// What to do about changed settings and hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfChanged {
    /// Refuse, and say what was changed.
    Refuse,
    /// Go by them as they are.
    Accept,
}

/// Hears what a merge has to say while it goes on, and may end it.
pub trait Progress {
    /// Something worth telling.
    fn note(&self, text: &str);

    /// Something worth telling about one thing: a lane, or a file on a branch.
    fn note_about(&self, what: &str, text: &str) {
        self.note(&format!("{what}: {text}"));
    }

    /// The result is being checked by this command.
    fn verifying(&self, lane: &Lane, command: &str) {
        self.note(&format!("{lane}: verifying: {command}"));
    }

    /// Whether the merge is to end without having moved anything. It is asked before each step that takes time, and
    /// while one does; never once the branch has moved.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// How long another command that works on the lane is waited for.
const LANE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the repository's lock is waited for.
const REPO_PATIENCE: Duration = Duration::from_secs(60);
