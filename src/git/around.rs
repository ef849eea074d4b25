//! What is checked out around a worktree, and which of those files were written lately. Nothing is run and nothing is
//! written; every look is bounded, since it is taken for each session.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, open, statat};
use rustix::io::Errno;

use super::during::{Instant, Span};
use super::registry;
use super::repo::{Repo, open_libgit2};
use super::{GitError, Head};

/// No larger index is read, and not more worktrees are looked at.
const LARGEST_INDEX: u64 = 4 << 20;
const MOST_WORKTREES: usize = 8;

/// What an index says of an entry that git itself does not look for on the disk.
const ASSUMED_VALID: u16 = 0x8000;
const SKIPPED: u16 = 0x4000;
const SUBMODULE: u32 = 0o160_000;

/// A folder in which something is checked out.
#[derive(Debug)]
pub struct Checkout {
    /// Its registration, or the git directory itself.
    admin: PathBuf,
    /// Its top.
    pub top: PathBuf,
    /// What is checked out.
    pub head: Head,
    /// The slug of the lane that it is of; none of the main checkout.
    pub lane: Option<String>,
}

impl Checkout {
    /// The main checkout, where there is one.
    pub fn main(repo: &Repo) -> Result<Option<Self>, GitError> {
        let Some(top) = repo.main_checkout() else { return Ok(None) };
        let admin = repo.common_dir().to_owned();
        let head = registry::head_of(&admin)?.unwrap_or(Head::Unclear);
        Ok(Some(Self { admin, top: top.to_owned(), head, lane: None }))
    }

    /// The worktrees of lanes that no session holds, those first that come after the one at `own` in the registry. No
    /// more than some are looked at.
    pub fn idle(repo: &Repo, own: &Path) -> Result<impl Iterator<Item = Result<Self, GitError>>, GitError> {
        let mut listed = registry::listed(repo.common_dir())?;
        if let Some(at) = listed.iter().position(|(_, admin)| admin == own) {
            listed.rotate_left(at);
            listed.remove(0);
        }
        let looked_at = listed.into_iter().take(MOST_WORKTREES);
        Ok(looked_at.filter_map(|(id, admin)| Self::of_idle_lane(admin, id).transpose()))
    }

    fn of_idle_lane(admin: PathBuf, id: String) -> Result<Option<Self>, GitError> {
        // Most are not idle while many run.
        if admin.join(registry::LOCK_FILE).symlink_metadata().is_ok() {
            return Ok(None);
        }
        let entry = registry::entry(&admin, id)?;
        let idle = entry.filter(|e| e.lane.is_some() && e.unfinished.is_none());
        Ok(idle.map(|entry| Self { admin, top: entry.tree, head: entry.head, lane: entry.lane }))
    }

    /// Whether what is checked out was changed `during` that time.
    pub fn was_switched(&self, during: Span) -> bool {
        self.admin.join("HEAD").symlink_metadata().is_ok_and(|meta| during.has(Instant::changed(&meta)))
    }

    /// What is checked out, in words.
    pub fn head_in_words(&self) -> String {
        match &self.head {
            Head::Branch(name) => format!("branch {name}"),
            Head::Detached(commit) => format!("commit {}", commit.short()),
            Head::Unclear => "nothing that can be read".to_owned(),
        }
    }

    /// The files in it that were written `during` that time, by the file system's own clock; at most `budget` files are
    /// looked at, and it becomes smaller by so many. `None`: there are more, or its index is not a plain one.
    pub fn written(
        &self,
        during: Span,
        wrote: Wrote,
        budget: &mut usize,
    ) -> Result<Option<Vec<Written>>, GitError> {
        let file = self.admin.join("index");
        // An agent may have put anything in its place, and a named pipe would never be read to its end.
        let Ok(meta) = file.symlink_metadata() else { return Ok(None) };
        if !meta.is_file() || meta.len() > LARGEST_INDEX {
            return Ok(None);
        }
        // A split or a sparse one is git's alone to read.
        let Ok(index) = git2::Index::open(&file) else { return Ok(None) };
        if index.len() > *budget {
            return Ok(None);
        }
        *budget -= index.len();
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = match open(&self.top, how, Mode::empty()) {
            Ok(top) => top,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(GitError::io("open", &self.top, e.into())),
        };
        let folders = Folders::of(&index, top.as_fd());
        let mut written = Vec::new();
        for entry in index.iter() {
            let is_gits = entry.flags & ASSUMED_VALID == 0
                && entry.flags_extended & SKIPPED == 0
                && entry.mode != SUBMODULE;
            if is_gits && let Some(how) = fate(top.as_fd(), &folders, &entry, during, wrote) {
                written.push(Written { path: entry.path, how });
            }
        }
        let changed: Vec<&Vec<u8>> =
            folders.real.iter().filter(|(_, at)| during.from < **at).map(|(folder, _)| folder).collect();
        if !changed.is_empty() {
            let known: HashSet<Vec<u8>> =
                index.iter().map(|entry| entry.path).chain(folders.all.iter().cloned()).collect();
            for folder in changed {
                self.new_in(folder, &known, during, budget, &mut written)?;
            }
        }
        Ok(Some(written))
    }

