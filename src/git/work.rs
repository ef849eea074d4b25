//! Evidence: what a worktree and its branch hold beyond the commit that a session started from.
//!
//! The `git` program looks at the files: it is faster than libgit2 at it, and it counts submodules, sparse files and
//! nested repositories as a person's `git status` does. It runs without hooks and monitors, and without any filter
//! that the start commit did not ask for. Meanwhile libgit2 reads the history. Nothing is written.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::clean::is_surely_clean;
use super::history::{counts, history, only_in};
use super::printed::{FileKind, Status};
use super::program::{Call, Place};
use super::refs::there;
use super::registry::{self, Entry};
use super::repo::{Repo, RepoLock};
use super::worktree::{back_link, is_empty, settled};
use super::{CommitId, GitError, Head};
use crate::durable;
use crate::id::BranchName;

/// A list of commits to be picked is no longer.
const LONGEST_LIST: u64 = 64 << 20;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The worktree's top folder.
    pub worktree: &'a Path,
    /// The lane's branch.
    pub branch: &'a BranchName,
    /// The commit that the session started from.
    pub start: &'a CommitId,
    /// Paths relative to the worktree that never count, such as a ticket file that was copied into it; a folder
    /// stands for all in it. `.ralph` never counts anyway.
    pub ignore: &'a [PathBuf],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What is checked out; `Unclear` where the worktree is no longer registered.
    pub head: Head,
    /// The commit that is checked out.
    pub head_commit: Option<CommitId>,
    /// The commit of the lane's branch, wherever HEAD is; none where the branch has gone.
    pub branch_tip: Option<CommitId>,
    /// The commits of the branch (of HEAD, where the branch has gone) that are not in the start commit.
    pub commits: usize,
    /// Commits of HEAD that neither the branch nor the start commit has: an agent that switched away made them, or
    /// found them there.
    pub off_branch: usize,
    /// Files that differ between the start commit and the branch; a renamed file counts as two.
    pub files_changed: usize,
    /// Lines that were added in them.
    pub insertions: usize,
    /// Lines that were taken away in them.
    pub deletions: usize,
    /// Tracked files with changes that no commit has.
    pub uncommitted: usize,
    /// Files that git does not track and does not ignore.
    pub untracked: usize,
    /// What was begun and not ended.
    pub operation: Option<Operation>,
    /// Whether the branch still contains the start commit: if not, history was rewritten.
    pub start_reachable: bool,
    /// Whether the files could be looked at; if not, the counts of them are 0 and mean nothing.
    pub tree: Tree,
}

/// Whether a worktree's files could be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// They were looked at.
    Present,
    /// The folder is gone, or empty.
    Missing,
    /// Something is there, but what it holds could not be told.
    Unclear {
        /// Why not.
        why: String,
    },
}

/// Something that git began in a worktree and that waits to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `git merge`.
    Merge,
    /// `git rebase`.
    Rebase,
    /// `git cherry-pick`.
    CherryPick,
    /// `git revert`.
    Revert,
    /// `git bisect`.
    Bisect,
    /// `git am`.
    Am,
}

impl Operation {
    /// The word for it in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Rebase => "rebase",
            Self::CherryPick => "cherry-pick",
            Self::Revert => "revert",
            Self::Bisect => "bisect",
            Self::Am => "am",
        }
    }
}

