//! Writes the files of a new worktree in several threads, and its index.
//!
//! Only for files that are written as they are kept, or with other line ends or keywords; the others stand in the index with
//! file facts that fit none, and are git's to write afterwards. Folders come first, so that no link can stand where a file's
//! folder belongs; then the files, each made new; then the index, at once and whole. Whatever stands in the way of a
//! file was left by a checkout that was interrupted, and is replaced; a folder there is not.
//!
//! Files are dated a second before the index. git reads every file again whose time is not before the index's, since it
//! may have been changed right after it was looked at; with that second between them none has to be read again, and
//! every later change still shows, however soon it comes and however alike its size.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fstat, futimens, mkdirat, openat, statat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::content::Contents;
use super::descent::{Descent, top};
use super::index_file::{self, Facts};
use super::near::{Near, near, remember};
use super::progress::CheckoutProgress;
use crate::git::listing::{Item, Kind, Listing, Writer};
use crate::git::{CommitId, GitError, Repo, Worktree};

/// So many files are taken at a time: few enough that the threads end together.
const SHARE: usize = 64;
/// More threads than that wait for one another in the kernel.
const MOST_THREADS: usize = 16;

/// Writes the files that are ralph's to write, and the index, of a worktree that has none.
pub(super) fn write(
    repo: &Repo,
    worktree: &Worktree,
    start: &CommitId,
    listing: &Listing,
) -> Result<(), GitError> {
    let path = &worktree.path;
    let tree = top(path).map_err(|e| GitError::io("open", path, e))?;
    let near = near(repo, start);
    if !matches!(near, Near::Main(_)) {
        // From the beginning: others that start now copy what is there already.
        remember(repo, start, path);
    }
    let near = near.path().and_then(|near| top(near).ok());
    let progress = repo.progress();
    progress.begin(listing.items.len());
    let admin = &worktree.admin_dir;
    let job = Job { listing, tree: &tree, near: near.as_ref(), path, admin, times: times(), progress };
    job.make_folders()?;
    let facts = job.write_files()?;
    write_index(&worktree.admin_dir, &index_file::bytes(listing, &facts))
}

/// A second before now, for the time of the last change; that of the last access stays.
fn times() -> Timestamps {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let before = i64::try_from(now).unwrap_or(i64::MAX) - 1;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: before, tv_nsec: 0 },
    }
}

struct Job<'a> {
    listing: &'a Listing,
    tree: &'a OwnedFd,
    near: Option<&'a OwnedFd>,
    path: &'a Path,
    admin: &'a Path,
    times: Timestamps,
    progress: &'a CheckoutProgress,
}

impl Job<'_> {
    fn make_folders(&self) -> Result<(), GitError> {
        let mut descent = Descent::new(self.listing, self.tree);
        for folder in self.listing.folders.iter().skip(1) {
            let name = self.listing.folder_name(folder);
            let made = descent.enter(folder.parent).and_then(|above| make_folder(above, name));
            made.map_err(|e| self.failed(name, e))?;
        }
        Ok(())
    }

    /// The file facts of every item, in order.
    fn write_files(&self) -> Result<Vec<Facts>, GitError> {
        let items = &self.listing.items;
        let shares = items.len().div_ceil(SHARE);
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS).min(shares);
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let facts = Mutex::new(vec![Facts::default(); items.len()]);
        let work = || -> Result<(), GitError> {
            let mut worker = Worker {
                job: self,
                folders: Descent::new(self.listing, self.tree),
                contents: Contents::new(self.listing, self.near, self.admin),
            };
            while !stop.load(Ordering::Relaxed) {
                let start = next.fetch_add(1, Ordering::Relaxed) * SHARE;
                let Some(share) = items.get(start..).filter(|rest| !rest.is_empty()) else { break };
                let share = &share[..share.len().min(SHARE)];
                let written = share.iter().map(|item| worker.write(item)).collect::<Result<Vec<_>, _>>();
                let written = written.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                self.progress.advance(written.len());
                let mut facts = facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                facts[start..start + written.len()].copy_from_slice(&written);
            }
            Ok(())
        };
        if threads <= 1 {
            work()?;
        } else {
            std::thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                let mine = work();
                others.into_iter().fold(mine, |so_far, other| match other.join() {
                    Ok(theirs) => so_far.and(theirs),
                    Err(panic) => std::panic::resume_unwind(panic),
                })
            })?;
        }
        Ok(facts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn failed(&self, path: &[u8], error: impl Into<io::Error>) -> GitError {
        use std::os::unix::ffi::OsStrExt;
        GitError::io("write", &self.path.join(std::ffi::OsStr::from_bytes(path)), error.into())
    }
}

