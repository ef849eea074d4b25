//! Noticing what changed outside the worktree while the agent ran. Done when the session's end is on record and its
//! lock is free, so that no one waits for it; the lock is taken again only where there is something to note.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::git::{
    Branches, Checkout, GitError, GitProgram, Head, Instant, Repo, Wrote, beginning, branches, guard,
    guard_changes,
};
use crate::id::SessionId;
use crate::session::lane::LaneRecord;
use crate::session::launch::LaunchSpec;
use crate::session::leak::{Around, BranchChange, BranchNow, Leak, LeakKind, branch_changes, told};
use crate::session::manifest::Manifest;
use crate::session::state::Event;
use crate::session::store::{LaneClaim, Loaded, Store, StoreError, load_manifest};
use crate::session::view;
use crate::session::writer::{SessionWriter, ViewPlace};

/// As many files are looked at in the main checkout, and in all idle worktrees.
const MOST_FILES: usize = 2_000;
const MOST_IDLE_FILES: usize = 1_000;

/// Why nothing could be noticed.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository could not be looked at.
    #[error("could not look for changes outside the worktree: {0}")]
    Git(#[from] GitError),
}

/// Looks for what changed around a session that has ended, with this git, and records it.
pub fn notice(store: &Store, spec: &LaunchSpec, git: GitProgram) -> Result<(), NoticeError> {
    let Some(around) = &spec.around else { return Ok(()) };
    let launch = store.session_dir(spec.session_id).launch();
    // Written just before the launch, and never again: its date is the file system's own word for that moment.
    let Ok(since) = fs::metadata(&launch).map(|meta| Instant::changed(&meta)) else { return Ok(()) };
    let repo = Repo::open_with(store.common_dir(), git)?;
    let leaks = Look::new(&repo, store, spec, around, since)?.leaks()?;
    if leaks.is_empty() {
        return Ok(());
    }
    Ok(record(store, spec, leaks)?)
}

/// Adds the leaks to the session's record, and to its view where that is still this session's.
fn record(store: &Store, spec: &LaunchSpec, leaks: Vec<Leak>) -> Result<(), StoreError> {
    let Loaded::Manifest(manifest) = store.load(spec.session_id)? else { return Ok(()) };
    // Who has the lane may be about to show a later session.
    let claim = store.claim_lane(&manifest.lane, Duration::ZERO)?;
    let Some(mut writer) = SessionWriter::take_over(store, spec.session_id)? else { return Ok(()) };
    if matches!(claim, LaneClaim::Claimed(_)) && is_shown(spec) {
        writer.show_in(ViewPlace::of(spec));
    }
    // The view may be in a tree that has gone meanwhile; the original is what counts.
    let _view = writer.step(Event::Noticed { leaks }, Timestamp::now())?;
    Ok(())
}

fn is_shown(spec: &LaunchSpec) -> bool {
    let shown = load_manifest(&view::path_in(Path::new(&spec.worktree)));
    matches!(shown, Ok(Loaded::Manifest(shown)) if shown.session_id == spec.session_id)
}

struct Look<'a> {
    repo: &'a Repo,
    store: &'a Store,
    spec: &'a LaunchSpec,
    before: &'a Around,
    /// The branches now, where they can be compared with those before.
    branches: Option<(&'a Branches, Branches)>,
    since: Instant,
    lanes: OnceCell<Vec<LaneRecord>>,
}

impl<'a> Look<'a> {
    fn new(
        repo: &'a Repo,
        store: &'a Store,
        spec: &'a LaunchSpec,
        before: &'a Around,
        since: Instant,
    ) -> Result<Self, GitError> {
        let branches = before.branches.as_ref().zip(branches(repo)?);
        Ok(Self { repo, store, spec, before, branches, since, lanes: OnceCell::new() })
    }

    fn leaks(&self) -> Result<Vec<Leak>, NoticeError> {
        let mut leaks = self.guarded()?;
        leaks.extend(told(&LeakKind::Branch, self.moved_branches()?));
        leaks.extend(told(&LeakKind::MainCheckout, self.main_checkout()?));
        leaks.extend(told(&LeakKind::Worktree, self.idle_worktrees()?));
        Ok(leaks)
    }

    fn guarded(&self) -> Result<Vec<Leak>, GitError> {
        let Some(before) = self.before.guard.as_ref().or(self.spec.guard.as_ref()) else {
            return Ok(Vec::new());
        };
        let changes = guard_changes(before, &guard(self.repo)?);
        let is_hook = |what: &String| what.starts_with("the hook ") || what.contains(" core.hookspath ");
        let (hooks, settings) = changes.into_iter().partition(is_hook);
        Ok([told(&LeakKind::Config, settings), told(&LeakKind::Hook, hooks)].concat())
    }

