//! Noticing what changed outside the worktree while the agent ran. Done when the session's end is on record and its
//! lock is free, so that no one waits for it; the lock is taken again only where there is something to note.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::failpoint;
use crate::git::{
    Branches, Checkout, GitError, GitProgram, Head, Instant, Repo, Span, Written, Wrote, branches_since,
    guard_changes, lane_of_branch, moved_by_ralph, watched,
};
use crate::id::{BranchName, Lane, SessionId};
use crate::session::landing::landing_now;
use crate::session::lane::LaneRecord;
use crate::session::launch::LaunchSpec;
use crate::session::leak::{Around, BranchChange, BranchNow, Leak, LeakKind, branch_changes, told};
use crate::session::state::Event;
use crate::session::store::{LaneClaim, Loaded, Store, StoreError};
use crate::session::writer::{SessionWriter, ViewPlace, is_shown_in};

/// As many files are looked at, first in the main checkout and then in idle worktrees, by all sessions together that run
/// now: who runs many waits for none of them.
const MOST_FILES: usize = 20_000;
/// With more sessions, what idle worktrees hold is not looked at: each has as many others to look at.
const MOST_RUNNING: usize = 8;
/// So long merges are waited for that write files where some are looked at, looking so often.
const MERGE_PATIENCE: Duration = Duration::from_secs(30);
const MERGE_LOOK: Duration = Duration::from_millis(50);

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
    let session = store.session_dir(spec.session_id);
    let changed = |file: PathBuf| fs::metadata(file).map(|meta| Instant::changed(&meta));
    // The one was written just before the launch and the other at the end, and neither again: their dates are the file
    // system's own words for these moments. What people write after the end is no one's leak; only settings, hooks and
    // branches that are gone are compared with what there is now.
    let (Ok(from), Ok(to)) = (changed(session.launch()), changed(session.manifest())) else { return Ok(()) };
    let during = Span { from, to };
    let repo = Repo::open_with(store.common_dir(), git)?;
    let (leaks, failed) = Look::new(&repo, store, spec, around, during).leaks();
    if !leaks.is_empty() {
        record(store, spec, leaks)?;
    }
    failed.map_or(Ok(()), Err)
}

/// Adds the leaks to the session's record, and to its view where that is still this session's.
fn record(store: &Store, spec: &LaunchSpec, leaks: Vec<Leak>) -> Result<(), StoreError> {
    let Loaded::Manifest(manifest) = store.load(spec.session_id)? else { return Ok(()) };
    // Who has the lane may be about to show a later session.
    let claim = store.claim_lane(&manifest.lane, Duration::ZERO)?;
    let Some(mut writer) = SessionWriter::take_over(store, spec.session_id)? else { return Ok(()) };
    failpoint::hit("supervise.noting");
    if matches!(claim, LaneClaim::Claimed(_)) && is_shown_in(Path::new(&spec.worktree), spec.session_id) {
        writer.show_in(ViewPlace::of(spec));
    }
    // The view may be in a tree that has gone meanwhile; the original is what counts.
    let _view = writer.step(Event::Noticed { leaks }, Timestamp::now())?;
    Ok(())
}

/// The lane whose branch has this name by default.
fn default_lane(branch: &str) -> Option<Lane> {
    lane_of_branch(branch)?.parse().ok()
}

/// Whether the branch that is checked out is one of these.
fn is_landing(checkout: &Checkout, landing: &[BranchName]) -> bool {
    matches!(&checkout.head, Head::Branch(name) if landing.iter().any(|branch| branch.as_str() == name))
}

struct Look<'a> {
    repo: &'a Repo,
    store: &'a Store,
    spec: &'a LaunchSpec,
    before: &'a Around,
    /// The branches before and now, where they can be compared.
    branches: Result<Option<(&'a Branches, Branches)>, GitError>,
    during: Span,
    /// Until when merges are waited for.
    deadline: std::time::Instant,
    lanes: OnceCell<Vec<LaneRecord>>,
}

impl<'a> Look<'a> {
    fn new(repo: &'a Repo, store: &'a Store, spec: &'a LaunchSpec, before: &'a Around, during: Span) -> Self {
        let branches = match &before.branches {
            Some(before) => branches_since(repo, before, during).map(|now| Some((before, now?))),
            None => Ok(None),
        };
        let deadline = std::time::Instant::now() + MERGE_PATIENCE;
        Self { repo, store, spec, before, branches, during, deadline, lanes: OnceCell::new() }
    }