    /// What is new in a folder, and not ignored.
    fn new_in(
        &self,
        folder: &[u8],
        known: &HashSet<Vec<u8>>,
        during: Span,
        budget: &mut usize,
        written: &mut Vec<Written>,
    ) -> Result<(), GitError> {
        // It may go while it is read.
        let Ok(listing) = fs::read_dir(self.top.join(OsStr::from_bytes(folder))) else { return Ok(()) };
        let mut repo = None;
        for item in listing {
            let Some(less) = budget.checked_sub(1) else { return Ok(()) };
            *budget = less;
            let Ok((item, meta)) = item.and_then(|item| item.metadata().map(|meta| (item, meta))) else {
                continue;
            };
            let name = item.file_name();
            let mut inside = folder.to_owned();
            if !inside.is_empty() {
                inside.push(b'/');
            }
            inside.extend_from_slice(name.as_bytes());
            let is_ours = folder.is_empty() && (name == ".git" || name == ".ralph");
            if is_ours || known.contains(&inside) || !during.has(Instant::changed(&meta)) {
                continue;
            }
            let repo = match &mut repo {
                Some(repo) => repo,
                none => none.insert(open_libgit2(&self.admin)?),
            };
            let mut asked = inside.clone();
            if meta.is_dir() {
                asked.push(b'/');
            }
            let ignored = repo
                .is_path_ignored(Path::new(OsStr::from_bytes(&asked)))
                .map_err(|e| GitError::libgit2("ask what is ignored in", self.top.display(), e))?;
            if !ignored {
                written.push(Written { path: inside, how: How::New });
            }
        }
        Ok(())
    }
}

/// What became of a file that the index has.
fn fate(
    top: BorrowedFd<'_>,
    folders: &Folders,
    entry: &git2::IndexEntry,
    during: Span,
    wrote: Wrote,
) -> Option<How> {
    let folder = folder_of(&entry.path);
    let stat = folders.real.contains_key(folder).then(|| stat_in(top, &entry.path));
    match stat {
        Some(Ok(stat)) if !during.has(Instant::of(&stat)) => None,
        Some(Ok(stat)) => {
            let size = i64::from(entry.file_size) == stat.st_size & i64::from(u32::MAX);
            let is_as_checked_out = size && i64::from(entry.mtime.seconds()) == stat.st_mtime;
            (wrote == Wrote::Others || !is_as_checked_out).then_some(How::Changed)
        }
        // Since when it has been gone, only the folder that it was in can tell.
        None | Some(Err(Errno::NOENT | Errno::NOTDIR)) => {
            let lately = folders.nearest(folder).is_none_or(|at| during.has(at));
            (lately && wrote == Wrote::Others).then_some(How::Deleted)
        }
        // What cannot be looked at is not known to have changed.
        Some(Err(_)) => None,
    }
}

/// The folders that an index speaks of.
struct Folders {
    all: BTreeSet<Vec<u8>>,
    /// Those that are there as folders, and so is all that they are in; each with when it was last changed.
    real: BTreeMap<Vec<u8>, Instant>,
}

impl Folders {
    fn of(index: &git2::Index, top: BorrowedFd<'_>) -> Self {
        let mut all = BTreeSet::from([Vec::new()]);
        let mut before: Vec<u8> = Vec::new();
        for entry in index.iter() {
            let folder = folder_of(&entry.path);
            if folder != before {
                folder.clone_into(&mut before);
                all.extend(above(folder).map(<[u8]>::to_owned));
            }
        }
        let mut real = BTreeMap::new();
        // A folder comes before what is in it.
        for folder in &all {
            if (folder.is_empty() || real.contains_key(folder_of(folder)))
                && let Ok(stat) = stat_in(top, folder)
                && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            {
                real.insert(folder.clone(), Instant::of(&stat));
            }
        }
        Self { all, real }
    }

    /// When the folder, or else the nearest above it that is there, was last changed.
    fn nearest(&self, folder: &[u8]) -> Option<Instant> {
        let up =
            std::iter::successors(Some(folder), |folder| (!folder.is_empty()).then(|| folder_of(folder)));
        up.into_iter().find_map(|folder| self.real.get(folder)).copied()
    }
}

/// The folder that something is in; the top is empty.
fn folder_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').and_then(|at| path.get(..at)).unwrap_or_default()
}

/// A folder and all that it is in, but for the top.
fn above(folder: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = folder.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([folder.len()]).filter_map(|end| folder.get(..end))
}

/// What the system says of a path below an open folder, without following a link there; empty: of the folder itself.
fn stat_in(top: BorrowedFd<'_>, path: &[u8]) -> Result<Stat, Errno> {
    statat(top, OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)
}

/// Whether the commit that is checked out changed meanwhile: then git wrote files, which are as their index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// Only what differs from the index was written by something else.
    Git,
    /// All that was written was written by something else.
    Others,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    path: Vec<u8>,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Changed,
    Deleted,
    New,
}

impl Written {
    /// The file and what happened to it, in words.
    pub fn in_words(&self) -> String {
        let did = match self.how {
            How::Changed => "was written",
            How::Deleted => "was deleted",
            How::New => "is new",
        };
        format!("{} {did}", String::from_utf8_lossy(&self.path))
    }
}
