//! New worktrees of one commit that are written at once: whoever begins to write one while another of the same files is
//! being written joins in, so that each content is read once, and written to every worktree that lacks it.
//!
//! The files are cut into shares, which are taken in turn, round and round: who joins gets the next share first, and those
//! that it missed in the end. A worktree that cannot be written fails alone. Only within one process.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::Timestamps;

use super::content::Contents;
use super::descent::{Descent, Folders};
use super::index_file::Facts;
use super::progress::CheckoutProgress;
use super::put::put;
use crate::git::GitError;
use crate::git::listing::{Item, Kind, Listing, Writer};

/// So many files are taken at a time: few enough that the threads end together.
const SHARE: usize = 64;
/// More threads than that wait for one another in the kernel.
const MOST_THREADS: usize = 16;
/// So many worktrees are written together: every thread has folders of each open.
const MOST_TARGETS: usize = 8;

/// Those that are being written.
static ROUNDS: Mutex<Vec<Weak<Round>>> = Mutex::new(Vec::new());

/// Where contents come from.
#[derive(Debug)]
pub(super) struct Source {
    /// What is opened for what has to be unpacked.
    pub(super) git_dir: PathBuf,
    /// The checkout that is copied from.
    pub(super) near: Option<OwnedFd>,
}

/// A worktree whose files are written.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    top: OwnedFd,
    dates: Timestamps,
    progress: CheckoutProgress,
    stand: Mutex<Stand>,
    over: Condvar,
}

#[derive(Debug, Default)]
struct Stand {
    /// Of every file, once it is written.
    facts: Vec<Facts>,
    /// So many files are still to be written.
    left: usize,
    /// So many shares are being written to it.
    busy: usize,
    /// It stays so, also when the error is taken.
    has_failed: bool,
    error: Option<GitError>,
}

impl Stand {
    /// Nothing more is to be written to it.
    fn is_over(&self) -> bool {
        self.left == 0 || self.has_failed
    }

    /// And no one is writing to it: where it failed, it is removed then.
    fn is_quiet(&self) -> bool {
        self.is_over() && self.busy == 0
    }
}

impl Target {
    pub(super) fn new(path: &Path, top: OwnedFd, dates: Timestamps, progress: &CheckoutProgress) -> Self {
        let (stand, over) = (Mutex::default(), Condvar::new());
        Self { path: path.to_owned(), top, dates, progress: progress.clone(), stand, over }
    }

    fn stand(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.stand().is_over()
    }

    fn fail(&self, error: GitError) {
        let mut stand = self.stand();
        stand.has_failed = true;
        stand.error.get_or_insert(error);
    }

    fn has(&self, start: usize, facts: &[Facts]) {
        self.progress.advance(facts.len());
        let mut stand = self.stand();
        stand.facts[start..start + facts.len()].copy_from_slice(facts);
        stand.left -= facts.len();
    }
}

/// One listing, and who gets its files.
#[derive(Debug)]
struct Round {
    listing: Arc<Listing>,
    source: Source,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The next share, counted on over all rounds.
    next: usize,
    /// Each with the share at which it has all.
    targets: Vec<(Arc<Target>, usize)>,
    workers: usize,
}

/// Writes the files of a listing that are ralph's to write; their file facts, in the order of its items.
pub(super) fn write(listing: &Arc<Listing>, source: Source, target: Target) -> Result<Vec<Facts>, GitError> {
    let items = listing.items.len();
    *target.stand() = Stand { facts: vec![Facts::default(); items], left: items, ..Stand::default() };
    target.progress.begin(items);
    let target = Arc::new(target);
    Round::join(listing, source, &target).work(Some(&target));
    // Others have the last shares.
    let quiet = target.over.wait_while(target.stand(), |stand| !stand.is_quiet());
    let mut stand = quiet.unwrap_or_else(PoisonError::into_inner);
    match stand.error.take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut stand.facts)),
    }
}

/// What one thread has taken, until it is written.
struct Share {
    start: usize,
    targets: Vec<Arc<Target>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        for target in &self.targets {
            if std::thread::panicking() {
                // Or it would be waited for without end.
                let error = io::Error::other("a thread that wrote its files ended early");
                target.fail(GitError::io("write", &target.path, error));
            }
            target.stand().busy -= 1;
            target.over.notify_all();
        }
    }
}

/// A thread that is counted.
struct Worker(Arc<Round>);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.state().workers -= 1;
    }
}