struct Worker<'a> {
    job: &'a Job<'a>,
    folders: Descent<'a>,
    contents: Contents<'a>,
}

impl Worker<'_> {
    fn write(&mut self, item: &Item) -> Result<Facts, GitError> {
        let (listing, times) = (self.job.listing, &self.job.times);
        let (job, name) = (self.job, listing.name(item));
        let failed = |e: io::Error| job.failed(listing.path(item), e);
        let Writer::Ralph(conversion) = item.writer else { return Ok(Facts::of_none(item.kind)) };
        let folder = self.folders.enter(item.folder).map_err(failed)?;
        let stat = match item.kind {
            Kind::File | Kind::Program => {
                let mode = if item.kind == Kind::Program { 0o777 } else { 0o666 };
                self.contents.give(item, name, |content| {
                    let content = conversion.apply(content, item.id);
                    write_file(folder, name, Mode::from_raw_mode(mode), &content, times).map_err(failed)
                })?
            }
            Kind::Link => self
                .contents
                .give(item, name, |target| write_link(folder, name, target, times).map_err(failed))?,
            Kind::Submodule => make_folder(folder, name)
                .and_then(|()| Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
                .map_err(failed)?,
        };
        Ok(Facts::of(&stat, item.kind))
    }
}

fn make_folder(above: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match mkdirat(above, name, Mode::from_raw_mode(0o777)) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            // Left by a checkout that was interrupted, unless it is something else.
            let stat = statat(above, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let is_folder = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
            if is_folder { Ok(()) } else { Err(Errno::EXIST.into()) }
        }
        Err(e) => Err(e.into()),
    }
}

fn write_file(
    folder: BorrowedFd<'_>,
    name: &[u8],
    mode: Mode,
    content: &[u8],
    times: &Timestamps,
) -> io::Result<rustix::fs::Stat> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = anew(folder, name, || openat(folder, name, how, mode))?;
    let mut left = content;
    while !left.is_empty() {
        match rustix::io::write(&file, left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = &left[written..],
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    futimens(&file, times)?;
    Ok(fstat(&file)?)
}

fn write_link(
    folder: BorrowedFd<'_>,
    name: &[u8],
    target: &[u8],
    times: &Timestamps,
) -> io::Result<rustix::fs::Stat> {
    anew(folder, name, || symlinkat(target, folder, name))?;
    utimensat(folder, name, times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Makes something under a name, in place of what an interrupted checkout left there.
fn anew<T>(folder: BorrowedFd<'_>, name: &[u8], make: impl Fn() -> Result<T, Errno>) -> io::Result<T> {
    match make() {
        Err(Errno::EXIST) => {
            unlinkat(folder, name, AtFlags::empty())?;
            Ok(make()?)
        }
        other => Ok(other?),
    }
}

/// Puts the index where git looks for it, by way of git's own lock.
fn write_index(admin: &Path, content: &[u8]) -> Result<(), GitError> {
    let (lock, index) = (admin.join("index.lock"), admin.join("index"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&lock)
        .map_err(|e| GitError::io("create", &lock, e))?;
    let written = io::Write::write_all(&mut file, content).map_err(|e| GitError::io("write", &lock, e));
    let placed =
        written.and_then(|()| std::fs::rename(&lock, &index).map_err(|e| GitError::io("replace", &index, e)));
    if placed.is_err() {
        // Best effort: the next start over removes it too.
        drop(std::fs::remove_file(&lock));
    }
    placed
}