    /// What was found, and the first reason why some of it could not be looked for: an agent that makes one thing
    /// unreadable hides nothing else.
    fn leaks(self) -> (Vec<Leak>, Option<NoticeError>) {
        // Of a batch, many end at the same time, and are not among those that run any more.
        let running = self.store.running().map_or(0, |running| running.len()).max(self.before.running);
        let mut budget = MOST_FILES / (running + 1);
        let looks = [
            self.guarded().map_err(NoticeError::from),
            self.moved_branches().map(|what| told(&LeakKind::Branch, what)).map_err(NoticeError::from),
            self.main_checkout(&mut budget).map(|what| told(&LeakKind::MainCheckout, what)),
            match running > MOST_RUNNING {
                true => Ok(Vec::new()),
                false => self.idle_worktrees(&mut budget).map(|what| told(&LeakKind::Worktree, what)),
            },
            self.branches.map(|_| Vec::new()).map_err(NoticeError::from),
        ];
        let mut found = Vec::new();
        let mut failed = None;
        for look in looks {
            match look {
                Ok(leaks) => found.extend(leaks),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        (found, failed)
    }

    fn guarded(&self) -> Result<Vec<Leak>, GitError> {
        let Some(before) = self.before.guard.as_ref().or(self.spec.guard.as_ref()) else {
            return Ok(Vec::new());
        };
        let now = watched(self.repo)?;
        let mut changes = guard_changes(before, &now.guard);
        if let Some(before) = &self.before.settings {
            changes.extend(guard_changes(before, &now.others));
        }
        let is_hook = |what: &String| what.starts_with("the hook ") || what.contains(" core.hookspath ");
        let (hooks, settings) = changes.into_iter().partition(is_hook);
        Ok([told(&LeakKind::Config, settings), told(&LeakKind::Hook, hooks)].concat())
    }

    fn moved_branches(&self) -> Result<Vec<String>, StoreError> {
        let Ok(Some((before, now))) = &self.branches else { return Ok(Vec::new()) };
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
        // Looked at first where it can be so: reading all lanes takes longer.
        if lane_of_branch(change.name).is_none()
            && let BranchNow::Moved { from } = change.to
            && moved_by_ralph(self.repo, change.name, from)
        {
            return Ok(true);
        }
        if let Some(lane) = default_lane(change.name) {
            let record = self.store.lane_file(&lane);
            // A new lane has a folder before its branch is made, and a record only when its worktree is there.
            if self.is_written(&record) || record.parent().is_some_and(|folder| self.is_written(folder)) {
                return Ok(true);
            }
        }
        let own = self.lane_of(change.name)?;
        Ok(match (own, change.to) {
            (Some(record), _) => self.was_active(&record)?,
            // A removal takes the lane's record with its branch; who deletes only the branch leaves it.
            (None, BranchNow::Deleted) => lane_of_branch(change.name).is_some(),
            (None, BranchNow::Moved { from }) => moved_by_ralph(self.repo, change.name, from),
            (None, BranchNow::Added) => false,
        })
    }

    /// The lane whose branch this is.
    fn lane_of(&self, branch: &str) -> Result<Option<LaneRecord>, StoreError> {
        let is_of = |record: &LaneRecord| record.branch.as_str() == branch;
        if let Some(lane) = default_lane(branch)
            && let Some(record) = self.store.lane(&lane)?.filter(is_of)
        {
            return Ok(Some(record));
        }
        Ok(self.lanes()?.iter().find(|record| is_of(record)).cloned())
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

    /// Whether a session ran meanwhile: it has not ended, or its record was written since the launch.
    fn ran(&self, session: SessionId) -> Result<bool, StoreError> {
        let manifest = self.store.session_dir(session).manifest();
        Ok(self.is_written(&manifest) || self.store.running_entry(session)?.is_some())
    }

    /// Whether a file was written since the launch, by whoever: dozens of lanes may be active, and reading the records of
    /// all of them would take longer than all else.
    fn is_written(&self, file: &Path) -> bool {
        fs::symlink_metadata(file).is_ok_and(|meta| Instant::changed(&meta) > self.during.from)
    }

    fn main_checkout(&self, budget: &mut usize) -> Result<Vec<String>, NoticeError> {
        let Some(main) = Checkout::main(self.repo)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let now = main.head_in_words();
        if let Some(before) = self.before.head.as_ref().filter(|before| **before != now)
            && main.was_switched(self.during)
        {
            found.push(format!("it had {before} checked out, and has {now}"));
        }
        let is_same = self.before.head.as_ref() == Some(&now);
        let wrote = if is_same { self.who_wrote(&main) } else { Wrote::Git };
        found.extend(self.written(&main, wrote, budget)?.iter().map(Written::in_words));
        Ok(found)
    }

    fn idle_worktrees(&self, budget: &mut usize) -> Result<Vec<String>, NoticeError> {
        let mut found = Vec::new();
        for tree in Checkout::idle(self.repo, Path::new(&self.spec.admin_dir))? {
            if *budget == 0 {
                break;
            }
            let tree = tree?;
            let written = self.written(&tree, self.who_wrote(&tree), budget)?;
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

    /// The files in it that were written meanwhile. While a merge brings it along, git writes files there that its index
    /// does not have yet: that is waited for, and nothing is told where it takes too long.
    fn written(
        &self,
        checkout: &Checkout,
        wrote: Wrote,
        budget: &mut usize,
    ) -> Result<Vec<Written>, NoticeError> {
        let most = *budget;
        loop {
            *budget = most;
            // In this order: what is looked at when none is landing is not half of what one writes.
            let is_free = !is_landing(checkout, &landing_now(self.store)?);
            let written = checkout.written(self.during, wrote, budget)?.unwrap_or_default();
            if is_free || written.is_empty() {
                return Ok(written);
            }
            failpoint::hit("merge.awaited");
            while is_landing(checkout, &landing_now(self.store)?) {
                if std::time::Instant::now() > self.deadline {
                    return Ok(Vec::new());
                }
                thread::sleep(MERGE_LOOK);
            }
        }
    }

    /// Where the branch that is checked out has moved, or where a merge that had moved it was not done yet, git wrote files.
    fn who_wrote(&self, checkout: &Checkout) -> Wrote {
        match (&self.branches, &checkout.head) {
            _ if is_landing(checkout, &self.before.landing) => Wrote::Git,
            (Ok(Some((before, now))), Head::Branch(name)) if before.get(name) == now.get(name) => {
                Wrote::Others
            }
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
        self.during.has_begun(at)
    }
}
