//! The commit of what is to land: as the user's hooks let it pass, signed as the user has them signed, and only while
//! both are what they were when the lane's agent was launched.

use super::error::MergeError;
use super::land::keep;
use super::open_workshop::{MARK_VARIABLE, close, open};
use super::queue::{Entry, Turn};
use super::{IfChanged, Place, Progress};
use crate::git::{
    CommitId, Draft, DraftKind, GitError, Hooked, NewCommit, Repo, Signing, TreeId, commit_tree, guard,
    guard_changes, has_hooks, reporting_hooks, run_hooks, signing,
};
use crate::id::Lane;
use crate::session::lane::LaneRecord;
use crate::session::unmerged::{Guarded, guarded};

/// A commit that is to be made.
pub(super) struct New<'a> {
    pub(super) tree: TreeId,
    pub(super) onto: &'a CommitId,
    pub(super) kind: DraftKind<'a>,
    pub(super) message: String,
}

impl New<'_> {
    /// Makes it without asking anyone.
    pub(super) fn commit(&self, repo: &Repo, signing: Signing) -> Result<CommitId, GitError> {
        let parents: Vec<&CommitId> = std::iter::once(self.onto).chain(self.kind.merged()).collect();
        commit_tree(repo, &NewCommit { tree: &self.tree, parents: &parents, message: &self.message, signing })
    }
}

/// For whom, and where, a commit is made.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) turn: &'a Turn,
    pub(super) lane: &'a Lane,
    pub(super) progress: &'a dyn Progress,
}

/// Makes the commit. Nothing leads to it yet but the queue's entry.
pub(super) fn commit(desk: Desk<'_>, entry: &mut Entry, mut new: New<'_>) -> Result<CommitId, MergeError> {
    let Desk { place, turn, lane, progress } = desk;
    let repo = place.repo;
    if has_hooks(repo, new.kind)? {
        // Only to check its files out.
        let draft = new.commit(repo, Signing::None)?;
        let known: Vec<&CommitId> = std::iter::once(new.onto).chain(new.kind.merged()).collect();
        keep(place, entry, &draft, &known)?;
        let workshop = open(place, turn, entry, &draft, lane)?;
        let variables = [(MARK_VARIABLE, entry.id.to_string())];
        let asked = Draft { onto: new.onto, kind: new.kind, message: &new.message };
        let hooked = run_hooks(repo, &workshop.admin(repo)?, workshop.path(), &asked, &variables);
        close(place, entry)?;
        match hooked? {
            Hooked::Passed { tree, message } => (new.tree, new.message) = (tree, message),
            Hooked::Refused { hook, said } => {
                return Err(MergeError::HookRefused { lane: lane.clone(), hook, said });
            }
        }
    }
    let reporting = reporting_hooks(repo)?;
    if !reporting.is_empty() {
        progress.note(&format!("{} are not run: no one's checkout was merged in", reporting.join(" and ")));
    }
    Ok(new.commit(repo, signing(repo)?)?)
}

/// Refuses what an agent may have set up for its own merge.
pub(super) fn refuse_changes(
    place: &Place<'_>,
    record: &LaneRecord,
    changes: IfChanged,
) -> Result<(), MergeError> {
    if changes == IfChanged::Accept {
        return Ok(());
    }
    let what = match guarded(place.store, record)? {
        Guarded::By(_, spec) => match &spec.guard {
            Some(before) => guard_changes(before, &guard(place.repo)?),
            // Launched by a ralph that did not look.
            None => Vec::new(),
        },
        Guarded::No => Vec::new(),
        Guarded::Lost(_, why) => vec![format!("what they were cannot be told any more ({why})")],
    };
    match what.is_empty() {
        true => Ok(()),
        false => Err(MergeError::ConfigChanged { lane: record.lane.clone(), what }),
    }
}