    fn moved_branches(&self) -> Result<Vec<String>, StoreError> {
        let Some((before, now)) = &self.branches else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for change in branch_changes(before, now) {
            if change.name != self.spec.branch.as_str() && !self.is_known(&change)? {
                found.push(change.in_words());
            }
        }
        Ok(found)
    }

    /// Whether another session, or a command of the user's, is known to have made this change.
    fn is_known(&self, change: &BranchChange<'_>) -> Result<bool, StoreError> {
        let lanes = self.lanes()?;
        let mut own = lanes.iter().filter(|record| record.branch.as_str() == change.name).peekable();
        // A removal takes the lane's record with its branch; who deletes only the branch leaves it.
        if own.peek().is_none() && change.to == BranchNow::Deleted && change.name.starts_with("ralph/") {
            return Ok(true);
        }
        for record in own {
            if self.was_active(record)? {
                return Ok(true);
            }
        }
        Ok(match change.to {
            BranchNow::Moved(commit) => lanes.iter().filter_map(LaneRecord::merged).any(|merged| {
                merged.into.as_str() == change.name
                    && beginning(&merged.commit) == commit
                    && self.is_later(merged.at)
            }),
            BranchNow::Added(_) | BranchNow::Deleted => false,
        })
    }

    /// Whether something was done with a lane through ralph since the launch.
    fn was_active(&self, record: &LaneRecord) -> Result<bool, StoreError> {
        if self.is_later(record.created_at) || record.merged().is_some_and(|merged| self.is_later(merged.at))
        {
            return Ok(true);
        }
        match record.current_session {
            None => Ok(false),
            Some(session) => self.ran(session),
        }
    }

    fn ran(&self, session: SessionId) -> Result<bool, StoreError> {
        let ran = |manifest: &Manifest| {
            !manifest.is_ended() || manifest.ended_at.is_none_or(|ended| self.is_later(ended))
        };
        Ok(match self.store.load(session)? {
            Loaded::Manifest(manifest) => ran(&manifest),
            // What cannot be read may have run.
            Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing => true,
        })
    }

    fn main_checkout(&self) -> Result<Vec<String>, GitError> {
        let mut budget = MOST_FILES;
        let Some(main) = Checkout::main(self.repo)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let now = main.head_in_words();
        if let Some(before) = self.before.head.as_ref().filter(|before| **before != now) {
            found.push(format!("it had {before} checked out, and has {now}"));
        }
        let wrote = if found.is_empty() { self.who_wrote(&main) } else { Wrote::Git };
        let written = main.written_since(self.since, wrote, &mut budget)?;
        found.extend(written.unwrap_or_default().iter().map(|file| file.in_words()));
        Ok(found)
    }

    fn idle_worktrees(&self) -> Result<Vec<String>, NoticeError> {
        let mut budget = MOST_IDLE_FILES;
        let mut found = Vec::new();
        for tree in Checkout::idle(self.repo, Path::new(&self.spec.admin_dir))? {
            let written =
                tree.written_since(self.since, self.who_wrote(&tree), &mut budget)?.unwrap_or_default();
            if written.is_empty() {
                continue;
            }
            let of = |record: &&LaneRecord| tree.lane.as_deref() == Some(record.lane.slug().as_str());
            if let Some(record) = self.lanes()?.iter().find(of)
                && !self.was_active(record)?
            {
                found.extend(written.iter().map(|file| format!("{}: {}", record.lane, file.in_words())));
            }
        }
        Ok(found)
    }

    /// Where the branch that is checked out has moved, git wrote files.
    fn who_wrote(&self, checkout: &Checkout) -> Wrote {
        match (&self.branches, &checkout.head) {
            (Some((before, now)), Head::Branch(name)) if before.get(name) == now.get(name) => Wrote::Others,
            (_, Head::Detached(_)) => Wrote::Others,
            _ => Wrote::Git,
        }
    }

    fn lanes(&self) -> Result<&[LaneRecord], StoreError> {
        if let Some(lanes) = self.lanes.get() {
            return Ok(lanes);
        }
        let (lanes, _damaged) = self.store.lanes()?;
        Ok(self.lanes.get_or_init(|| lanes))
    }

    fn is_later(&self, at: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.since.parts();
        (at.as_second(), i64::from(at.subsec_nanosecond())) >= (seconds, nanoseconds)
    }
}