/// Looks at a lane's worktree and branch.
pub fn look(repo: &Repo, what: &Look<'_>) -> Result<Found, GitError> {
    let Look { worktree, branch, start, ignore } = *what;
    let entry = entry_of(repo, worktree, branch)?;
    let head = entry.as_ref().map_or(Head::Unclear, |entry| entry.head.clone());
    let branch_tip = repo.commit_of(&branch.full())?;
    let head_commit = match &head {
        Head::Branch(name) if name == branch.as_str() => branch_tip.clone(),
        Head::Branch(name) => repo.commit_of(&format!("refs/heads/{name}"))?,
        Head::Detached(commit) => Some(commit.clone()),
        Head::Unclear => None,
    };
    let operation = entry.as_ref().map_or(Ok(None), |entry| operation(&entry.admin))?;
    let call = entry.as_ref().map(|entry| tree_to_ask_about(repo, entry, head_commit.as_ref(), what));
    let (seen, history) = thread::scope(|scope| {
        let asked = |call: Call<'_>| count(&call, ignore);
        let seen = call.map(|call| call.map(|call| call.map(|call| scope.spawn(move || asked(call)))));
        let history = history(repo, start, branch_tip.as_ref().or(head_commit.as_ref()), ignore);
        let seen = seen.map(|seen| match seen? {
            None => Ok(Seen::default()),
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        });
        (seen, history)
    });
    let history = history?;
    let off_branch = match (&head_commit, &branch_tip) {
        (Some(head), Some(tip)) if head != tip => only_in(repo, head, &[tip, start])?,
        _ => 0,
    };
    let (seen, tree) = told(seen);
    Ok(Found {
        head,
        head_commit,
        branch_tip,
        commits: history.commits,
        off_branch,
        files_changed: history.files_changed,
        insertions: history.insertions,
        deletions: history.deletions,
        uncommitted: seen.uncommitted,
        untracked: seen.untracked,
        operation,
        start_reachable: history.start_reachable,
        tree,
    })
}

/// What lies in a worktree, whatever its branch has.
#[derive(Debug, Clone)]
pub struct Glance {
    /// Whether it could be looked at.
    pub tree: Tree,
    /// Tracked files with changes.
    pub uncommitted: usize,
    /// Untracked files.
    pub untracked: usize,
    /// An operation that waits to be ended.
    pub operation: Option<Operation>,
}

/// Looks at what lies in a lane's worktree, for as long as `patience`.
pub fn glance(repo: &Repo, what: &Look<'_>, patience: Duration) -> Result<Glance, GitError> {
    let entry = entry_of(repo, what.worktree, what.branch)?;
    let operation = entry.as_ref().map_or(Ok(None), |entry| operation(&entry.admin))?;
    let call = entry.as_ref().map(|entry| tree_call(repo, entry, what.start));
    let seen = call.map(|call| call.and_then(|call| count(&call.within(patience), what.ignore)));
    let (Seen { uncommitted, untracked }, tree) = told(seen);
    Ok(Glance { tree, uncommitted, untracked, operation })
}

/// What was counted, and whether it could be.
fn told(seen: Option<Result<Seen, Unseen>>) -> (Seen, Tree) {
    match seen {
        None | Some(Err(Unseen::Missing)) => (Seen::default(), Tree::Missing),
        Some(Err(Unseen::Unclear(why))) => (Seen::default(), Tree::Unclear { why }),
        Some(Ok(seen)) => (seen, Tree::Present),
    }
}

/// Keeps a commit, and all that it rests on, from being collected: the reference `refs/ralph/<name>`.
pub fn pin(repo: &Repo, _lock: &RepoLock, name: &str, commit: &CommitId) -> Result<(), GitError> {
    repo.set_ref(&format!("refs/ralph/{name}"), commit, "ralph: pin")
}

/// Lets a pinned commit go, if the pin still is what it was; one that is not there is let go already.
pub fn unpin(repo: &Repo, _lock: &RepoLock, name: &str, commit: &CommitId) -> Result<(), GitError> {
    let full = format!("refs/ralph/{name}");
    match repo.commit_of(&full)? {
        None => Ok(()),
        Some(_) => repo.delete_ref(&full, commit),
    }
}

/// The registration of the worktree: by its folder, or, where it was moved, by its branch.
fn entry_of(repo: &Repo, worktree: &Path, branch: &BranchName) -> Result<Option<Entry>, GitError> {
    let path = settled(worktree);
    // The usual case does not take a look at all the others: it says itself which it is, and is where it was.
    if let Some(id) = registry::named_by(&worktree.join(".git"), repo.common_dir()) {
        let entry = registry::entry(&registry::folder(repo.common_dir()).join(&id), id)?;
        if let Some(entry) = entry.filter(|entry| entry.tree == path) {
            return Ok(Some(entry));
        }
    }
    let entries = registry::entries(repo.common_dir())?;
    let by_branch = |entry: &&Entry| {
        entry.lane.is_some() && matches!(&entry.head, Head::Branch(name) if name == branch.as_str())
    };
    let found = entries.iter().find(|entry| entry.tree == path).or_else(|| entries.iter().find(by_branch));
    Ok(found.cloned())
}