impl Round {
    /// The round of this listing that is being made, or a new one, with the target among those that get its files. It has as
    /// many threads at work as there are cores for each round, the caller's own included.
    fn join(listing: &Arc<Listing>, source: Source, target: &Arc<Target>) -> Worker {
        let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.retain(|round| round.strong_count() > 0);
        let same = rounds
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|round| round.state().targets.len() < MOST_TARGETS)
            .find(|round| round.source.git_dir == source.git_dir && round.listing == *listing);
        let round = same.unwrap_or_else(|| {
            let listing = Arc::clone(listing);
            let round = Arc::new(Self { listing, source, state: Mutex::default() });
            rounds.push(Arc::downgrade(&round));
            round
        });
        let shares = round.shares();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores.min(MOST_THREADS) / rounds.len().max(1)).min(shares);
        let mut state = round.state();
        let until = state.next + shares;
        state.targets.push((Arc::clone(target), until));
        let helpers = threads.saturating_sub(state.workers + 1);
        state.workers += 1 + helpers;
        drop(state);
        drop(rounds);
        for _ in 0..helpers {
            let helper = Worker(Arc::clone(&round));
            // Where it cannot be started, the files are written all the same.
            drop(std::thread::Builder::new().name("files".into()).spawn(move || helper.work(None)));
        }
        Worker(round)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shares(&self) -> usize {
        self.listing.items.len().div_ceil(SHARE)
    }

    /// The next share that anyone lacks.
    fn take(&self) -> Option<Share> {
        let mut state = self.state();
        let next = state.next;
        state.targets.retain(|(target, until)| next < *until && !target.is_over());
        if state.targets.is_empty() {
            return None;
        }
        state.next += 1;
        let targets: Vec<_> = state.targets.iter().map(|(target, _)| Arc::clone(target)).collect();
        targets.iter().for_each(|target| target.stand().busy += 1);
        Some(Share { start: next % self.shares() * SHARE, targets })
    }
}

impl Worker {
    /// Writes share after share, until there is none, or the target that it works for is over.
    fn work(&self, until: Option<&Target>) {
        let Round { listing, source, .. } = &*self.0;
        let mut contents = Contents::new(listing, source.near.as_ref(), &source.git_dir);
        let mut ways: Vec<(Arc<Target>, Descent<'_>)> = Vec::new();
        while !until.is_some_and(Target::is_over)
            && let Some(share) = self.0.take()
        {
            ways.retain(|(target, _)| share.targets.iter().any(|other| Arc::ptr_eq(target, other)));
            for target in &share.targets {
                if !ways.iter().any(|(other, _)| Arc::ptr_eq(target, other)) {
                    ways.push((Arc::clone(target), Descent::new(listing, Folders::Made)));
                }
            }
            let items = &listing.items[share.start..];
            let items = &items[..items.len().min(SHARE)];
            let mut facts = vec![Vec::with_capacity(items.len()); ways.len()];
            for item in items {
                give(listing, item, &mut contents, &mut ways, &mut facts);
            }
            for ((target, _), facts) in ways.iter().zip(&facts) {
                if facts.len() == items.len() {
                    target.has(share.start, facts);
                }
            }
        }
    }
}

/// Writes one file to every target that has all before it.
fn give(
    listing: &Listing,
    item: &Item,
    contents: &mut Contents<'_>,
    ways: &mut [(Arc<Target>, Descent<'_>)],
    facts: &mut [Vec<Facts>],
) {
    let name = listing.name(item);
    let mut write = |ways: &mut [(Arc<Target>, Descent<'_>)], content: &[u8]| {
        for ((target, way), facts) in ways.iter_mut().zip(&mut *facts) {
            if target.is_over() {
                continue;
            }
            let folder = way.enter(target.top.as_fd(), item.folder);
            match folder.and_then(|folder| put(folder, name, item, content, &target.dates)) {
                Ok(these) => facts.push(these),
                Err(e) => {
                    let path = target.path.join(OsStr::from_bytes(listing.path(item)));
                    target.fail(GitError::io("write", &path, e));
                }
            }
        }
    };
    if item.writer == Writer::Git || item.kind == Kind::Submodule {
        return write(ways, &[]);
    }
    while let Err(error) = contents.give(item, name, |content| write(ways, content)) {
        // Each has to be told: it is read anew for the others.
        let Some((target, _)) = ways.iter().find(|(target, _)| !target.is_over()) else { return };
        target.fail(error);
    }
}

#[cfg(test)]
mod tests;