/// What git is in the middle of, in the worktree of this git directory.
pub(super) fn operation(git_dir: &Path) -> Result<Option<Operation>, GitError> {
    for (file, operation) in [
        ("rebase-merge", Operation::Rebase),
        ("rebase-apply/applying", Operation::Am),
        ("rebase-apply", Operation::Rebase),
        ("MERGE_HEAD", Operation::Merge),
        ("CHERRY_PICK_HEAD", Operation::CherryPick),
        ("REVERT_HEAD", Operation::Revert),
        ("BISECT_LOG", Operation::Bisect),
    ] {
        if there(&git_dir.join(file))? {
            return Ok(Some(operation));
        }
    }
    // Of several commits, the head file goes with each that is committed by hand, and the list of what is left stays.
    let left = durable::read(&git_dir.join("sequencer/todo"), LONGEST_LIST)?;
    Ok(left.map(|left| match left.starts_with(b"revert") {
        true => Operation::Revert,
        false => Operation::CherryPick,
    }))
}

/// How many files have changes that no commit has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    uncommitted: usize,
    untracked: usize,
}

impl Seen {
    pub(super) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// Why files were not looked at.
enum Unseen {
    Missing,
    Unclear(String),
}

impl From<GitError> for Unseen {
    fn from(error: GitError) -> Self {
        Self::Unclear(error.to_string())
    }
}

/// Counts what lies uncommitted in a worktree that stands on `start`, or on work upon it.
pub(super) fn look_at_tree(
    repo: &Repo,
    worktree: &super::Worktree,
    start: &CommitId,
    ignore: &[PathBuf],
) -> Result<Seen, GitError> {
    let call = status_call(repo, &worktree.admin_dir, &worktree.path, start)?;
    count_records(&call, ignore)
}

fn tree_call<'a>(repo: &'a Repo, entry: &'a Entry, start: &CommitId) -> Result<Call<'a>, Unseen> {
    refuse_unseen(entry)?;
    Ok(status_call(repo, &entry.admin, &entry.tree, start)?)
}

/// The same, unless it can be told without git that there is nothing to count.
fn tree_to_ask_about<'a>(
    repo: &'a Repo,
    entry: &'a Entry,
    head: Option<&CommitId>,
    what: &Look<'_>,
) -> Result<Option<Call<'a>>, Unseen> {
    refuse_unseen(entry)?;
    if head.is_some_and(|head| is_surely_clean(repo, entry, head, what.ignore)) {
        return Ok(None);
    }
    Ok(Some(status_call(repo, &entry.admin, &entry.tree, what.start)?))
}

fn refuse_unseen(entry: &Entry) -> Result<(), Unseen> {
    if !there(&entry.tree)? || (entry.tree.is_dir() && is_empty(&entry.tree)?) {
        return Err(Unseen::Missing);
    }
    Ok(back_link(entry)?)
}

fn status_call<'a>(
    repo: &'a Repo,
    admin: &'a Path,
    top: &'a Path,
    start: &CommitId,
) -> Result<Call<'a>, GitError> {
    let mut call = Call::read(repo.program(), Place::Tree { admin, top }).args([
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=all",
        "--ignore-submodules=none",
        "--no-renames",
    ]);
    for (key, value) in repo.filters_off_but_for(start, top)? {
        call = call.setting(key, value);
    }
    Ok(call)
}

fn count(call: &Call<'_>, ignore: &[PathBuf]) -> Result<Seen, Unseen> {
    Ok(count_records(call, ignore)?)
}

fn count_records(call: &Call<'_>, ignore: &[PathBuf]) -> Result<Seen, GitError> {
    let mut seen = Seen::default();
    call.for_each_record_of_all(&mut |record| seen.note(record, ignore))?;
    Ok(seen)
}

impl Seen {
    /// Notes one record of `git status --porcelain=v2 -z`.
    fn note(&mut self, record: &[u8], ignore: &[PathBuf]) {
        let Some(status) = Status::of(record).filter(|status| counts(status.path, ignore)) else { return };
        match status.kind {
            FileKind::Edited | FileKind::Changed | FileKind::Unmerged => self.uncommitted += 1,
            FileKind::Untracked => self.untracked += 1,
            FileKind::Ignored => {}
        }
    }
}
